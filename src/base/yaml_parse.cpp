// From text to nodes: first a look at the bytes, then yaml-cpp's events, each checked as it comes. What the parser lets
// pass and this subset does not is refused here, at its place.
#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/yaml.h"

namespace sallyport::yaml {
namespace {

constexpr std::size_t kMaxBytes = 4u << 20, kMaxDepth = 32, kMaxNodes = 250'000;

bool is_blank(char c) { return c == ' ' || c == '\t'; }

/// Length and value of the character at the front; length 0 when it is not UTF-8.
std::pair<std::size_t, char32_t> decode(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {1, first};
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {0, 0};
  char32_t value = first & (0xff >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {0, 0};
    value = value << 6 | (next & 0x3f);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return {0, 0};
  return {length, value};
}

/// Why a character may not stand in the file, or "".
std::string_view refusal(char32_t c, bool before_line_feed) {
  if (c == '\r') return before_line_feed ? "" : "a carriage return without a line feed";
  if ((c < 0x20 && c != '\t' && c != '\n') || (c >= 0x7f && c < 0xa0)) return "a control character";
  if (c == 0xfeff) return "a byte order mark; save the file without";
  if (c == 0x2028 || c == 0x2029) return "a Unicode line break";
  // A reviewer would read another text than the parser.
  if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) return "a character that reverses the direction of text";
  return "";
}

/// What can be said without a grammar. False: do not go on to the parser.
bool check_bytes(Diagnostics& diagnostics) {
  const std::string_view text = diagnostics.text();
  if (text.size() > kMaxBytes) {
    diagnostics.error({}, fmt::format("the file has {} bytes; {} are the most", text.size(), kMaxBytes));
    return false;
  }
  // The scanner queues a flow collection whole before its first event: what it may hold is bounded here.
  const auto brackets = static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return c == '[' || c == '{'; }));
  if (brackets > kMaxNodes) {
    diagnostics.error({}, fmt::format("more than {} lists and mappings", kMaxNodes));
    return false;
  }
  Place at{1, 1};
  bool indentation = true, tab_reported = false;
  for (std::size_t i = 0; i < text.size();) {
    const auto [length, c] = decode(text.substr(i));
    if (length == 0) {
      diagnostics.error(at, fmt::format("byte 0x{:02x} is not UTF-8", static_cast<unsigned char>(text[i])));
      return false;
    }
    if (const auto why = refusal(c, text.substr(i + 1).starts_with('\n')); !why.empty()) {
      diagnostics.error(at, fmt::format("U+{:04X} is {}", static_cast<std::uint32_t>(c), why));
    }
    if (c == '\t' && indentation && !tab_reported) {
      diagnostics.error(at, "a tab in the indentation; use blanks");
      tab_reported = true;
    }
    if (c == '%' && at.column == 1) diagnostics.error(at, "directives (%YAML, %TAG) are not part of this format");
    if (c != ' ' && c != '\t') indentation = false;
    ++at.column;
    if (c == '\n') at = {at.line + 1, 1}, indentation = true, tab_reported = false;
    i += length;
  }
  return diagnostics.ok();
}

/// Thrown out of the parser when going on makes no sense.
struct Stop {};

constexpr std::array<std::string_view, 12> kBooleans = {"yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"};

bool is_boolean_word(std::string_view text) { return std::ranges::find(kBooleans, text) != kBooleans.end(); }

bool is_octal(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return text.size() > 1 && text[0] == '0' && text.find_first_not_of("0123456789_") == std::string_view::npos;
}

/// The text of an explicit null at the front, "" when there is none.
std::string_view null_word(std::string_view text) {
  for (const std::string_view word : {"null", "Null", "NULL", "~"}) {
    if (!text.starts_with(word)) continue;
    const auto rest = text.substr(word.size());
    if (rest.empty() || std::string_view(" \t\r\n,]}").contains(rest[0])) return word;
  }
  return "";
}

class Builder : public YAML::EventHandler {
 public:
  Builder(Diagnostics& diagnostics, std::initializer_list<std::string_view> switches)
      : diagnostics_(diagnostics), text_(diagnostics.text()), switches_(switches) {
    lines_.push_back(0);
    for (std::size_t i = 0; i < text_.size(); ++i)
      if (text_[i] == '\n') lines_.push_back(i + 1);
  }

  Node take() { return std::move(root_); }

  void failed(const YAML::ParserException& error) {
    const auto message = explain(error.msg);
    // The parser names the file's beginning or end for a bracket that is never closed.
    const bool unclosed = !open_.empty() && error.msg.contains("flow not found") &&
                          (error.mark.pos <= 0 || offset(error.mark) == text_.size());
    diagnostics_.error(unclosed ? open_.back().node.place : place(error.mark), message);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 1) return;
    const bool marker = text_.substr(offset(mark)).starts_with("---");
    diagnostics_.error(place(mark), marker ? "a second document; a file has one"
                                           : "text after the end of the document (is the indentation right?)");
    throw Stop();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Node node;
    node.place = place(mark);
    check(mark, "?", anchor);
    node.scalar = null_word(text_.substr(offset(mark)));
    if (node.scalar.empty()) return add_missing(std::move(node));
    add(std::move(node), mark);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    diagnostics_.error(place(mark), "aliases (*name) are not part of this format; write the value out");
    skip(mark);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    check(mark, tag, anchor);
    Node node;
    node.kind = Node::Kind::Scalar;
    node.place = place(mark);
    node.quoted = tag != "?";
    node.scalar = value;
    if (!node.quoted) check_plain(node);
    add(std::move(node), mark);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(Node::Kind::Sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(Node::Kind::Mapping, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    YAML::Mark mark;
    bool has_key = false, drop = false;  // drop: the key was refused, its value is read and forgotten
    Node key;
    std::size_t key_at = 0;
    std::map<std::string, std::uint32_t> lines;  // of the keys seen
  };

  std::size_t offset(const YAML::Mark& mark) const {
    const auto line = std::clamp<std::size_t>(static_cast<std::size_t>(std::max(mark.line, 0)), 0, lines_.size() - 1);
    return std::min(lines_[line] + static_cast<std::size_t>(std::max(mark.column, 0)), text_.size());
  }

  /// The parser counts bytes, people count characters. Marks mostly go forward, so a line is counted once.
  Place place(const YAML::Mark& mark) {
    const auto line = std::clamp<std::size_t>(static_cast<std::size_t>(std::max(mark.line, 0)), 0, lines_.size() - 1);
    const auto to = offset(mark);
    if (line != counted_line_ || to < counted_to_) counted_line_ = line, counted_to_ = lines_[line], counted_ = 0;
    for (; counted_to_ < to; ++counted_to_) counted_ += (static_cast<unsigned char>(text_[counted_to_]) & 0xc0) != 0x80;
    return {static_cast<std::uint32_t>(line + 1), counted_ + 1};
  }

  static std::string explain(std::string_view message) {
    if (message.contains("illegal map value")) return "a ':' where no value can stand; quote the text or check the indentation";
    if (message.contains("end of map flow")) return "'{' is not closed, or a ',' is missing before this";
    if (message.contains("end of sequence flow")) return "'[' is not closed, or a ',' is missing before this";
    if (message.contains("end of map not found")) return "text after a value; quote the whole or check the indentation";
    if (message.contains("end of sequence not found")) return "this is no item of the list; check the indentation";
    if (message.contains("EOF in scalar")) return "the quoted text is not closed";
    if (message.contains("unknown token")) return "this character cannot begin a value; quote the text";
    return fmt::format("not valid YAML: {}", message);
  }

  void check(const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor) {
    if (++nodes_ > kMaxNodes) {
      diagnostics_.error(place(mark), fmt::format("more than {} values", kMaxNodes));
      throw Stop();
    }
    const char first = offset(mark) < text_.size() ? text_[offset(mark)] : '\0';
    if (anchor != 0) diagnostics_.error(place(mark), "anchors (&name) are not part of this format; write the value out where it is needed");
    if (first == '!' || (tag != "?" && tag != "!" && !tag.empty())) {
      diagnostics_.error(place(mark), "tags (!name) are not part of this format; quote a value that is a string");
    }
  }

  void check_plain(const Node& node) {
    if (is_boolean_word(node.scalar)) {
      const bool is_switch = node.scalar == "off" && !open_.empty() && open_.back().has_key &&
                             std::ranges::find(switches_, open_.back().key.scalar) != switches_.end();
      if (is_switch) return;
      diagnostics_.error(node.place, fmt::format("{} means a boolean to some readers of YAML and a string to others; write true, "
                                                 "false or \"{}\"", node.scalar, node.scalar));
    }
    if (is_octal(node.scalar)) {
      diagnostics_.error(node.place, fmt::format("{} has a leading zero, which is octal to some readers of YAML; leave it out or "
                                                 "write \"{}\"", node.scalar, node.scalar));
    }
  }

  void open(Node::Kind kind, const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor) {
    check(mark, tag, anchor);
    // Here, not after the parse: yaml-cpp goes one call deeper with each level.
    if (open_.size() == kMaxDepth) {
      diagnostics_.error(place(mark), fmt::format("nested deeper than {} levels", kMaxDepth));
      throw Stop();
    }
    Frame frame;
    frame.node.kind = kind;
    frame.node.place = place(mark);
    frame.mark = mark;
    open_.push_back(std::move(frame));
  }

  void close() {
    auto frame = std::move(open_.back());
    open_.pop_back();
    add(std::move(frame.node), frame.mark);
  }

  void add(Node node, const YAML::Mark& mark) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    auto& frame = open_.back();
    if (frame.node.kind == Node::Kind::Sequence) {
      frame.node.items.push_back(std::move(node));
    } else if (!frame.has_key) {
      take_key(frame, std::move(node), mark);
    } else {
      frame.has_key = false;
      if (!frame.drop) frame.node.members.push_back({std::move(frame.key.scalar), frame.key.place, std::move(node)});
    }
  }

  void take_key(Frame& frame, Node key, const YAML::Mark& mark) {
    frame.has_key = true;
    frame.drop = true;
    frame.key_at = offset(mark);
    if (key.kind != Node::Kind::Scalar) {
      diagnostics_.error(key.place, key.kind == Node::Kind::Null ? "a key is missing here" : "a key is a string, not a list or mapping");
    } else if (!key.quoted && key.scalar == "<<") {
      diagnostics_.error(key.place, "merge keys (<<) are not part of this format; write the keys out");
    } else {
      const auto [at, added] = frame.lines.try_emplace(key.scalar, key.place.line);
      if (!added) diagnostics_.error(key.place, fmt::format("the key \"{}\" stands here a second time; the first is in line {}", key.scalar, at->second));
      frame.drop = !added;
    }
    frame.key = std::move(key);
  }

  /// A null that is not written: fine as a key's value, a slip elsewhere.
  void add_missing(Node node) {
    if (open_.empty()) return;
    auto& frame = open_.back();
    if (frame.node.kind == Node::Kind::Sequence) {
      diagnostics_.error(node.place, "an empty item; write null if it is meant, or drop the ',' or '-'");
      return;
    }
    const YAML::Mark nowhere;
    if (!frame.has_key) return take_key(frame, std::move(node), nowhere);
    node.place = frame.key.place;
    if (!frame.drop && !frame.key.quoted) {
      auto rest = text_.substr(std::min(frame.key_at + frame.key.scalar.size(), text_.size()));
      while (!rest.empty() && is_blank(rest[0])) rest.remove_prefix(1);
      if (!rest.starts_with(':')) {
        diagnostics_.error(frame.key.place, fmt::format("\"{}\" is a key without a value; write key: value, with a blank after the ':'", frame.key.scalar));
      }
    }
    add(std::move(node), nowhere);
  }

  void skip(const YAML::Mark& mark) {
    Node node;
    node.place = place(mark);
    if (!open_.empty() && open_.back().node.kind == Node::Kind::Mapping && !open_.back().has_key) node.kind = Node::Kind::Scalar;
    add(std::move(node), mark);
  }

  Diagnostics& diagnostics_;
  std::string_view text_;
  std::vector<std::string_view> switches_;
  std::vector<std::size_t> lines_;  // where each begins
  std::vector<Frame> open_;
  Node root_;
  std::size_t nodes_ = 0, documents_ = 0;
  std::size_t counted_line_ = 0, counted_to_ = 0;
  std::uint32_t counted_ = 0;
};

}  // namespace

Node parse(Diagnostics& diagnostics, std::initializer_list<std::string_view> switches) {
  if (!check_bytes(diagnostics)) return {};
  Builder builder(diagnostics, switches);
  try {
    std::istringstream in(diagnostics.text());
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {}
  } catch (const Stop&) {
    // Reported where it was thrown.
  } catch (const YAML::ParserException& error) {
    builder.failed(error);
  }
  return builder.take();
}

}  // namespace sallyport::yaml
