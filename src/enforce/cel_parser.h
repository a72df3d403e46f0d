#pragma once
// Syntax trees of `when` expressions: CEL's grammar and precedence, macros expanded to nodes of their own. Built at
// load, read by the checker, then gone. Nesting and size are bounded, for the file is no more trusted than a peer, and
// evaluation recurses as deep as the tree. Pure, any thread.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "enforce/cel_lexer.h"

namespace sallyport::enforce::cel {

/// Syntax and, after checking, code: a node keeps its operation through both.
enum class Op : std::uint8_t {
  Constant, Name, Call,  // Name and Call are resolved by the checker into the operations below
  Fact, Local, Select, Index, Has, List, Map,
  Not, Negate, And, Or, Conditional,
  Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, In,
  Add, Subtract, Multiply, Divide, Modulo,
  Size, Contains, StartsWith, EndsWith, Matches, Dyn,
  All, Exists, ExistsOne,
};

using Literal = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string>;

struct Node {
  Op op = Op::Constant;
  std::uint32_t begin = 0, end = 0;   // bytes of the source this node covers
  std::uint32_t name_at = 0;          // where `text` stands
  std::uint32_t depth = 1;
  bool method = false;                // of a Call: receiver style, args[0] is the receiver
  bool rooted = false;                // of a Name: written .name
  std::string text;                   // Name, Select, Has: the name; Call: the function; a macro: its variable
  Literal literal = nullptr;
  std::vector<std::uint32_t> args;    // And, Or take any number; Map holds key, value, key, value …
};

struct Tree {
  std::vector<Node> nodes;  // children before parents
  std::uint32_t root = 0;
};

inline constexpr std::size_t kMaxSource = 16 * 1024;  // bytes of one expression
inline constexpr std::size_t kMaxNodes = 2000;
inline constexpr std::uint32_t kMaxDepth = 64;

std::expected<Tree, Problem> parse(std::string_view source);

}  // namespace sallyport::enforce::cel
