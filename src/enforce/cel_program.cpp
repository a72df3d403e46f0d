#include "enforce/cel_program.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include "enforce/cel_checker.h"
#include "enforce/cel_eval.h"

namespace sallyport::enforce::cel {

Program::Program() = default;
Program::~Program() = default;
Program::Program(Program&&) noexcept = default;
Program& Program::operator=(Program&&) noexcept = default;

std::expected<Program, std::vector<Problem>> Program::compile(std::string_view source,
                                                              std::span<const FactSchema* const> schemas, bool any_type) {
  auto tree = parse(source);
  if (!tree) return std::unexpected(std::vector<Problem>{std::move(tree).error()});
  Program program;
  program.source_ = source;
  Checker checker(*tree, schemas, program);
  checker.run(any_type);
  if (!checker.problems().empty()) return std::unexpected(std::move(checker.problems()));
  return program;
}

Evaluation Program::evaluate(const Inputs& inputs, std::int64_t steps) const {
  const Value value = Run(*this, inputs, steps).root();
  if (const auto* truth = value.get<bool>()) return {*truth ? Verdict::True : Verdict::False};
  if (value.is_unknown()) return {Verdict::Unknown};
  const auto* failure = value.get<Failure>();
  return {Verdict::Error, failure ? *failure : Failure{Fault::NotBool, root_}};
}

std::string Program::evaluate_to_text(const Inputs& inputs, std::int64_t steps) const {
  Run run(*this, inputs, steps);  // owns what the value views
  const Value value = run.root();
  if (const auto* failure = value.get<Failure>()) return "error: " + describe(*failure);
  return to_text(value);
}

std::string Program::describe(const Failure& failure) const {
  const Code& code = codes_[failure.at];
  const std::string_view where = std::string_view(source_).substr(code.begin, code.end - code.begin);
  switch (failure.fault) {
    case Fault::NoSuchKey: return fmt::format("no such key: {}", where);
    case Fault::NoSuchOverload: return fmt::format("no such overload, the types do not fit: {}", where);
    case Fault::IndexOutOfRange: return fmt::format("index out of range: {}", where);
    case Fault::DivideByZero: return fmt::format("divide by zero: {}", where);
    case Fault::ModulusByZero: return fmt::format("modulus by zero: {}", where);
    case Fault::Overflow: return fmt::format("integer overflow: {}", where);
    case Fault::RepeatedKey: return fmt::format("repeated key: {}", where);
    case Fault::BadKey: return fmt::format("unsupported key type: {}", where);
    case Fault::NotBool: return fmt::format("neither true nor false: {}", where);
    case Fault::MissingFact: return fmt::format("the command has no such fact: {}", where);
    case Fault::TooExpensive: return "too expensive to evaluate for values of this size";
  }
  return "unknown failure";
}

}  // namespace sallyport::enforce::cel
