#pragma once
// From a syntax tree to a program: names become facts and local variables, types are checked, constants and patterns
// are made once. Used at load, once per expression; reports every problem it finds and goes on. Pure, any thread.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "enforce/cel_parser.h"
#include "enforce/cel_program.h"
#include "enforce/cel_type.h"

namespace sallyport::enforce::cel {

class Checker {
 public:
  Checker(const Tree& tree, std::span<const FactSchema* const> schemas, Program& out)
      : tree_(tree), schemas_(schemas), out_(out) {}

  /// Fills the program; what is wrong is in problems().
  void run(bool any_type);
  std::vector<Problem>& problems() { return problems_; }

 private:
  struct Typed {
    Type type;
    std::uint32_t code = 0;
  };

  Typed visit(std::uint32_t index);
  Typed literal(const Node& node);
  Typed name(const Node& node);
  Typed select(const Node& node);
  Typed has(const Node& node);
  Typed index(const Node& node);
  Typed list(const Node& node);
  Typed map(const Node& node);
  Typed logical(const Node& node);
  Typed conditional(const Node& node);
  Typed equality(const Node& node);
  Typed ordering(const Node& node);
  Typed membership(const Node& node);
  Typed arithmetic(const Node& node);
  Typed negate(const Node& node);
  Typed macro(const Node& node);
  Typed call(const Node& node);
  Typed size(const Node& node);
  Typed text_test(const Node& node, Op op);
  Typed matches(const Node& node);

  // Names: cel_names.cpp.
  std::string dotted(const Node& node, const Node** root) const;
  bool is_local(const Node& name) const;
  bool find_fact(std::string_view full_name, Type& type, std::uint32_t& slot, const FactSchema** schema) const;
  bool prefix_is_fact(std::string_view dotted) const;
  Typed fact(const Node& node, Type type, std::uint32_t slot, const FactSchema* schema);
  Typed unknown_name(const Node& node, std::string_view dotted);
  std::vector<std::string> fact_names() const;

  Typed problem(std::uint32_t at, std::string message);
  std::uint32_t emit(const Node& node, Op op, const std::vector<std::uint32_t>& operands, std::uint32_t slot = 0);
  std::uint32_t constant(const Node& node, Value value);
  std::uint32_t text(const std::string& text);
  bool all_constant(const std::vector<std::uint32_t>& codes) const;
  const Value& constant_of(std::uint32_t code) const { return out_.constants_[out_.codes_[code].slot]; }

  const Tree& tree_;
  std::span<const FactSchema* const> schemas_;
  Program& out_;
  std::vector<Problem> problems_;
  struct Local { std::string_view name; Type type; };
  std::vector<Local> locals_;
};

}  // namespace sallyport::enforce::cel
