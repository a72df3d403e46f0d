// Numbers: both sides of one type, as in CEL; what does not fit int or uint is a failure, never a wrapped value.
#include "enforce/cel_eval.h"

namespace sallyport::enforce::cel {
namespace {

template <class T>
Value of_integers(Op op, T left, T right, std::uint32_t at) {
  T result{};
  bool overflow = false;
  switch (op) {
    case Op::Add: overflow = __builtin_add_overflow(left, right, &result); break;
    case Op::Subtract: overflow = __builtin_sub_overflow(left, right, &result); break;
    case Op::Multiply: overflow = __builtin_mul_overflow(left, right, &result); break;
    default:
      if (right == 0) return Failure{op == Op::Divide ? Fault::DivideByZero : Fault::ModulusByZero, at};
      // The smallest int has no positive counterpart, and dividing it by -1 traps on x86.
      if (std::is_signed_v<T> && left == std::numeric_limits<T>::min() && right == static_cast<T>(-1)) {
        return Failure{Fault::Overflow, at};
      }
      result = op == Op::Divide ? left / right : left % right;
  }
  if (overflow) return Failure{Fault::Overflow, at};
  return result;
}

Value of_doubles(Op op, double left, double right, std::uint32_t at) {
  switch (op) {
    case Op::Add: return left + right;
    case Op::Subtract: return left - right;
    case Op::Multiply: return left * right;
    case Op::Divide: return left / right;
    default: return Failure{Fault::NoSuchOverload, at};
  }
}

}  // namespace

Value arithmetic(Op op, const Value& left, const Value& right, std::uint32_t at) {
  if (const auto* x = left.get<std::int64_t>()) {
    if (const auto* y = right.get<std::int64_t>()) return of_integers(op, *x, *y, at);
  } else if (const auto* u = left.get<std::uint64_t>()) {
    if (const auto* y = right.get<std::uint64_t>()) return of_integers(op, *u, *y, at);
  } else if (const auto* d = left.get<double>()) {
    if (const auto* y = right.get<double>()) return of_doubles(op, *d, *y, at);
  }
  return Failure{Fault::NoSuchOverload, at};
}

Value negated(const Value& operand, std::uint32_t at) {
  if (const auto* x = operand.get<std::int64_t>()) return of_integers<std::int64_t>(Op::Subtract, 0, *x, at);
  if (const auto* x = operand.get<double>()) return -*x;
  return Failure{Fault::NoSuchOverload, at};
}

}  // namespace sallyport::enforce::cel
