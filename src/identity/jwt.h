#pragma once
// A JSON Web Token in compact form (RFC 7515 §7.1, RFC 7519, RFC 9068), read strictly and verified with a provider's
// keys. Pure codec: no network, no clock. parse() trusts nothing: what it returns says only which keys to ask for;
// claims are to be believed after verify() alone. A token chooses neither its algorithm (the configuration's list does)
// nor its key's place (`jku`, `x5u`, `jwk`, `x5c` are never looked at). Anything wrong is a Reason.
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/json.h"
#include "identity/jwk.h"
#include "identity/reason.h"

namespace sallyport::identity {

inline constexpr std::size_t kMaxJwtBytes = 16 * 1024;

class Jwt {
 public:
  /// `also`: a `typ` that is taken beside an access token's and an ID token's ("logout+jwt"). Reasons: Malformed, AlgorithmNotAllowed,
  /// UnsupportedHeader.
  static Judged<Jwt> parse(std::string_view token, std::string_view also = "");

  Algorithm algorithm() const { return algorithm_; }
  const std::string& kid() const { return kid_; }           // "" when the header has none
  /// Not to be believed before verify(): for choosing the issuer's configuration only.
  json::Value payload() const { return payload_.root(); }

  /// `allowed`: the configuration's names of algorithms; one that no token may ever use is not heard even there.
  /// Reasons: AlgorithmNotAllowed, UnknownKey (no key of that kid and type), BadSignature.
  Judged<void> verify(std::span<const Jwk> keys, std::span<const std::string> allowed) const;

 private:
  Algorithm algorithm_ = Algorithm::RS256;
  std::string kid_;
  std::string signed_part_;   // header.payload as they were signed
  Bytes signature_;
  json::Document payload_;
};

}  // namespace sallyport::identity
