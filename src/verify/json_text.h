#pragma once
// The JSON of packs (docs/formats/pack.md): one spelling of each text, so reading is the writing backwards. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

/// A string literal; only `"`, `\` and bytes below 0x20 are escaped.
std::string json_string(std::string_view text);
/// "[a,b]" of texts that are JSON already.
std::string json_list(const std::vector<std::string>& items);

/// Reads what is due, piece by piece; after the first difference everything fails.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view text) : rest_(text) {}
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }
  bool eat(std::string_view literal);             // it must stand here
  bool next_is(std::string_view literal) const { return ok_ && rest_.substr(0, literal.size()) == literal; }
  std::string string();
  std::uint64_t number();
  bool boolean();
  /// Calls `one` for each element between the brackets.
  template <class One>
  void list(char open, char close, One one) {
    eat(std::string_view(&open, 1));
    for (bool first = true; ok_ && !next_is(std::string_view(&close, 1)); first = false) {
      if (!first) eat(",");
      if (ok_) one();
    }
    eat(std::string_view(&close, 1));
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace sallyport::verify
