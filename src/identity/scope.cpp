#include "identity/scope.h"

#include <algorithm>

namespace sallyport::identity {

bool is_scope(std::string_view text) {
  return !text.empty() && text.size() <= 128 && std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F && c != '"' && c != '\\'; });
}

Scopes sorted_scopes(std::vector<std::string> scopes) {
  std::ranges::sort(scopes);
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return scopes;
}

std::optional<Scopes> parse_scopes(std::string_view text) {
  Scopes out;
  while (!text.empty()) {
    const auto one = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    if (one.empty()) continue;
    if (!is_scope(one) || out.size() == 64) return std::nullopt;
    out.emplace_back(one);
  }
  return sorted_scopes(std::move(out));
}

std::string scopes_text(const Scopes& scopes) {
  std::string out;
  for (const auto& one : scopes) out += (out.empty() ? "" : " ") + one;
  return out;
}

bool covers(std::string_view resource, std::string_view address) {
  return resource.empty() || address == resource || (address.starts_with(resource) && address[resource.size()] == '/');
}

}  // namespace sallyport::identity
