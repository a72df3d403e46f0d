#include "enforce/cel_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace sallyport::enforce::cel {
namespace {

// A problem ends the parse from any depth: the parser returns no node, and the first problem stays.
using Ref = std::optional<std::uint32_t>;

bool is_reserved(std::string_view name) {
  static constexpr std::string_view kReserved[] = {"as",       "break", "const", "continue", "else",      "for",    "function",
                                                   "if",       "import", "let",  "loop",     "namespace", "package", "return",
                                                   "var",      "void",  "while"};
  return std::ranges::find(kReserved, name) != std::end(kReserved);
}
bool is_keyword(std::string_view name) { return name == "true" || name == "false" || name == "null" || name == "in"; }

struct Operator {
  std::string_view sign;
  Op op;
};
constexpr Operator kRelations[] = {{"==", Op::Equal},        {"!=", Op::NotEqual},      {"<=", Op::LessEqual},
                                   {">=", Op::GreaterEqual}, {"<", Op::Less},           {">", Op::Greater}};
constexpr Operator kSums[] = {{"+", Op::Add}, {"-", Op::Subtract}};
constexpr Operator kProducts[] = {{"*", Op::Multiply}, {"/", Op::Divide}, {"%", Op::Modulo}};

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::expected<Tree, Problem> run() {
    const Ref root = expression();
    if (root && here().word != Word::End) fail(here(), "an operator or the end of the expression was expected here");
    if (problem_) return std::unexpected(std::move(*problem_));
    tree_.root = *root;
    return std::move(tree_);
  }

 private:
  const Token& here() const { return tokens_[at_]; }
  const Token& before() const { return tokens_[at_ - 1]; }
  bool accept(std::string_view sign) {
    if (!here().is(sign)) return false;
    ++at_;
    return true;
  }
  Ref fail(const Token& token, std::string message) { return fail(token.begin, std::move(message)); }
  Ref fail(std::uint32_t at, std::string message) {
    if (!problem_) problem_ = Problem{at, std::move(message)};
    return std::nullopt;
  }
  bool expect(std::string_view sign, std::string_view why) {
    if (accept(sign)) return true;
    fail(here(), fmt::format("\"{}\" was expected here{}", sign, why));
    return false;
  }

  // Adds a node; its end is the end of the last token read.
  Ref make(Op op, std::uint32_t begin, std::vector<std::uint32_t> args, std::string text = {}, std::uint32_t name_at = 0) {
    Node node;
    node.op = op;
    node.begin = begin;
    node.end = before().end;
    node.name_at = name_at ? name_at : begin;
    node.text = std::move(text);
    for (const auto arg : args) node.depth = std::max(node.depth, tree_.nodes[arg].depth + 1);
    node.args = std::move(args);
    if (node.depth > kMaxDepth) return fail(begin, fmt::format("the expression is nested more than {} deep", kMaxDepth));
    if (tree_.nodes.size() >= kMaxNodes) return fail(begin, fmt::format("the expression has more than {} parts", kMaxNodes));
    tree_.nodes.push_back(std::move(node));
    return static_cast<std::uint32_t>(tree_.nodes.size() - 1);
  }
  std::uint32_t begin_of(Ref node) const { return tree_.nodes[*node].begin; }

  // Parentheses make no node, so the parser's own recursion is counted apart from the tree's depth.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) { ++parser_.level_; }
    ~Level() { --parser_.level_; }
    bool too_deep() const { return parser_.level_ > kMaxDepth; }

   private:
    Parser& parser_;
  };

  Ref expression() {
    const Level level(*this);
    if (level.too_deep()) return fail(here(), fmt::format("the expression is nested more than {} deep", kMaxDepth));
    const Ref condition = logical("||", Op::Or);
    if (!condition || !accept("?")) return condition;
    const Ref yes = logical("||", Op::Or);
    if (!yes || !expect(":", ", for the other branch of \"?\"")) return std::nullopt;
    const Ref no = expression();
    if (!no) return no;
    return make(Op::Conditional, begin_of(condition), {*condition, *yes, *no});
  }

  Ref logical(std::string_view sign, Op op) {
    const Ref first = op == Op::Or ? logical("&&", Op::And) : relation();
    if (!first || !here().is(sign)) return first;
    std::vector<std::uint32_t> args{*first};
    while (accept(sign)) {
      const Ref next = op == Op::Or ? logical("&&", Op::And) : relation();
      if (!next) return next;
      args.push_back(*next);
    }
    return make(op, begin_of(first), std::move(args));
  }

  template <std::size_t N>
  std::optional<Op> accept_any(const Operator (&operators)[N]) {
    for (const auto& candidate : operators) {
      if (accept(candidate.sign)) return candidate.op;
    }
    return std::nullopt;
  }

  Ref relation() {
    Ref left = sum();
    while (left) {
      auto op = accept_any(kRelations);
      if (!op && here().word == Word::Identifier && here().text == "in") {
        ++at_;
        op = Op::In;
      }
      if (!op) break;
      const Ref right = sum();
      if (!right) return right;
      left = make(*op, begin_of(left), {*left, *right});
    }
    return left;
  }

  Ref sum() {
    Ref left = product();
    while (left) {
      const auto op = accept_any(kSums);
      if (!op) break;
      const Ref right = product();
      if (!right) return right;
      left = make(*op, begin_of(left), {*left, *right});
    }
    return left;
  }

  Ref product() {
    Ref left = unary();
    while (left) {
      const auto op = accept_any(kProducts);
      if (!op) break;
      const Ref right = unary();
      if (!right) return right;
      left = make(*op, begin_of(left), {*left, *right});
    }
    return left;
  }

  Ref unary() {
    const auto begin = here().begin;
    if (!here().is("!") && !here().is("-")) return member();
    const Level level(*this);
    if (level.too_deep()) return fail(begin, fmt::format("the expression is nested more than {} deep", kMaxDepth));
    const bool negate = here().is("-");
    ++at_;
    // The sign belongs to the literal: the smallest int has no positive counterpart.
    const bool literal = here().word == Word::Int || here().word == Word::Double;
    if (negate && literal) return member(begin);
    const Ref operand = unary();
    if (!operand) return operand;
    return make(negate ? Op::Negate : Op::Not, begin, {*operand});
  }

  Ref member(std::optional<std::uint32_t> minus_at = std::nullopt) {
    Ref value = minus_at ? number(*minus_at, true) : primary();
    while (value) {
      if (accept(".")) {
        value = selection(*value);
      } else if (accept("[")) {
        const Ref index = expression();
        if (!index || !expect("]", ", after the index")) return std::nullopt;
        value = make(Op::Index, begin_of(value), {*value, *index});
      } else {
        break;
      }
    }
    return value;
  }

  Ref selection(std::uint32_t object) {
    const Token name = here();
    const bool quoted = name.word == Word::QuotedIdentifier;
    if (!quoted && (name.word != Word::Identifier || is_keyword(name.text))) {
      return fail(name, "a field or function name was expected after \".\"; write [\"…\"] for any other key");
    }
    ++at_;
    const auto begin = tree_.nodes[object].begin;
    if (quoted || !accept("(")) return make(Op::Select, begin, {object}, name.text, name.begin);
    std::vector<std::uint32_t> args{object};
    if (!arguments(args)) return std::nullopt;
    if (name.text == "all") return macro(Op::All, name, std::move(args));
    if (name.text == "exists") return macro(Op::Exists, name, std::move(args));
    if (name.text == "exists_one" || name.text == "existsOne") return macro(Op::ExistsOne, name, std::move(args));
    return call(begin, name, std::move(args), true);
  }

  Ref macro(Op op, const Token& name, std::vector<std::uint32_t> args) {
    const auto usage = fmt::format("{}() takes a variable and a condition: list.{}(x, x == \"a\")", name.text, name.text);
    if (args.size() != 3) return fail(name, usage);
    const Node& variable = tree_.nodes[args[1]];
    if (variable.op != Op::Name || variable.rooted) return fail(variable.begin, usage);
    return make(op, tree_.nodes[args[0]].begin, {args[0], args[2]}, variable.text, variable.begin);
  }

  Ref call(std::uint32_t begin, const Token& name, std::vector<std::uint32_t> args, bool method) {
    const Ref node = make(Op::Call, begin, std::move(args), name.text, name.begin);
    if (node) tree_.nodes[*node].method = method;
    return node;
  }

  // The arguments of a call and its closing parenthesis.
  bool arguments(std::vector<std::uint32_t>& args) {
    if (accept(")")) return true;
    do {
      const Ref argument = expression();
      if (!argument) return false;
      args.push_back(*argument);
    } while (accept(","));
    return expect(")", ", after the arguments");
  }

  Ref primary() {
    const Token token = here();
    switch (token.word) {
      case Word::Int:
      case Word::Uint:
      case Word::Double: return number(token.begin, false);
      case Word::String: ++at_; return constant(token, token.text);
      case Word::Identifier: return name(false, token.begin);
      case Word::QuotedIdentifier: return fail(token, "backquotes are for fields, after a \".\"; a string has \"…\" or '…'");
      case Word::End: return fail(token, "the expression ends where a value was expected");
      case Word::Sign: break;
    }
    ++at_;
    if (token.is("(")) {
      const Ref inner = expression();
      if (!inner || !expect(")", "")) return std::nullopt;
      return inner;
    }
    if (token.is("[")) return list(token.begin);
    if (token.is("{")) return map(token.begin);
    if (token.is(".") && here().word == Word::Identifier) return name(true, token.begin);
    return fail(token, fmt::format("a value was expected here, not \"{}\"", token.text));
  }

  Ref name(bool rooted, std::uint32_t begin) {
    const Token token = here();
    if (is_reserved(token.text) || token.text == "in") return fail(token, fmt::format("\"{}\" is a reserved word", token.text));
    ++at_;
    if (token.text == "true" || token.text == "false") return constant(token, token.text == "true");
    if (token.text == "null") return constant(token, nullptr);
    if (accept("(")) {
      std::vector<std::uint32_t> args;
      if (!arguments(args)) return std::nullopt;
      if (token.text == "has" && !rooted) return has(token, args);
      return call(begin, token, std::move(args), false);
    }
    const Ref node = make(Op::Name, begin, {}, token.text, token.begin);
    if (node) tree_.nodes[*node].rooted = rooted;
    return node;
  }

  Ref has(const Token& token, const std::vector<std::uint32_t>& args) {
    if (args.size() != 1 || tree_.nodes[args[0]].op != Op::Select) {
      return fail(token, "has() takes a field selection, such as has(mcp.args.path)");
    }
    const Node select = tree_.nodes[args[0]];
    return make(Op::Has, token.begin, {select.args[0]}, select.text, select.name_at);
  }

  Ref constant(const Token& token, Literal value) {
    const Ref node = make(Op::Constant, token.begin, {});
    if (node) tree_.nodes[*node].literal = std::move(value);
    return node;
  }

  Ref number(std::uint32_t begin, bool negative) {
    const Token token = here();
    ++at_;
    const Ref node = make(Op::Constant, begin, {});
    if (!node) return node;
    Literal& out = tree_.nodes[*node].literal;
    if (token.word == Word::Double) {
      const double magnitude = std::strtod(token.text.c_str(), nullptr);
      if (std::isinf(magnitude)) return fail(token, "this number is out of the range of double");
      out = negative ? -magnitude : magnitude;
      return node;
    }
    const bool hex = token.text.size() > 2 && (token.text[1] | 0x20) == 'x';
    const char* first = token.text.data() + (hex ? 2 : 0);
    const char* last = token.text.data() + token.text.size();
    std::uint64_t magnitude = 0;
    const auto read = std::from_chars(first, last, magnitude, hex ? 16 : 10);
    const bool is_uint = token.word == Word::Uint;
    const std::uint64_t limit = is_uint ? UINT64_MAX : static_cast<std::uint64_t>(INT64_MAX) + (negative ? 1 : 0);
    if (read.ec != std::errc() || magnitude > limit) {
      return fail(token, fmt::format("this number is out of the range of {}", is_uint ? "uint" : "int"));
    }
    if (is_uint) {
      out = magnitude;
    } else {
      out = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
    }
    return node;
  }

  Ref list(std::uint32_t begin) {
    std::vector<std::uint32_t> items;
    while (!accept("]")) {
      const Ref item = expression();
      if (!item) return item;
      items.push_back(*item);
      if (!accept(",") && !here().is("]")) return fail(here(), "\",\" or \"]\" was expected here");
    }
    return make(Op::List, begin, std::move(items));
  }

  Ref map(std::uint32_t begin) {
    std::vector<std::uint32_t> items;
    while (!accept("}")) {
      const Ref key = expression();
      if (!key || !expect(":", ", after the key")) return std::nullopt;
      const Ref value = expression();
      if (!value) return value;
      items.push_back(*key);
      items.push_back(*value);
      if (!accept(",") && !here().is("}")) return fail(here(), "\",\" or \"}\" was expected here");
    }
    return make(Op::Map, begin, std::move(items));
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::uint32_t level_ = 0;
  Tree tree_;
  std::optional<Problem> problem_;
};

}  // namespace

std::expected<Tree, Problem> parse(std::string_view source) {
  if (source.size() > kMaxSource) {
    return std::unexpected(Problem{0, fmt::format("the expression has more than {} bytes", kMaxSource)});
  }
  auto tokens = lex(source);
  if (!tokens) return std::unexpected(std::move(tokens).error());
  return Parser(std::move(*tokens)).run();
}

}  // namespace sallyport::enforce::cel
