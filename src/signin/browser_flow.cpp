#include "signin/browser_flow.h"

#include "base/json.h"

namespace sallyport::signin {

namespace {

constexpr std::string_view kBoundTo = "sign-in cookie 3";

/// __Host-: the browser takes it from this very host over https only, so that no neighbour under the same domain can plant one.
std::string_view cookie_name(bool secure) { return secure ? "__Host-sallyport-sign-in" : "sallyport-sign-in"; }

constexpr std::string BrowserFlow::*kTexts[] = {&BrowserFlow::redirect_uri, &BrowserFlow::challenge, &BrowserFlow::client_state, &BrowserFlow::user_code, &BrowserFlow::provider,
                                                &BrowserFlow::state, &BrowserFlow::nonce, &BrowserFlow::verifier, &BrowserFlow::request, &BrowserFlow::arrived,
                                                &BrowserFlow::client, &BrowserFlow::resource, &BrowserFlow::scopes, &BrowserFlow::connect, &BrowserFlow::connect_issuer};

std::string cookie_value(const net::Headers& headers, std::string_view name) {
  std::string found;
  for (const auto& [field, text] : headers.all()) {
    if (field.size() != 6 || (field != "Cookie" && field != "cookie")) continue;
    std::string_view rest = text;
    while (!rest.empty()) {
      const auto end = rest.find(';');
      auto pair = rest.substr(0, end);
      rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      if (!pair.starts_with(name) || pair.size() <= name.size() || pair[name.size()] != '=') continue;
      if (!found.empty()) return "";  // two of them: one was planted
      found = pair.substr(name.size() + 1);
    }
  }
  return found;
}

std::string attributes(bool secure, bool across_sites, std::int64_t seconds) {
  return fmt::format("; Path=/; HttpOnly; SameSite={}; Max-Age={}{}", across_sites ? "None" : "Lax", seconds, secure ? "; Secure" : "");
}

}  // namespace

std::string flow_cookie(const identity::Vault& vault, const BrowserFlow& flow, bool secure, bool across_sites) {
  std::string text = fmt::format("[{}", flow.expires_wall_ns);
  for (const auto member : kTexts) text += "," + json::quote(flow.*member);
  const auto sealed = vault.seal(kBoundTo, text + "]");
  return fmt::format("{}={}{}", cookie_name(secure), base64url(sealed), attributes(secure, across_sites, kFlowLife / 1'000'000'000));
}

std::string forget_flow_cookie(bool secure) { return fmt::format("{}={}", cookie_name(secure), attributes(secure, false, 0)); }

std::optional<BrowserFlow> read_flow(const identity::Vault& vault, const net::Headers& headers, bool secure, std::int64_t wall_ns) {
  const auto value = cookie_value(headers, cookie_name(secure));
  const auto sealed = from_base64url(value);
  if (value.empty() || !sealed) return std::nullopt;
  auto text = vault.unseal(kBoundTo, *sealed);
  if (!text) return std::nullopt;
  const auto document = json::Document::parse(std::move(*text));
  if (!document || document->root().size() != 1 + std::size(kTexts)) return std::nullopt;
  auto at = document->root().begin();
  BrowserFlow flow;
  flow.expires_wall_ns = (*at).as_int();
  for (const auto member : kTexts) flow.*member = (*++at).as_string();
  if (wall_ns >= flow.expires_wall_ns) return std::nullopt;
  return flow;
}

std::string random_text() {
  std::array<std::uint8_t, 32> random;
  random_bytes(random);
  return base64url(random);
}

}  // namespace sallyport::signin
