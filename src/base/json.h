#pragma once
// A parsed JSON text (RFC 8259) that remembers where each value stands in the original bytes, so that a masked or
// rewritten value is spliced into them and everything else stays byte for byte as the peer wrote it.
// Parsing is strict: one value, valid UTF-8, no duplicate keys, bounded depth. Pure, any thread; a Document owns
// its text, a Value points into its Document and must not outlive it (moving the Document keeps Values valid).
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sallyport::json {

enum class Kind : std::uint8_t { Null, Bool, Int, Double, String, Array, Object };

struct Limits {
  std::size_t max_bytes = 64u << 20;
  std::uint32_t max_depth = 128;
  std::uint32_t max_nodes = 4'000'000;
};

class Document;
class Parser;

/// One value of a Document; two words, passed by value.
class Value {
 public:
  Value() = default;  // invalid: valid() is false, kind() is Null

  bool valid() const { return doc_ != nullptr; }
  Kind kind() const;
  bool is_object() const { return valid() && kind() == Kind::Object; }
  bool is_array() const { return valid() && kind() == Kind::Array; }
  bool is_string() const { return valid() && kind() == Kind::String; }

  bool as_bool() const;          // of a Bool; false otherwise
  std::int64_t as_int() const;   // of an Int; 0 otherwise (an integer outside int64 is a Double)
  double as_double() const;      // of an Int or Double
  std::string_view as_string() const;  // unescaped, of a String; "" otherwise

  /// The bytes of this value in the original text, quotes and brackets included.
  std::string_view raw() const;
  /// Offset of raw() in the text.
  std::size_t offset() const;

  std::size_t size() const;  // elements or members
  /// The member of that exact name; an invalid Value if there is none or this is no object.
  Value operator[](std::string_view key) const;

  /// Forward iteration over elements or members, in text order.
  class Iterator;
  Iterator begin() const;
  Iterator end() const;

  /// Unescaped key of this value when it is an object's member, "" otherwise.
  std::string_view key() const;

  friend bool operator==(const Value&, const Value&) = default;

 private:
  friend class Document;
  friend class Iterator;
  friend class Parser;
  struct Node;
  struct Text;
  Value(const Text* doc, std::uint32_t node) : doc_(doc), node_(node) {}
  const Node& node() const;
  const Text* doc_ = nullptr;
  std::uint32_t node_ = 0;
};

class Value::Iterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = Value;
  using difference_type = std::ptrdiff_t;
  using pointer = const Value*;
  using reference = Value;

  Value operator*() const { return Value(doc_, node_); }
  Iterator& operator++();
  friend bool operator==(const Iterator& a, const Iterator& b) { return a.node_ == b.node_; }

 private:
  friend class Value;
  Iterator(const Text* doc, std::uint32_t node) : doc_(doc), node_(node) {}
  const Text* doc_;
  std::uint32_t node_;
};

class Document {
 public:
  /// Errors: Malformed with what is wrong and at which byte (duplicate key, depth, UTF-8, trailing text, …).
  static Result<Document> parse(std::string text, const Limits& limits = {});

  Document();
  Document(Document&&) noexcept;
  Document& operator=(Document&&) noexcept;
  ~Document();

  Value root() const;
  std::string_view text() const;

 private:
  std::unique_ptr<Value::Text> text_;
};

/// Replacements of byte ranges in a text, applied in one pass. Ranges must not overlap; order of adding is free.
class Splice {
 public:
  void replace(std::size_t offset, std::size_t length, std::string with);
  void replace(const Value& value, std::string with) { replace(value.offset(), value.raw().size(), std::move(with)); }
  bool empty() const { return edits_.empty(); }
  std::string apply(std::string_view text) const;

 private:
  struct Edit { std::size_t offset, length; std::string with; };
  std::vector<Edit> edits_;
};

/// A JSON string literal with quotes.
std::string quote(std::string_view text);

/// True when the object has two keys that differ only in case (ASCII): what reads `Name` for `name` elsewhere would
/// see another value than we do. Looks at this object only, not at nested ones.
bool has_case_variant_keys(const Value& object);

/// The value in one canonical form (RFC 8785: sorted keys, shortest numbers), for digests. One departure: an integer
/// keeps all its digits, for as doubles two different ones above 2^53 would share a digest.
std::string canonical(const Value& value);

}  // namespace sallyport::json
