#include "base/json.h"

#include <simdjson.h>

#include <charconv>
#include <stdexcept>

namespace sallyport::json {

// 40 bytes a value. While a container is open, `next` holds the node of the container around it.
struct Value::Node {
  std::uint32_t offset = 0;   // of the raw text
  std::uint32_t length = 0;
  std::uint32_t next = 0;     // the node after this one and all that is in it
  std::uint32_t size = 0;     // elements, members, or bytes of the unescaped string
  std::uint32_t key_at = 0;
  std::uint32_t key_size = 0;
  Kind kind = Kind::Null;
  bool is_copy = false;       // the string stands in `unescaped`, not in the text
  bool key_is_copy = false;
  union {
    std::int64_t integer = 0;
    double real;
    std::uint32_t string_at;
    bool truth;
  };
};

struct Value::Text {
  std::string text;
  std::string unescaped;  // of the strings that have escapes
  std::vector<Node> nodes;

  std::string_view string_of(const Node& node) const {
    return {(node.is_copy ? unescaped : text).data() + node.string_at, node.size};
  }
  std::string_view key_of(const Node& node) const {
    return {(node.key_is_copy ? unescaped : text).data() + node.key_at, node.key_size};
  }
};

namespace {

constexpr std::uint32_t kNone = UINT32_MAX;
constexpr std::size_t kPairwiseKeys = 16;
constexpr std::size_t kKeptIndex = 1u << 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// simdjson's first stage (UTF-8, control characters, where each token starts), picked for this CPU. It needs memory
// of four bytes a byte of text: kept for the thread, unless an unusually long text made it large.
class Tokens {
 public:
  simdjson::error_code find(std::string_view text) {
    if (!stage_ || stage_->capacity() < text.size()) {
      stage_.reset();
      const std::size_t capacity = std::max<std::size_t>(4096, text.size() + text.size() / 4);
      const auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(
          std::min<std::size_t>(capacity, UINT32_MAX - 1), 1, stage_);
      if (error) return error;
    }
    return stage_->stage1(reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                          simdjson::stage1_mode::regular);
  }
  const std::uint32_t* begin() const { return stage_->structural_indexes.get(); }
  std::uint32_t count() const { return stage_->n_structural_indexes; }
  void trim() {
    if (stage_ && stage_->capacity() > kKeptIndex) stage_.reset();
  }

 private:
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage_;
};

// The first quote or backslash at or after `p`; `end` when there is none. Eight bytes at a time.
const char* find_quote_or_escape(const char* p, const char* end) {
  constexpr std::uint64_t kOnes = 0x0101010101010101, kHigh = 0x8080808080808080;
  for (; end - p >= 8; p += 8) {
    std::uint64_t word;
    std::memcpy(&word, p, 8);
    const std::uint64_t quote = word ^ kOnes * '"', slash = word ^ kOnes * '\\';
    if ((((quote - kOnes) & ~quote) | ((slash - kOnes) & ~slash)) & kHigh) break;
  }
  while (p != end && *p != '"' && *p != '\\') ++p;
  return p;
}

int hex4(const char* p) {
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    if (is_digit(c)) value = value << 4 | (c - '0');
    else if (c >= 'a' && c <= 'f') value = value << 4 | (c - 'a' + 10);
    else if (c >= 'A' && c <= 'F') value = value << 4 | (c - 'A' + 10);
    else return -1;
  }
  return value;
}

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 63));
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  }
}

}  // namespace

// The second stage: one pass over the tokens that checks the grammar and every scalar, and writes the nodes.
class Parser {
 public:
  Parser(Value::Text& doc, const Tokens& tokens, const Limits& limits)
      : doc_(doc), text_(doc.text.data()), size_(static_cast<std::uint32_t>(doc.text.size())), token_(tokens.begin()),
        last_(tokens.begin() + tokens.count()), limits_(limits) {
    // A value takes at least two tokens (itself and a comma or its closing bracket), the last one aside.
    doc_.nodes.reserve(std::min<std::size_t>({tokens.count() / 2 + 1, limits.max_nodes, 65536}));
  }

  bool run() {
    for (;;) {
      if (!value()) return false;
      // `[` and `{` leave room for a first element; everything else ends a value.
      while (!expect_value_) {
        if (open_ == kNone) return token_ == last_ || refuse("text after the value", *token_);
        if (!after_value()) return false;
      }
    }
  }

  Error error() const {
    return {ErrorKind::Malformed, fmt::format("JSON: {} at byte {}", problem_, problem_at_)};
  }

 private:
  using Node = Value::Node;

  bool refuse(const char* problem, std::size_t at) {
    problem_ = problem;
    problem_at_ = at;
    return false;
  }

  bool value() {
    if (token_ == last_) return refuse("the text ends where a value is expected", size_);
    if (doc_.nodes.size() >= limits_.max_nodes) return refuse("too many values", *token_);
    const std::uint32_t at = *token_++;
    const auto index = static_cast<std::uint32_t>(doc_.nodes.size());
    Node& node = doc_.nodes.emplace_back();
    node.offset = at;
    node.key_at = key_at_;
    node.key_size = key_size_;
    node.key_is_copy = key_is_copy_;
    if (open_ != kNone) ++doc_.nodes[open_].size;
    node.next = index + 1;
    expect_value_ = false;
    switch (text_[at]) {
      case '{': return open(node, index, Kind::Object);
      case '[': return open(node, index, Kind::Array);
      case '"': return string(node);
      case 't': return literal(node, "true", Kind::Bool, true);
      case 'f': return literal(node, "false", Kind::Bool, false);
      case 'n': return literal(node, "null", Kind::Null, false);
      default: return number(node);
    }
  }

  bool open(Node& node, std::uint32_t index, Kind kind) {
    if (++depth_ > limits_.max_depth) return refuse("nested too deeply", node.offset);
    node.kind = kind;
    node.next = open_;
    open_ = index;
    in_object_ = kind == Kind::Object;
    forget_key();
    if (token_ == last_) return refuse("an array or object is not closed", node.offset);
    if (text_[*token_] == (in_object_ ? '}' : ']')) return close();
    return in_object_ ? key() : (expect_value_ = true);
  }

  bool close() {
    Node& node = doc_.nodes[open_];
    node.length = *token_++ + 1 - node.offset;
    if (in_object_ && !keys_differ(node)) return false;
    open_ = std::exchange(node.next, static_cast<std::uint32_t>(doc_.nodes.size()));
    in_object_ = open_ != kNone && doc_.nodes[open_].kind == Kind::Object;
    --depth_;
    forget_key();
    return true;
  }

  bool after_value() {
    if (token_ == last_) return refuse("an array or object is not closed", doc_.nodes[open_].offset);
    const char c = text_[*token_];
    if (c == (in_object_ ? '}' : ']')) return close();
    if (c != ',') return refuse(in_object_ ? "expected , or }" : "expected , or ]", *token_);
    ++token_;
    return in_object_ ? key() : (expect_value_ = true);
  }

  bool key() {
    if (token_ == last_ || text_[*token_] != '"') return refuse("expected a key in quotes", here());
    std::uint32_t end;
    if (!characters(*token_++, end, key_at_, key_size_, key_is_copy_)) return false;
    if (token_ == last_ || text_[*token_] != ':') return refuse("expected : after a key", here());
    ++token_;
    return expect_value_ = true;
  }

  bool string(Node& node) {
    node.kind = Kind::String;
    std::uint32_t end, at;
    if (!characters(node.offset, end, at, node.size, node.is_copy)) return false;
    node.string_at = at;
    node.length = end - node.offset;
    return true;
  }

  // Reads the string literal whose quote stands at `start`; `end` is behind its closing quote.
  bool characters(std::uint32_t start, std::uint32_t& end, std::uint32_t& at, std::uint32_t& size, bool& copied) {
    const char* const limit = text_ + size_;
    const char* const first = text_ + start + 1;
    const char* p = find_quote_or_escape(first, limit);
    if (p == limit) return refuse("a string is not closed", start);
    copied = *p == '\\';
    if (!copied) {
      at = start + 1;
      size = static_cast<std::uint32_t>(p - first);
      end = static_cast<std::uint32_t>(p - text_ + 1);
      return true;
    }
    std::string& out = doc_.unescaped;
    if (out.empty()) out.reserve(std::min<std::size_t>(size_, 65536));
    at = static_cast<std::uint32_t>(out.size());
    out.append(first, p);
    while (*p == '\\') {
      if (!(p = escape(p, limit))) return false;
      const char* const run = p;
      p = find_quote_or_escape(p, limit);
      if (p == limit) return refuse("a string is not closed", start);
      out.append(run, p);
    }
    size = static_cast<std::uint32_t>(out.size()) - at;
    end = static_cast<std::uint32_t>(p - text_ + 1);
    return true;
  }

  // Appends what the escape at `p` stands for; returns the character after it.
  const char* escape(const char* p, const char* limit) {
    std::string& out = doc_.unescaped;
    const auto bad = [&](const char* problem) { return refuse(problem, static_cast<std::size_t>(p - text_)), nullptr; };
    if (limit - p < 2) return bad("a string is not closed");
    switch (p[1]) {
      case '"': case '\\': case '/': out += p[1]; return p + 2;
      case 'b': out += '\b'; return p + 2;
      case 'f': out += '\f'; return p + 2;
      case 'n': out += '\n'; return p + 2;
      case 'r': out += '\r'; return p + 2;
      case 't': out += '\t'; return p + 2;
      case 'u': break;
      default: return bad("unknown escape");
    }
    const int unit = limit - p >= 6 ? hex4(p + 2) : -1;
    if (unit < 0) return bad("\\u without four hexadecimal digits");
    if (unit < 0xD800 || unit > 0xDFFF) return append_utf8(out, static_cast<unsigned>(unit)), p + 6;
    const int low = unit < 0xDC00 && limit - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return bad("a lone surrogate");
    append_utf8(out, 0x10000U + (static_cast<unsigned>(unit - 0xD800) << 10) + static_cast<unsigned>(low - 0xDC00));
    return p + 12;
  }

  bool literal(Node& node, std::string_view word, Kind kind, bool truth) {
    if (!std::string_view(text_ + node.offset, size_ - node.offset).starts_with(word) ||
        !ends_at(node.offset + static_cast<std::uint32_t>(word.size())))
      return refuse("not a JSON value", node.offset);
    node.length = static_cast<std::uint32_t>(word.size());
    node.kind = kind;
    node.truth = truth;
    return true;
  }

  bool number(Node& node) {
    const char *p = text_ + node.offset, *const first = p, *const limit = text_ + size_;
    const auto digits = [&] {
      const char* const run = p;
      while (p != limit && is_digit(*p)) ++p;
      return p != run;
    };
    if (*p == '-') ++p;
    if (p != limit && *p == '0') ++p;
    else if (!digits()) return refuse("not a JSON value", node.offset);
    node.kind = Kind::Int;
    if (p != limit && *p == '.') {
      ++p;
      node.kind = Kind::Double;
      if (!digits()) return refuse("a number without digits after its point", node.offset);
    }
    if (p != limit && (*p == 'e' || *p == 'E')) {
      ++p;
      node.kind = Kind::Double;
      if (p != limit && (*p == '+' || *p == '-')) ++p;
      if (!digits()) return refuse("a number without digits in its exponent", node.offset);
    }
    node.length = static_cast<std::uint32_t>(p - first);
    if (!ends_at(node.offset + node.length)) return refuse("not a JSON value", node.offset);
    if (node.kind == Kind::Int && std::from_chars(first, p, node.integer).ec == std::errc()) return true;
    node.kind = Kind::Double;
    // Too large for a double is no number to any reader; too small is zero to all of them.
    double real = 0;
    if (std::from_chars(first, p, real).ec != std::errc() && !underflows(first, p))
      return refuse("a number out of range", node.offset);
    node.real = real;
    return true;
  }

  // from_chars reports too small and too large alike.
  static bool underflows(const char* first, const char* last) {
    const double value = std::strtod(std::string(first, last).c_str(), nullptr);
    return value > -1 && value < 1;
  }

  // Only white space, a bracket or a comma may follow a number or literal without a break.
  bool ends_at(std::uint32_t at) const {
    return at == size_ || std::string_view(" \t\n\r,]}").find(text_[at]) != std::string_view::npos;
  }

  bool keys_differ(const Node& object) {
    const auto& nodes = doc_.nodes;
    const auto first = open_ + 1, last = static_cast<std::uint32_t>(nodes.size());
    if (object.size <= kPairwiseKeys) {
      for (std::uint32_t a = first; a < last; a = nodes[a].next)
        for (std::uint32_t b = nodes[a].next; b < last; b = nodes[b].next)
          if (nodes[a].key_size == nodes[b].key_size && doc_.key_of(nodes[a]) == doc_.key_of(nodes[b]))
            return refuse("a duplicate key for the value", nodes[b].offset);
      return true;
    }
    keys_.clear();
    for (std::uint32_t a = first; a < last; a = nodes[a].next) keys_.emplace_back(doc_.key_of(nodes[a]), a);
    std::sort(keys_.begin(), keys_.end());
    const auto twin = std::adjacent_find(keys_.begin(), keys_.end(), [](auto& a, auto& b) { return a.first == b.first; });
    return twin == keys_.end() || refuse("a duplicate key for the value", nodes[std::next(twin)->second].offset);
  }

  void forget_key() { key_at_ = key_size_ = 0, key_is_copy_ = false; }
  std::size_t here() const { return token_ == last_ ? size_ : *token_; }

  Value::Text& doc_;
  const char* text_;
  const std::uint32_t size_;
  const std::uint32_t* token_;
  const std::uint32_t* const last_;
  const Limits& limits_;
  std::uint32_t open_ = kNone;  // the innermost open container
  std::uint32_t depth_ = 0;
  bool in_object_ = false;
  bool expect_value_ = true;
  std::uint32_t key_at_ = 0, key_size_ = 0;  // of the member that comes next
  bool key_is_copy_ = false;
  const char* problem_ = "";
  std::size_t problem_at_ = 0;
  std::vector<std::pair<std::string_view, std::uint32_t>> keys_;
};

Result<Document> Document::parse(std::string text, const Limits& limits) {
  if (text.size() > std::min<std::size_t>(limits.max_bytes, UINT32_MAX / 2))
    return fail(ErrorKind::Malformed, fmt::format("JSON: {} bytes are over the limit of {}", text.size(), limits.max_bytes));
  Document document;
  document.text_ = std::make_unique<Value::Text>();
  document.text_->text = std::move(text);
  const std::string& kept = document.text_->text;
  if (kept.find_first_not_of(" \t\n\r") == std::string::npos) return fail(ErrorKind::Malformed, "JSON: the text is empty");

  thread_local Tokens tokens;
  switch (tokens.find(kept)) {
    case simdjson::SUCCESS: break;
    case simdjson::UTF8_ERROR: return fail(ErrorKind::Malformed, "JSON: the text is not valid UTF-8");
    case simdjson::UNESCAPED_CHARS: return fail(ErrorKind::Malformed, "JSON: a control character stands bare in a string");
    case simdjson::UNCLOSED_STRING: return fail(ErrorKind::Malformed, "JSON: a string is not closed");
    case simdjson::MEMALLOC: return fail(ErrorKind::Overloaded, "JSON: no memory to index the text");
    default: return fail(ErrorKind::Malformed, "JSON: not a JSON text");
  }
  Parser parser(*document.text_, tokens, limits);
  const bool good = parser.run();
  tokens.trim();
  if (!good) return std::unexpected(parser.error());
  return document;
}

Document::Document() = default;
Document::Document(Document&&) noexcept = default;
Document& Document::operator=(Document&&) noexcept = default;
Document::~Document() = default;

Value Document::root() const { return text_ ? Value(text_.get(), 0) : Value(); }
std::string_view Document::text() const { return text_ ? std::string_view(text_->text) : std::string_view(); }

const Value::Node& Value::node() const {
  static const Node kInvalid{};
  return doc_ ? doc_->nodes[node_] : kInvalid;
}
Kind Value::kind() const { return node().kind; }
bool Value::as_bool() const { return kind() == Kind::Bool && node().truth; }
std::int64_t Value::as_int() const { return kind() == Kind::Int ? node().integer : 0; }
double Value::as_double() const {
  if (kind() == Kind::Int) return static_cast<double>(node().integer);
  return kind() == Kind::Double ? node().real : 0;
}
std::string_view Value::as_string() const { return is_string() ? doc_->string_of(node()) : std::string_view(); }
std::string_view Value::raw() const {
  return doc_ ? std::string_view(doc_->text).substr(node().offset, node().length) : std::string_view();
}
std::size_t Value::offset() const { return node().offset; }
std::size_t Value::size() const { return is_object() || is_array() ? node().size : 0; }
std::string_view Value::key() const { return doc_ ? doc_->key_of(node()) : std::string_view(); }

Value Value::operator[](std::string_view key) const {
  if (!is_object()) return {};
  const auto& nodes = doc_->nodes;
  for (std::uint32_t at = node_ + 1; at < nodes[node_].next; at = nodes[at].next)
    if (nodes[at].key_size == key.size() && doc_->key_of(nodes[at]) == key) return {doc_, at};
  return {};
}

Value::Iterator Value::begin() const { return {doc_, is_object() || is_array() ? node_ + 1 : node().next}; }
Value::Iterator Value::end() const { return {doc_, node().next}; }
Value::Iterator& Value::Iterator::operator++() {
  node_ = doc_->nodes[node_].next;
  return *this;
}

}  // namespace sallyport::json
