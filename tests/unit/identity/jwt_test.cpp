// Tokens: published vectors, and what a forger would try.
#include "identity/jwt.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "identity/claims.h"

namespace sallyport::identity {
namespace {

// RFC 7515 A.3.
constexpr std::string_view kRfcKey =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
constexpr std::string_view kRfcToken =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

Keys keys_of(std::string_view jwk) {
  auto keys = parse_jwks("{\"keys\":[" + std::string(jwk) + "]}");
  EXPECT_TRUE(keys.has_value());
  return keys ? std::move(*keys) : Keys();
}

std::string b64(std::string_view text) { return base64url(as_bytes(text)); }

struct Signer {  // an Ed25519 or RSA key of the test's own
  std::shared_ptr<EVP_PKEY> key;
  explicit Signer(bool rsa, unsigned bits = 2048)
      : key(rsa ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free) {}
  std::string number(const char* name) const {
    BIGNUM* value = nullptr;
    EVP_PKEY_get_bn_param(key.get(), name, &value);
    Bytes bytes(static_cast<std::size_t>(BN_num_bytes(value)));
    BN_bn2bin(value, bytes.data());
    BN_free(value);
    return base64url(bytes);
  }
  std::string rsa_jwk(std::string_view more = "") const {
    return R"({"kty":"RSA","kid":"k1","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" + number(OSSL_PKEY_PARAM_RSA_E) + "\"" + std::string(more) + "}";
  }
  std::string ed_jwk() const {
    Bytes raw(32);
    std::size_t size = raw.size();
    EVP_PKEY_get_raw_public_key(key.get(), raw.data(), &size);
    return R"({"kty":"OKP","crv":"Ed25519","kid":"k1","x":")" + base64url(raw) + "\"}";
  }
  std::string sign(std::string_view header, std::string_view payload, const EVP_MD* digest, bool pss = false) const {
    const auto text = b64(header) + "." + b64(payload);
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_PKEY_CTX* options = nullptr;
    EVP_DigestSignInit(context.get(), &options, digest, nullptr, key.get());
    if (pss) {
      EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
    }
    Bytes signature(1024);
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_DigestSign(context.get(), signature.data(), &size, as_bytes(text).data(), text.size()), 1);
    signature.resize(size);
    return text + "." + base64url(signature);
  }
};

const std::vector<std::string> kAll = {"RS256", "PS256", "ES256", "EdDSA", "none", "HS256"};

Judged<void> check(std::string_view token, const Keys& keys, const std::vector<std::string>& allowed = kAll) {
  auto jwt = Jwt::parse(token);
  if (!jwt) return std::unexpected(jwt.error());
  return jwt->verify(keys, allowed);
}

TEST(Jwt, TakesTheEs256VectorOfRfc7515AndNoOtherSignature) {
  const auto keys = keys_of(kRfcKey);
  EXPECT_TRUE(check(kRfcToken, keys).has_value());
  for (std::size_t i = kRfcToken.rfind('.') + 1; i < kRfcToken.size(); ++i) {
    std::string token(kRfcToken);
    token[i] = token[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(check(token, keys).has_value()) << i;
  }
}

TEST(Jwt, RefusesEverySecondSpellingOfTheSameBase64) {
  const auto keys = keys_of(kRfcKey);
  std::string last(kRfcToken);
  last.back() = 'R';  // Q and R differ in bits that are thrown away only
  EXPECT_EQ(check(last, keys).error(), Reason::Malformed);
  EXPECT_EQ(check(std::string(kRfcToken) + "=", keys).error(), Reason::Malformed);
  EXPECT_EQ(check(std::string(kRfcToken) + "\n", keys).error(), Reason::Malformed);
  EXPECT_EQ(check(" " + std::string(kRfcToken), keys).error(), Reason::Malformed);
}

TEST(Jwt, RefusesWhatIsNotThreeParts) {
  for (const auto* token : {"", ".", "..", "...", "a.b", "a.b.c.d", "e30.e30", "W10.e30.AA"}) EXPECT_FALSE(Jwt::parse(token)) << token;
  EXPECT_EQ(Jwt::parse(std::string(kMaxJwtBytes + 1, 'a')).error(), Reason::Malformed);
}

TEST(Jwt, VerifiesRsaPssAndEd25519) {
  const Signer rsa(true), ed(false);
  EXPECT_TRUE(check(rsa.sign(R"({"alg":"RS256","kid":"k1"})", "{}", EVP_sha256()), keys_of(rsa.rsa_jwk())));
  EXPECT_TRUE(check(rsa.sign(R"({"alg":"PS256","kid":"k1"})", "{}", EVP_sha256(), true), keys_of(rsa.rsa_jwk())));
  EXPECT_TRUE(check(ed.sign(R"({"alg":"EdDSA","typ":"AT+JWT"})", "{}", nullptr), keys_of(ed.ed_jwk())));
  // One algorithm's signature is none of another's.
  EXPECT_EQ(check(rsa.sign(R"({"alg":"PS256"})", "{}", EVP_sha256()), keys_of(rsa.rsa_jwk())).error(), Reason::BadSignature);
  EXPECT_EQ(check(ed.sign(R"({"alg":"RS256"})", "{}", nullptr), keys_of(ed.ed_jwk())).error(), Reason::UnknownKey);
}

TEST(Jwt, RefusesAnHmacWithThePublicKeyAndNoAlgorithmEvenWhenListed) {
  const Signer rsa(true);
  const auto keys = keys_of(rsa.rsa_jwk());
  const auto text = b64(R"({"alg":"HS256","kid":"k1"})") + "." + b64("{}");
  std::array<std::uint8_t, 32> mac;
  unsigned size = 0;
  const auto secret = rsa.number(OSSL_PKEY_PARAM_RSA_N);
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), as_bytes(text).data(), text.size(), mac.data(), &size);
  EXPECT_EQ(check(text + "." + base64url(mac), keys).error(), Reason::AlgorithmNotAllowed);
  for (const auto* header : {R"({"alg":"none"})", R"({"alg":"None"})", R"({"alg":"NONE"})", R"({"alg":""})", R"({})", R"({"alg":null})",
                             R"({"alg":["RS256"]})", R"({"alg":"rs256"})", R"({"alg":"ES512"})", R"({"alg":"ES256K"})"}) {
    EXPECT_EQ(check(b64(header) + "." + b64("{}") + ".", keys).error(), Reason::AlgorithmNotAllowed) << header;
  }
}

TEST(Jwt, RefusesAnAlgorithmThatTheConfigurationDoesNotList) {
  const Signer rsa(true);
  EXPECT_EQ(check(rsa.sign(R"({"alg":"RS256"})", "{}", EVP_sha256()), keys_of(rsa.rsa_jwk()), {"ES256"}).error(), Reason::AlgorithmNotAllowed);
}

TEST(Jwt, NeverUsesAKeyThatTheTokenBrings) {
  const Signer forger(false), provider(false);
  const auto token = forger.sign(R"({"alg":"EdDSA","jwk":)" + forger.ed_jwk() + R"(,"jku":"http://evil.example"})", "{}", nullptr);
  EXPECT_EQ(check(token, keys_of(provider.ed_jwk())).error(), Reason::BadSignature);
}

TEST(Jwt, AsksForTheKidThatTheHeaderNames) {
  const Signer ed(false);
  EXPECT_EQ(check(ed.sign(R"({"alg":"EdDSA","kid":"../../k1"})", "{}", nullptr), keys_of(ed.ed_jwk())).error(), Reason::UnknownKey);
  EXPECT_EQ(check(ed.sign(R"({"alg":"EdDSA","kid":1})", "{}", nullptr), keys_of(ed.ed_jwk())).error(), Reason::Malformed);
}

TEST(Jwt, RefusesExtensionsOtherTypesAndDuplicateNames) {
  const Signer ed(false);
  const auto keys = keys_of(ed.ed_jwk());
  for (const auto* more : {R"("crit":["exp"])", R"("crit":[])", R"("b64":false)", R"("typ":"dpop+jwt")", R"("typ":"logout+jwt")", R"("typ":1)"}) {
    const auto header = std::string(R"({"alg":"EdDSA",)") + more + "}";
    EXPECT_EQ(check(ed.sign(header, "{}", nullptr), keys).error(), Reason::UnsupportedHeader) << more;
  }
  EXPECT_EQ(check(ed.sign(R"({"alg":"EdDSA","alg":"EdDSA"})", "{}", nullptr), keys).error(), Reason::Malformed);
  EXPECT_EQ(check(ed.sign(R"({"alg":"EdDSA"})", R"({"sub":"a","sub":"b"})", nullptr), keys).error(), Reason::Malformed);
}

TEST(Jwk, SkipsKeysThatAreNotForVerifyingOrTooWeak) {
  const Signer rsa(true), weak(true, 1024);
  EXPECT_EQ(keys_of(rsa.rsa_jwk(R"(,"use":"sig","key_ops":["verify"])")).size(), 1u);
  EXPECT_TRUE(keys_of(rsa.rsa_jwk(R"(,"use":"enc")")).empty());
  EXPECT_TRUE(keys_of(rsa.rsa_jwk(R"(,"key_ops":["sign"])")).empty());
  EXPECT_TRUE(keys_of(rsa.rsa_jwk(R"(,"alg":"HS256")")).empty());
  EXPECT_TRUE(keys_of(weak.rsa_jwk()).empty());
  EXPECT_TRUE(keys_of(R"({"kty":"oct","k":"AAAA"})").empty());
  EXPECT_FALSE(parse_jwks("{}").has_value());
  std::string off_curve(kRfcKey);
  off_curve[off_curve.find("f83O")] = 'g';
  EXPECT_TRUE(keys_of(off_curve).empty());
}

constexpr std::int64_t kNow = 1'800'000'000LL * 1'000'000'000;

Judged<Claims> claims(std::string_view more, std::string_view base = R"("iss":"https://idp.example","aud":"sallyport","sub":"alice")") {
  auto document = json::Document::parse("{" + std::string(base) + std::string(more) + "}");
  EXPECT_TRUE(document.has_value()) << more;
  const OidcConfig config{.issuer = "https://idp.example", .audience = "sallyport", .groups_claim = "realm.roles", .ca_file = ""};
  return read_claims(document->root(), config, kNow);
}

TEST(Claims, ReadSubjectGroupsActorAndService) {
  const auto good = claims(R"(,"exp":1800000060,"realm":{"roles":["b","a","b"]},"act":{"sub":"bot","act":{"sub":"older"}},"email":"a@b.example")");
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(good->subject, "alice");
  EXPECT_EQ(good->groups, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(good->agent, "bot");
  EXPECT_EQ(good->email, "a@b.example");
  EXPECT_FALSE(good->service);
  EXPECT_EQ(good->expires_wall_ns, kNow + 90'000'000'000);
  EXPECT_TRUE(claims(R"(,"exp":1800000060,"client_id":"alice")")->service);
}

TEST(Claims, HoldTimesToTheLeewayExactly) {
  EXPECT_EQ(claims("").error(), Reason::NoExpiry);
  EXPECT_EQ(claims(R"(,"exp":1799999970)").error(), Reason::Expired);
  EXPECT_TRUE(claims(R"(,"exp":1799999970.5)").has_value());
  EXPECT_TRUE(claims(R"(,"exp":1800000060,"nbf":1800000030)").has_value());
  EXPECT_EQ(claims(R"(,"exp":1800000060,"nbf":1800000031)").error(), Reason::NotYetValid);
  EXPECT_EQ(claims(R"(,"exp":1800000060,"iat":1800000031)").error(), Reason::NotYetValid);
  for (const auto* exp : {"\"1800000060\"", "-1", "null", "true", "[]"}) EXPECT_EQ(claims(",\"exp\":" + std::string(exp)).error(), Reason::BadTime) << exp;
  for (const auto* exp : {"9223372036854775807", "1e300", "99999999999999999999999"}) EXPECT_TRUE(claims(",\"exp\":" + std::string(exp)).has_value()) << exp;
}

TEST(Claims, RefuseOtherIssuersAudiencesAndNamesThatCannotBeShown) {
  constexpr auto kExp = R"(,"exp":1800000060)";
  EXPECT_EQ(claims(kExp, R"("iss":"https://idp.example/","aud":"sallyport","sub":"a")").error(), Reason::UnknownIssuer);
  EXPECT_EQ(claims(kExp, R"("iss":"https://idp.example","aud":"other","sub":"a")").error(), Reason::WrongAudience);
  EXPECT_EQ(claims(kExp, R"("iss":"https://idp.example","aud":["sallyport",1],"sub":"a")").error(), Reason::WrongAudience);
  EXPECT_EQ(claims(kExp, R"("iss":"https://idp.example","sub":"a")").error(), Reason::WrongAudience);
  EXPECT_TRUE(claims(kExp, R"("iss":"https://idp.example","aud":["x","sallyport"],"sub":"a")").has_value());
  for (const auto* sub : {R"("")", R"("a\nb")", R"("a\u0000")", R"("\u009b1m")", "1", "null"}) {
    EXPECT_EQ(claims(kExp, R"("iss":"https://idp.example","aud":"sallyport","sub":)" + std::string(sub)).error(), Reason::BadSubject) << sub;
  }
  EXPECT_EQ(claims(R"(,"exp":1800000060,"realm":{"roles":["a",1]})").error(), Reason::BadGroups);
  EXPECT_EQ(claims(R"(,"exp":1800000060,"act":"bot")").error(), Reason::BadActor);
}

}  // namespace
}  // namespace sallyport::identity
