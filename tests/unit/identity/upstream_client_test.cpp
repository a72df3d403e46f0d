// What the gateway sends to a target's authorization server, and how it reads the answers; scopes and resources.
#include "identity/upstream_client.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "identity/jwt.h"
#include "identity/key_source.h"
#include "identity/scope.h"

namespace sallyport::identity {
namespace {

constexpr std::int64_t kNow = 1'800'000'000'000'000'000;

json::Document parsed(const std::string& text) { return std::move(*json::Document::parse(text)); }

TEST(Scopes, AreReadSortedAndOnlyWhenTheyAreSome) {
  EXPECT_EQ(parse_scopes(" b a  b "), (Scopes{"a", "b"}));
  EXPECT_EQ(parse_scopes(""), Scopes());
  EXPECT_EQ(parse_scopes("a\"b"), std::nullopt);
  EXPECT_EQ(parse_scopes("a\\b"), std::nullopt);
  EXPECT_EQ(parse_scopes(std::string("a\tb")), std::nullopt);
  EXPECT_EQ(scopes_text({"a", "b"}), "a b");
}

TEST(Resource, CoversItselfAndWhatIsBelow) {
  EXPECT_TRUE(covers("", "https://gw/mcp/a"));
  EXPECT_TRUE(covers("https://gw/mcp/a", "https://gw/mcp/a"));
  EXPECT_TRUE(covers("https://gw/mcp", "https://gw/mcp/a"));
  EXPECT_TRUE(covers("https://gw", "https://gw/mcp/a"));
  EXPECT_FALSE(covers("https://gw/mcp/a", "https://gw/mcp/ab"));
  EXPECT_FALSE(covers("https://gw/mcp/a", "https://gw/mcp"));
  EXPECT_FALSE(covers("https://gw", "https://gw.evil/mcp"));
  EXPECT_FALSE(covers("https://gw/mcp/a", ""));
}

TEST(UpstreamMetadata, IsLookedForWhereTheStandardsSay) {
  EXPECT_EQ(server_metadata_urls("https://as.example"),
            (std::vector<std::string>{"https://as.example/.well-known/oauth-authorization-server", "https://as.example/.well-known/openid-configuration"}));
  EXPECT_EQ(server_metadata_urls("https://as.example/t/1"),
            (std::vector<std::string>{"https://as.example/.well-known/oauth-authorization-server/t/1", "https://as.example/.well-known/openid-configuration/t/1",
                                      "https://as.example/t/1/.well-known/openid-configuration"}));
  EXPECT_EQ(resource_metadata_urls("https://mcp.example/a?x=1"),
            (std::vector<std::string>{"https://mcp.example/.well-known/oauth-protected-resource/a", "https://mcp.example/.well-known/oauth-protected-resource"}));
}

TEST(UpstreamMetadata, OfAnotherIssuerOrResourceIsNotTaken) {
  const auto good = R"({"issuer":"https://as.example","token_endpoint":"https://as.example/t","authorization_endpoint":"https://as.example/a","authorization_response_iss_parameter_supported":true})";
  const auto read = read_server_metadata(parsed(good).root(), "https://as.example");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->token, "https://as.example/t");
  EXPECT_TRUE(read->says_issuer);
  EXPECT_FALSE(read_server_metadata(parsed(good).root(), "https://as.example/"));
  EXPECT_FALSE(read_server_metadata(parsed(R"({"issuer":"https://as.example","token_endpoint":"http://as.example/t"})").root(), "https://as.example"));
  EXPECT_FALSE(read_server_metadata(parsed(R"({"issuer":"https://as.example"})").root(), "https://as.example"));
  const auto named = R"({"resource":"https://mcp.example/a","authorization_servers":["https://as.example"]})";
  EXPECT_EQ(*read_resource_metadata(parsed(named).root(), "https://mcp.example/a"), "https://as.example");
  EXPECT_FALSE(read_resource_metadata(parsed(named).root(), "https://mcp.example/b"));
  EXPECT_FALSE(read_resource_metadata(parsed(R"({"resource":"https://mcp.example/a","authorization_servers":[]})").root(), "https://mcp.example/a"));
  EXPECT_FALSE(read_resource_metadata(parsed(R"({"resource":"https://mcp.example/a","authorization_servers":["file:///etc/passwd"]})").root(), "https://mcp.example/a"));
}

TEST(UpstreamToken, AnswersAreReadStrictly) {
  const auto good = read_token_answer(200, R"({"access_token":"a","token_type":"bearer","expires_in":60,"refresh_token":"r","scope":"x"})", kNow);
  ASSERT_TRUE(good) << good.error().what;
  EXPECT_EQ(good->expires_wall_ns, kNow + 60'000'000'000);
  EXPECT_EQ(good->refresh, "r");
  EXPECT_EQ(read_token_answer(200, R"({"access_token":"a","token_type":"Bearer"})", kNow)->expires_wall_ns, 0);
  for (const char* bad : {"", "[]", "{}", R"({"access_token":"a"})", R"({"access_token":"a","token_type":"DPoP"})", R"({"access_token":"a\r\nX: y","token_type":"Bearer"})", R"({"access_token":"","token_type":"Bearer"})",
                          R"({"access_token":7,"token_type":"Bearer"})", R"({"access_token":"a","access_token":"b","token_type":"Bearer"})"})
    EXPECT_EQ(read_token_answer(200, bad, kNow).error().kind, ErrorKind::Malformed) << bad;
  const auto refused = read_token_answer(400, R"({"error":"invalid_grant","error_description":"secret words"})", kNow);
  EXPECT_EQ(refused.error().kind, ErrorKind::Denied);
  EXPECT_NE(refused.error().what.find("invalid_grant"), std::string::npos);
  EXPECT_EQ(refused.error().what.find("secret words"), std::string::npos);
  EXPECT_EQ(read_token_answer(503, R"({"error":"invalid_grant"})", kNow).error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(read_token_answer(400, R"({"error":"<script>"})", kNow).error().what.find("script"), std::string::npos);
}

TEST(TokenRequestTest, ProvesTheClientAsConfigured) {
  ::setenv("SALLYPORT_TEST_SECRET", "p&s %", 1);
  UpstreamClient client;
  client.id = "a b";
  client.secret = {SecretRef::From::Env, "SALLYPORT_TEST_SECRET"};
  client.resource = "https://mcp.example/a";
  const UpstreamEndpoints at{"https://as.example", "https://as.example/t", "", "", false};
  const auto unnamed = token_request(client, at, {{"grant_type", "client_credentials"}}, kNow);
  ASSERT_FALSE(unnamed) << "who only the target names gets no secret";
  EXPECT_EQ(unnamed.error().what.find("p&s"), std::string::npos);
  client.issuer = "https://as.example";
  const auto basic = token_request(client, at, {{"grant_type", "client_credentials"}}, kNow);
  ASSERT_TRUE(basic);
  EXPECT_EQ(basic->form, "grant_type=client_credentials&resource=https%3A%2F%2Fmcp.example%2Fa");
  EXPECT_EQ(basic->user, "a%20b");
  EXPECT_EQ(basic->password, "p%26s%20%25");
  client.proof = UpstreamClient::Proof::Post;
  client.resource = "-";
  const auto post = token_request(client, at, {}, kNow);
  ASSERT_TRUE(post);
  EXPECT_EQ(post->form, "client_id=a%20b&client_secret=p%26s%20%25");
  EXPECT_EQ(post->user, "");
}

std::string private_pem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

TEST(TokenRequestTest, SignsAnAssertionThatOurOwnVerifierTakes) {
  const struct {
    const char* name;
    EVP_PKEY* key;
    KeyType type;
  } kKeys[] = {{"RSA", EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}), KeyType::Rsa},
               {"P-256", EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), KeyType::P256},
               {"P-384", EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-384"), KeyType::P384},
               {"Ed25519", EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), KeyType::Ed25519}};
  const std::vector<std::string> allowed = {"RS256", "ES256", "ES384", "EdDSA"};
  for (const auto& one : kKeys) {
    ::setenv("SALLYPORT_TEST_KEY", private_pem(one.key).c_str(), 1);
    UpstreamClient client;
    client.id = "gw";
    client.proof = UpstreamClient::Proof::PrivateKey;
    client.key = {SecretRef::From::Env, "SALLYPORT_TEST_KEY"};
    client.key_id = "k1";
    client.resource = "-";
    const auto request = token_request(client, {"", "https://as.example/t", "", "", false}, {}, kNow);
    ASSERT_TRUE(request) << one.name << request.error().what;
    const auto text = request->form.substr(request->form.rfind('=') + 1);
    const auto jwt = Jwt::parse(text);
    ASSERT_TRUE(jwt) << one.name;
    EXPECT_EQ(jwt->kid(), "k1");
    EXPECT_EQ(jwt->payload()["aud"].as_string(), "https://as.example/t");
    const auto found = token_request(client, {"https://as.example", "https://as.example/t", "", "", false}, {}, kNow);
    EXPECT_EQ(Jwt::parse(found->form.substr(found->form.rfind('=') + 1))->payload()["aud"].as_string(), "https://as.example") << "whose metadata named the address";
    EXPECT_EQ(jwt->payload()["exp"].as_int(), kNow / 1'000'000'000 + 60);
    Jwk jwk;
    jwk.kid = "k1";
    jwk.type = one.type;
    jwk.key = std::shared_ptr<EVP_PKEY>(one.key, EVP_PKEY_free);
    EXPECT_TRUE(jwt->verify(std::vector{jwk}, allowed)) << one.name;
  }
  ::setenv("SALLYPORT_TEST_KEY", "no key", 1);
  UpstreamClient client;
  client.proof = UpstreamClient::Proof::PrivateKey;
  client.key = {SecretRef::From::Env, "SALLYPORT_TEST_KEY"};
  const auto refused = token_request(client, {}, {}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what.find("no key\n"), std::string::npos);
}

TEST(HostPatterns, FitWholeNames) {
  EXPECT_TRUE(host_fits("*", "x"));
  EXPECT_TRUE(host_fits("a.example", "a.example"));
  EXPECT_TRUE(host_fits("*.example", "a.example"));
  EXPECT_FALSE(host_fits("*.example", "example"));
  EXPECT_FALSE(host_fits("*.example", "evilexample"));
  EXPECT_FALSE(host_fits("a.example", "b.a.example"));
  EXPECT_EQ(host_of_url("https://A.Example:8443/x"), "a.example");
  EXPECT_EQ(host_of_url("https://user@a.example/x"), "");
  EXPECT_EQ(host_of_url("https://[::1]:1/x"), "::1");
}

}  // namespace
}  // namespace sallyport::identity
