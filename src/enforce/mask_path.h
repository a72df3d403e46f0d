#pragma once
// Field paths of mask rules, a subset of JSONPath (RFC 9535): $.a.b, $.a[*].b, $.*, $..name, $['quoted'], $[0]. Names
// are compared exactly. A path is matched while the document is walked, all paths of a rule set at once: the state of
// one path is a set of bits, bit i says that its first i steps led here. Pure, any thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::enforce {

class FieldPath {
 public:
  using State = std::uint64_t;

  /// "" and a filled `path`, or what is wrong with the text, for a person.
  static std::string parse(std::string_view text, FieldPath& path);

  State start() const { return 1; }
  State member(State state, std::string_view name) const;
  State element(State state, std::size_t index) const;
  /// True when the value that led to `state` is named by the path.
  bool names(State state) const { return state >> steps_.size() & 1; }
  /// The name that ends the path, "" when it ends in an index or a star.
  std::string_view last_name() const;

 private:
  struct Step {
    enum Kind : std::uint8_t { Name, Index, Any } kind = Name;
    bool deep = false;  // ".." in front: at any depth
    std::string name;
    std::size_t index = 0;
  };
  class Reader;
  template <class Match>
  State advance(State state, Match match) const;

  std::vector<Step> steps_;
};

}  // namespace sallyport::enforce
