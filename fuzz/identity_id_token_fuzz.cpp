// Any JSON as an ID token's, a logout token's and a userinfo answer's claims: no crash, and what is believed is for us and in time.
#include <cstdint>
#include <cstdlib>

#include "identity/oidc_sign_in.h"

using namespace sallyport;
using namespace sallyport::identity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const OidcConfig config = [] {
    OidcConfig out;
    out.issuer = "https://id.example";
    out.audience = "api";
    out.client_id = "gw";
    return out;
  }();
  constexpr std::int64_t kNow = 1'700'000'000'000'000'000;
  auto document = json::Document::parse(std::string(reinterpret_cast<const char*>(data), size), {.max_bytes = 1u << 16, .max_depth = 32, .max_nodes = 10'000});
  if (!document) return 0;
  const auto root = document->root();
  if (const auto said = read_id_token(root, config, "n", kNow)) {
    if (root["nonce"].as_string() != "n" || root["iss"].as_string() != config.issuer || said->claims.expires_wall_ns <= kNow || said->claims.subject.empty()) std::abort();
  }
  if (const auto said = read_logout_token(root, config, kNow))
    if (said->id.empty() || (said->session.empty() && said->subject.empty())) std::abort();
  Claims claims;
  (void)add_claims(claims, root, config);
  (void)read_provider_metadata(root, config);
  return 0;
}
