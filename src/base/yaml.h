#pragma once
// A strict subset of YAML 1.2 for configuration, with the place of every node. Refused: duplicate keys, anchors and
// aliases, tags, merge keys, several documents, YAML 1.1 booleans (yes, no, on, off) and octals (0777) as plain
// scalars, depth over 32, files over 4 MiB. All errors of a file are collected, not only the first.
// Built on yaml-cpp's event handler: its Node keeps the first of two equal keys in silence. Pure, any thread.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport::yaml {

struct Place {
  std::uint32_t line = 0;    // from 1
  std::uint32_t column = 0;  // from 1, in characters
};

struct Diagnostic {
  Place place;
  std::string message;  // what is wrong and what would be right
};

/// The errors of one file, in order of place. print() gives "file:line:col: message", the line and a caret for each.
class Diagnostics {
 public:
  Diagnostics(std::string file, std::string text) : file_(std::move(file)), text_(std::move(text)) {}
  void error(Place at, std::string message) { errors_.push_back({at, std::move(message)}); }
  bool ok() const { return errors_.empty(); }
  const std::vector<Diagnostic>& errors() const { return errors_; }
  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }
  /// The value that begins there may be a secret: print() shows its line only up to it, whatever error stands there.
  void conceal(Place value, std::string_view scalar);
  std::string print() const;

 private:
  std::string excerpt(Place at) const;
  std::string file_, text_;
  std::vector<Diagnostic> errors_;
  std::map<std::uint32_t, std::uint32_t> concealed_;  // line -> first column that is not shown
};

struct Node {
  enum class Kind : std::uint8_t { Null, Scalar, Sequence, Mapping };
  Kind kind = Kind::Null;
  Place place;
  bool quoted = false;            // a quoted scalar is a string whatever it looks like
  std::string scalar;
  std::vector<Node> items;        // of a Sequence
  struct Member;
  std::vector<Member> members;    // of a Mapping, in file order, keys unique

  const Node* find(std::string_view key) const;  // nullptr when absent or not a mapping
};
struct Node::Member {
  std::string key;
  Place key_place;
  Node value;
};

/// The document; on errors they are in `diagnostics` and what could be read is returned. `switches` names keys whose
/// value may be the plain word `off`.
Node parse(Diagnostics& diagnostics, std::initializer_list<std::string_view> switches = {});

/// Reads one mapping: every key asked for is known; finish() reports the others with the nearest known name.
/// A wrong type or a missing key is reported at its place and leaves the default.
class Mapping {
 public:
  Mapping(const Node& node, Diagnostics& diagnostics, std::string_view what);
  ~Mapping();  // calls finish()
  Mapping(const Mapping&) = delete;

  const Node* get(std::string_view key);       // optional; nullptr when absent
  const Node* require(std::string_view key);   // reports when absent
  bool has(std::string_view key) const;
  void string(std::string_view key, std::string& out, bool required = false);
  void boolean(std::string_view key, bool& out);
  void integer(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max);
  /// "50s", "30m", "8h", "7d", "250ms", into nanoseconds.
  void duration(std::string_view key, std::int64_t& out_ns, std::int64_t min_ns, std::int64_t max_ns);
  void strings(std::string_view key, std::vector<std::string>& out);              // a sequence of strings
  void string_map(std::string_view key, std::map<std::string, std::string>& out);
  void one_of(std::string_view key, std::string& out, std::initializer_list<std::string_view> allowed);
  void finish();
  bool valid() const { return node_ != nullptr; }
  Place place() const;

 private:
  const Node* scalar(std::string_view key, std::string_view expected);  // nullptr after reporting another type
  const Node* node_;
  Place place_;
  Diagnostics& diagnostics_;
  std::string what_;
  std::vector<std::string> known_;
  bool finished_ = false;
};

/// The name among `known` that was most likely meant, or "" when none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace sallyport::yaml
