// What the relying party sends and believes; one-time codes; groups. RFC vectors where there are any.
#include "identity/oidc_sign_in.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "identity/person.h"
#include "identity/totp.h"
#include "identity/vault.h"

namespace sallyport::identity {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kNow = 1'700'000'000 * kSecond;

OidcConfig provider() {
  OidcConfig out;
  out.issuer = "https://id.example";
  out.audience = "api";
  out.name = "corp";
  out.client_id = "gw";
  return out;
}

std::string id_token(const std::string& more, const std::string& audience = R"("gw")", const std::string& times = R"("iat":1699999990,"exp":1700000300)") {
  return R"({"iss":"https://id.example","sub":"ada","aud":)" + audience + "," + times + (more.empty() ? "" : ",") + more + "}";
}

Judged<IdToken> read(const std::string& text, std::string_view nonce = "n") {
  auto document = json::Document::parse(text);
  EXPECT_TRUE(document.has_value()) << text;
  return read_id_token(document->root(), provider(), nonce, kNow);
}

TEST(Pkce, IsRfc7636sExample) {
  EXPECT_TRUE(pkce_holds("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
  EXPECT_FALSE(pkce_holds("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXl", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
  EXPECT_FALSE(pkce_holds("short", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
  EXPECT_FALSE(pkce_holds("", ""));
  const auto made = make_pkce();
  EXPECT_TRUE(pkce_holds(made.verifier, made.challenge));
  EXPECT_NE(make_pkce().verifier, made.verifier);
}

TEST(IdToken, IsBelievedWhenItIsForUsAndForThisSignIn) {
  const auto said = read(id_token(R"("nonce":"n","groups":["b","a"],"email":"ada@example.com","sid":"s1")"));
  ASSERT_TRUE(said.has_value()) << to_string(said.error());
  EXPECT_EQ(said->claims.subject, "ada");
  EXPECT_EQ(said->claims.groups, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(said->session, "s1");
  EXPECT_TRUE(read(id_token(R"("nonce":"n","azp":"gw")", R"(["x","gw"])")).has_value());
}

TEST(IdToken, IsRefusedWithTheReason) {
  const auto reason = [](const std::string& text) { const auto said = read(text); return said ? std::string("taken") : std::string(to_string(said.error())); };
  EXPECT_EQ(reason(id_token(R"("nonce":"m")")), "wrong_nonce");
  EXPECT_EQ(reason(id_token("")), "wrong_nonce");
  EXPECT_EQ(reason(id_token(R"("nonce":["n"])")), "wrong_nonce");
  EXPECT_EQ(reason(id_token(R"("nonce":"n")", R"("api")")), "wrong_audience");
  EXPECT_EQ(reason(id_token(R"("nonce":"n")", R"(["gw","x"])")), "wrong_audience") << "several audiences need azp";
  EXPECT_EQ(reason(id_token(R"("nonce":"n","azp":"x")", R"(["gw","x"])")), "wrong_audience");
  EXPECT_EQ(reason(id_token(R"("nonce":"n","azp":"x")")), "wrong_audience");
  EXPECT_EQ(reason(id_token(R"("nonce":"n")", R"("gw")", R"("exp":1700000300)")), "bad_time");
  EXPECT_EQ(reason(id_token(R"("nonce":"n")", R"("gw")", R"("iat":1699990000,"exp":1699990300)")), "expired");
  EXPECT_EQ(reason(R"({"iss":"https://other.example","sub":"ada","aud":"gw","iat":1699999990,"exp":1700000300,"nonce":"n"})"), "unknown_issuer");
}

TEST(IdToken, AnAddressThatTheProviderDoubtsIsNotKept) {
  EXPECT_EQ(read(id_token(R"("nonce":"n","email":"a@b.c","email_verified":false)"))->claims.email, "");
  EXPECT_EQ(read(id_token(R"("nonce":"n","email":"a@b.c","email_verified":"false")"))->claims.email, "");
  EXPECT_EQ(read(id_token(R"("nonce":"n","email":"a@b.c","email_verified":true)"))->claims.email, "a@b.c");
}

TEST(LogoutToken, IsReadAsBackChannelLogoutSays) {
  const auto read_it = [](const std::string& more) {
    const auto document = json::Document::parse(R"({"iss":"https://id.example","aud":"gw","iat":1699999990,"jti":"j")" + more + "}");
    EXPECT_TRUE(document.has_value());
    const auto said = read_logout_token(document->root(), provider(), kNow);
    return said ? "taken" : std::string(to_string(said.error()));
  };
  const std::string event = R"(,"events":{"http://schemas.openid.net/event/backchannel-logout":{}})";
  EXPECT_EQ(read_it(event + R"(,"sid":"s")"), "taken");
  EXPECT_EQ(read_it(event + R"(,"sub":"ada")"), "taken");
  EXPECT_EQ(read_it(event), "malformed");
  EXPECT_EQ(read_it(R"(,"sub":"ada")"), "malformed") << "an ID token is no logout token";
  EXPECT_EQ(read_it(event + R"(,"sub":"ada","nonce":"n")"), "malformed");
}

TEST(ProviderMetadata, TakesNoEndpointOverHttpFromAProviderOverHttps) {
  const auto document = json::Document::parse(R"({"authorization_endpoint":"http://id.example/a","token_endpoint":"https://id.example/t","end_session_endpoint":"https://user@id.example/e",
    "authorization_response_iss_parameter_supported":true})");
  const auto read_it = read_provider_metadata(document->root(), provider());
  EXPECT_EQ(read_it.authorization_endpoint, "");
  EXPECT_EQ(read_it.token_endpoint, "https://id.example/t");
  EXPECT_EQ(read_it.end_session_endpoint, "");
  EXPECT_TRUE(read_it.says_issuer);
}

TEST(FormEncoded, EscapesWhatASecretMayHold) { EXPECT_EQ(form_encoded({{"a b", "1+2&3=%/é"}, {"c", "~"}}), "a%20b=1%2B2%263%3D%25%2F%C3%A9&c=~"); }

// RFC 6238 appendix B, the last six digits; the secret is "12345678901234567890".
constexpr const char* kTotpSecret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

TEST(Totp, IsRfc6238s) {
  for (const auto& [seconds, code] : {std::pair<std::int64_t, const char*>{59, "287082"}, {1111111109, "081804"}, {1234567890, "005924"}, {2000000000, "279037"}})
    EXPECT_EQ(check_totp(kTotpSecret, code, 0, seconds * kSecond), seconds / 30) << seconds;
}

TEST(Totp, AStepEarlyOrLateButNeverTwice) {
  const auto at = 1111111109 * kSecond;
  EXPECT_TRUE(check_totp(kTotpSecret, "081804", 0, at + 30 * kSecond).has_value());
  EXPECT_FALSE(check_totp(kTotpSecret, "081804", 0, at + 60 * kSecond).has_value());
  EXPECT_FALSE(check_totp(kTotpSecret, "081804", 1111111109 / 30, at).has_value());
  for (const auto* wrong : {"", "081805", "81804", "0818041"}) EXPECT_FALSE(check_totp(kTotpSecret, wrong, 0, at).has_value()) << wrong;
  EXPECT_FALSE(check_totp("GEZDGNBV", "081804", 0, at).has_value()) << "too short a secret";
  EXPECT_FALSE(check_totp("not base32!", "081804", 0, at).has_value());
}

TEST(Groups, NestAndAreCutToWhatAnAgentMay) {
  IdentityConfig config;
  config.nested_groups = {{"staff", {"engineers"}}, {"all", {"staff", "guests"}}, {"engineers", {"all"}}};
  EXPECT_EQ(with_nested({"engineers"}, config), (std::vector<std::string>{"all", "engineers", "staff"}));
  EXPECT_EQ(with_nested({"x", "x"}, config), (std::vector<std::string>{"x"}));
  EXPECT_EQ(effective_groups({"b", "a"}, "bot", config), (std::vector<std::string>{"a", "b"}));
  config.nested_groups.clear();
  config.agents["bot"] = {{"a"}, {"b"}};
  EXPECT_EQ(effective_groups({"b", "a"}, "bot", config), (std::vector<std::string>{"a"}));
  EXPECT_EQ(effective_groups({"b", "a"}, "", config), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(effective_groups({"a"}, "bot", config).error(), Reason::UnknownAgent) << "not for this person";
  EXPECT_EQ(effective_groups({"b"}, "other", config).error(), Reason::UnknownAgent);
}

TEST(Vault, OpensOnlyWhatItSealedForTheSameEnd) {
  const auto vault = Vault::in_memory();
  auto sealed = vault.seal("a", "secret");
  EXPECT_EQ(vault.unseal("a", sealed).value(), "secret");
  EXPECT_FALSE(vault.unseal("b", sealed).has_value());
  EXPECT_FALSE(Vault::in_memory().unseal("a", sealed).has_value());
  sealed.back() ^= 1;
  EXPECT_FALSE(vault.unseal("a", sealed).has_value());
  EXPECT_FALSE(vault.unseal("a", ByteView(sealed).first(5)).has_value());
}

}  // namespace
}  // namespace sallyport::identity
