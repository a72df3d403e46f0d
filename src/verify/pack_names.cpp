#include "verify/pack_names.h"

#include "verify/hmac.h"
#include "verify/json_text.h"

namespace sallyport::verify {
namespace {
constexpr std::size_t kMostNames = 65536, kSalt = 16;
}

std::optional<Openings> read_names(std::string_view text, std::string& why) {
  Openings out;
  std::string before;
  for (std::size_t number = 1; !text.empty(); ++number) {
    why = "line " + std::to_string(number) + ": ";
    const auto end = text.find('\n');
    if (end == std::string_view::npos || number > kMostNames) return why += "it has no end, or there are too many", std::nullopt;
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    JsonCursor in(line);
    in.eat("{\"salt\":");
    const auto salt = in.string();
    in.eat(",\"token\":");
    const auto token = in.string();
    in.eat(",\"value\":");
    const auto value = in.string();
    in.eat("}");
    const auto raw = unbase64(salt);
    const auto spelled = "{\"salt\":" + json_string(salt) + ",\"token\":" + json_string(token) + ",\"value\":" + json_string(value) + "}";
    if (!in.at_end() || !raw || raw->size() != kSalt || spelled != line) return why += "it is no opening of a name", std::nullopt;
    if (token <= before) return why += "tokens are not in ascending order", std::nullopt;
    if (pseudonym_of(*raw, value) != token) return why += token + " is not the pseudonym of its value", std::nullopt;
    before = token;
    out.emplace(token, value);
  }
  why.clear();
  return out;
}

}  // namespace sallyport::verify
