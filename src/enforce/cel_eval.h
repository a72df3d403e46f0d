#pragma once
// One evaluation of a program: the budget, the variables of macros, and what had to be built on the way. Lives on the
// stack of Program::evaluate, on the data path; allocates only to join strings and lists or to build lists of facts.
// A failure or an unknown is a value until an operation needs more: && and || absorb both, in any order.
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "enforce/cel_program.h"

namespace sallyport::enforce::cel {

class Run {
 public:
  Run(const Program& program, const Inputs& inputs, std::int64_t steps)
      : program_(program), inputs_(inputs), budget_{steps} {}

  Value root() { return finish(eval(program_.root_)); }

 private:
  Value eval(std::uint32_t index);
  Value eval_operand(const Code& code, std::uint32_t i) { return eval(program_.operands_[code.first + i]); }
  Value finish(Value value) const;

  Value fact(std::uint32_t slot, std::uint32_t at) const;
  Value select(const Code& code, std::uint32_t at);
  Value index(const Code& code, std::uint32_t at);
  Value element(const Value& list, const Value& position, std::uint32_t at);
  Value list(const Code& code);
  Value map(const Code& code, std::uint32_t at);
  Value logical(const Code& code, std::uint32_t at);
  Value conditional(const Code& code, std::uint32_t at);
  Value binary(const Code& code, std::uint32_t at);
  Value unary(const Code& code, std::uint32_t at);
  Value ordering(Op op, const Value& left, const Value& right, std::uint32_t at);
  Value membership(const Value& item, const Value& range, std::uint32_t at);
  Value text_test(Op op, const Value& text, const Value& part, std::uint32_t at);
  Value add(const Value& left, const Value& right, std::uint32_t at);
  Value concatenate(const Value& left, const Value& right);
  Value size(const Value& of, std::uint32_t at);
  Value macro(const Code& code, std::uint32_t at);
  Value exists_one(const Code& code, const Value& range, std::uint32_t at);

  static Value failure(Fault fault, std::uint32_t at) { return Failure{fault, at}; }

  const Program& program_;
  const Inputs& inputs_;
  Budget budget_;
  std::array<Value, kMaxMacroDepth> locals_{};
  // Built values; pointers keep them in place while more are added.
  std::vector<std::unique_ptr<std::string>> strings_;
  std::vector<std::unique_ptr<std::vector<Value>>> lists_;
  std::vector<std::unique_ptr<std::vector<Entry>>> maps_;
};

/// int, uint and double arithmetic; a result out of range is a failure.
Value arithmetic(Op op, const Value& left, const Value& right, std::uint32_t at);
Value negated(const Value& operand, std::uint32_t at);

}  // namespace sallyport::enforce::cel
