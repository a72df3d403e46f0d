// Any bytes as a token, as a key set and as claims: no crash, and no signature that holds.
#include <cstdint>
#include <cstdlib>

#include "identity/claims.h"
#include "identity/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport;
  using namespace sallyport::identity;
  const std::string text(reinterpret_cast<const char*>(data), size);
  static const Keys keys = *parse_jwks(
      R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})");
  static const std::vector<std::string> allowed = {"EdDSA"};
  if (const auto jwt = Jwt::parse(text); jwt && jwt->verify(keys, allowed)) std::abort();
  (void)parse_jwks(text);
  if (const auto document = json::Document::parse(text, {.max_bytes = 16384, .max_depth = 16, .max_nodes = 4096})) {
    const OidcConfig config{.issuer = "i", .audience = "a", .subject_claim = "sub", .groups_claim = "r.g", .ca_file = ""};
    const auto claims = read_claims(document->root(), config, 1'800'000'000LL * 1'000'000'000);
    if (claims && !is_plain_name(claims->subject)) std::abort();
  }
  return 0;
}
