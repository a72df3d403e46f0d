// The provider as the sign-in pages use it: files in, redirects out, logouts both ways, and an assertion that counts once.
#include "identity/saml_provider.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "identity/saml_logout.h"
#include "identity/saml_redirect.h"
#include "saml_bench.h"

namespace sallyport::identity::saml {
namespace {

constexpr const char* kAdmin = "https://gw.example:9443";

SamlConfig settings() {
  SamlConfig config;
  config.name = "corp";
  config.metadata = fixture_path("idp.xml");
  config.keys = {{{SecretRef::From::File, fixture_path("sp.crt")}, {SecretRef::From::File, fixture_path("sp.key")}}};
  config.sign_requests = true;
  return config;
}

std::string query_of(const std::string& url) { return url.substr(url.find('?') + 1); }

struct SamlProviderTest : testing::Test {
  std::shared_ptr<const SamlProvider> provider = *SamlProvider::load(settings(), kAdmin);
  std::int64_t now = *time_of("2026-11-20T10:00:30Z");
  std::vector<std::string> outstanding = {"_request-1"};
  // The other side, to read what we write.
  std::vector<Key> ours = {private_key("sp")};

  static std::string problem(SamlConfig config) {
    const auto loaded = SamlProvider::load(std::move(config), kAdmin);
    return loaded ? "loaded" : loaded.error().what;
  }
  std::string form(const std::string& name) const { return base64(as_bytes(fixture(name))); }
  SamlJudged<SamlIdentity> sign_in(AssertionLedger& ledger, const std::string& value) const {
    boost::asio::io_context context;
    SamlJudged<SamlIdentity> out = refuse(Reason::Malformed, "not run");
    boost::asio::co_spawn(context, saml_sign_in(*provider, ledger, value, outstanding, now), [&](std::exception_ptr, SamlJudged<SamlIdentity> answer) { out = std::move(answer); });
    context.run();
    return out;
  }
};

TEST_F(SamlProviderTest, KnowsItsNames) {
  EXPECT_EQ(provider->name(), "corp");
  EXPECT_EQ(provider->issuer(), "https://idp.example/metadata");
  EXPECT_EQ(provider->entity_id(), "https://gw.example:9443/saml/corp/metadata");
  EXPECT_TRUE(provider->offers_logout());
  auto named = settings();
  named.entity_id = "urn:gw";
  EXPECT_EQ((*SamlProvider::load(named, kAdmin))->entity_id(), "urn:gw");
}

TEST_F(SamlProviderTest, ItsMetadataIsWhatTheProviderOfTheFixturesWasGiven) { EXPECT_EQ(provider->metadata(), fixture("sp.xml")); }

TEST_F(SamlProviderTest, ItsMetadataNamesAllOfItsKeys) {
  auto config = settings();
  config.keys.push_back({{SecretRef::From::File, fixture_path("idp2.crt")}, {SecretRef::From::File, fixture_path("idp2.key")}});
  const auto two = *SamlProvider::load(config, kAdmin);
  const auto document = parse_strict(with(two->metadata(), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", ""), kMaxMessage);
  ASSERT_TRUE(document) << document.error().detail;
  auto* root = xmlDocGetRootElement(document->get());
  EXPECT_EQ(attribute(root, "entityID"), "https://gw.example:9443/saml/corp/metadata");
  const auto* role = only_child(root, kMetadataNs, "SPSSODescriptor");
  EXPECT_EQ(attribute(role, "WantAssertionsSigned"), "true");
  EXPECT_EQ(attribute(role, "AuthnRequestsSigned"), "true");
  EXPECT_EQ(children(role, kMetadataNs, "KeyDescriptor").size(), 4u);
  EXPECT_EQ(attribute(only_child(role, kMetadataNs, "AssertionConsumerService"), "Location"), "https://gw.example:9443/saml/corp/acs");
}

TEST_F(SamlProviderTest, AsksByASignedRedirect) {
  const auto sent = provider->sign_in("state & more", true, now);
  ASSERT_TRUE(sent) << sent.error().what;
  EXPECT_TRUE(sent->url.starts_with("https://idp.example/sso?SAMLRequest=")) << sent->url;
  const auto read = read_redirect(query_of(sent->url), ours);
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->relay_state, "state & more");
  const auto document = parse_strict(read->xml, kMaxMessage);
  ASSERT_TRUE(document) << read->xml;
  auto* root = xmlDocGetRootElement(document->get());
  EXPECT_TRUE(is(root, kProtocolNs, "AuthnRequest"));
  EXPECT_EQ(attribute(root, "ID"), sent->id);
  EXPECT_EQ(attribute(root, "IssueInstant"), "2026-11-20T10:00:30Z");
  EXPECT_EQ(attribute(root, "Destination"), "https://idp.example/sso");
  EXPECT_EQ(attribute(root, "AssertionConsumerServiceURL"), "https://gw.example:9443/saml/corp/acs");
  EXPECT_EQ(attribute(root, "ForceAuthn"), "true");
  EXPECT_EQ(*text_of(root, kAssertionNs, "Issuer"), provider->entity_id());
  EXPECT_NE(provider->sign_in("", false, now)->id, sent->id);
  EXPECT_FALSE(provider->sign_in(std::string(81, 'x'), false, now));
}

TEST_F(SamlProviderTest, AsksUnsignedWhereThatIsConfigured) {
  auto config = settings();
  config.sign_requests = false;
  const auto sent = (*SamlProvider::load(config, kAdmin))->sign_in("s", false, now);
  EXPECT_FALSE(sent->url.contains("Signature="));
  EXPECT_EQ(read_redirect(query_of(sent->url), ours).error().reason, Reason::NotSigned);
}

TEST_F(SamlProviderTest, AnAssertionCountsOnce) {
  MemoryLedger ledger;
  const auto first = sign_in(ledger, form("signed_assertion.xml"));
  ASSERT_TRUE(first) << first.error().detail;
  const auto again = sign_in(ledger, form("signed_assertion.xml"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason, Reason::Replayed);
  // The same assertion in another envelope is the same assertion.
  EXPECT_EQ(sign_in(ledger, form("encrypted_gcm.xml")).error().reason, Reason::Replayed);
}

TEST_F(SamlProviderTest, ARefusedOneIsNotUsedUp) {
  MemoryLedger ledger;
  outstanding.clear();
  EXPECT_EQ(sign_in(ledger, form("signed_assertion.xml")).error().reason, Reason::WrongRequest);
  outstanding = {"_request-1"};
  EXPECT_TRUE(sign_in(ledger, form("signed_assertion.xml")));
}

TEST_F(SamlProviderTest, AFullLedgerRefusesAndForgetsWhatIsOver) {
  MemoryLedger ledger(1);
  ASSERT_TRUE(sign_in(ledger, form("signed_assertion.xml")));
  boost::asio::io_context context;
  Result<bool> full = true, later = false;
  boost::asio::co_spawn(context, ledger.claim(Digest{1}, now + 100, now), [&](std::exception_ptr, Result<bool> answer) { full = std::move(answer); });
  context.run();
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::Overloaded);
  context.restart();
  const auto end = *time_of("2026-11-20T11:00:30Z");
  boost::asio::co_spawn(context, ledger.claim(Digest{1}, end + 100, end), [&](std::exception_ptr, Result<bool> answer) { later = std::move(answer); });
  context.run();
  EXPECT_TRUE(later && *later);
}

TEST_F(SamlProviderTest, TheFormFieldIsBase64) {
  const auto value = form("signed_assertion.xml");
  std::string wrapped;
  for (std::size_t at = 0; at < value.size(); at += 76) wrapped += value.substr(at, 76) + "\r\n";
  EXPECT_TRUE(provider->judge(wrapped, outstanding, now));
  for (const auto& broken : {value.substr(0, value.size() - 5), value.substr(0, 1000), "<" + value, std::string("===="), std::string(), value + "!"})
    EXPECT_EQ(provider->judge(broken, outstanding, now).error().reason, Reason::Malformed) << broken.substr(0, 20);
  EXPECT_EQ(provider->judge(std::string(600'000, 'A'), outstanding, now).error().reason, Reason::ForbiddenMarkup);
}

TEST_F(SamlProviderTest, ALogoutOfTheProviderIsReadByRedirectAndByForm) {
  const auto redirected = provider->read_logout_query(fixture("logout_redirect.txt"), now);
  ASSERT_TRUE(redirected) << redirected.error().detail;
  EXPECT_FALSE(redirected->response);
  EXPECT_EQ(redirected->id, "_logout-1");
  EXPECT_EQ(redirected->name_id.value, "u-1001");
  EXPECT_EQ(redirected->session_indexes, std::vector<std::string>{"_session-1"});
  EXPECT_EQ(redirected->relay_state, "state 1");
  const auto posted = provider->read_logout_form(form("logout_post.xml"), now);
  ASSERT_TRUE(posted) << posted.error().detail;
  EXPECT_EQ(posted->name_id.value, "u-1001");
}

TEST_F(SamlProviderTest, ALogoutThatIsForgedOldOrForOthersIsRefused) {
  const auto query = fixture("logout_redirect.txt");
  const auto reason = [&](const std::string& text) { return std::string(to_string(provider->read_logout_query(text, now).error().reason)); };
  EXPECT_EQ(reason(query.substr(0, query.find("&SigAlg"))), "not_signed");
  EXPECT_EQ(reason(with(query, "RelayState=state%201", "RelayState=state%202")), "bad_signature");
  EXPECT_EQ(reason(with(query, "&RelayState=state%201", "")), "bad_signature");
  EXPECT_EQ(reason(with(query, "rsa-sha256", "rsa-sha1")), "algorithm_not_allowed");
  EXPECT_EQ(reason(with(query, "rsa-sha256", "rsa-sha512")), "bad_signature");
  EXPECT_EQ(reason(with(query, "Signature=", "Signature=AAAA")), "bad_signature");
  EXPECT_EQ(reason(query + "&SAMLRequest=x"), "malformed");
  EXPECT_EQ(reason(query + "&SAMLResponse=x"), "malformed");
  EXPECT_EQ(reason(with(query, "SAMLRequest=", "SAMLResponse=")), "bad_signature");
  EXPECT_EQ(provider->read_logout_query(query, now + 3600LL * 1'000'000'000).error().reason, Reason::Expired);
  EXPECT_EQ(provider->read_logout_query(query, now - 3600LL * 1'000'000'000).error().reason, Reason::NotYetValid);
  const auto posted = fixture("logout_post.xml");
  const auto bare = with(posted, cut(posted, "<ds:Signature ", "</ds:Signature>"), "");
  const auto judged = [&](const std::string& xml) { return std::string(to_string(provider->read_logout_form(base64(as_bytes(xml)), now).error().reason)); };
  EXPECT_EQ(judged(bare), "not_signed");
  EXPECT_EQ(judged(with(posted, ">u-1001<", ">u-1002<")), "bad_signature");
  EXPECT_EQ(judged(fixture("signed_both.xml")), "signature_elsewhere");
  const auto elsewhere = *SamlProvider::load(settings(), "https://other.example");
  EXPECT_EQ(elsewhere->read_logout_query(query, now).error().reason, Reason::WrongDestination);
}

TEST_F(SamlProviderTest, ALogoutBombIsNotInflated) {
  // 100 MB of zeros deflate to little; what the query says is refused before and after.
  const auto url = redirect_url("https://x/", "SAMLRequest", "<x>" + std::string(100u << 20, 'a') + "</x>", "", private_key("idp").get());
  ASSERT_TRUE(url);
  ASSERT_LT(url->size(), 250'000u);
  EXPECT_EQ(provider->read_logout_query(query_of(*url), now).error().reason, Reason::Malformed);
}

TEST_F(SamlProviderTest, OurLogoutRepeatsTheWholeName) {
  const SamlNameId name{"u<1>", "urn:f", "https://q", "urn:s"};
  const auto sent = provider->sign_out(name, "_s&1", "back", now);
  ASSERT_TRUE(sent) << sent.error().what;
  EXPECT_TRUE(sent->url.starts_with("https://idp.example/slo?SAMLRequest="));
  // Read as the provider would, which is us with the roles changed.
  Bench bench;
  bench.provider.entity_id = provider->entity_id();
  bench.provider.keys = ours;
  bench.self.slo_url = "https://idp.example/slo";
  const auto read = judge_redirected_logout(query_of(sent->url), {bench.config, bench.provider, bench.self, now});
  ASSERT_TRUE(read) << read.error().detail;
  EXPECT_EQ(read->id, sent->id);
  EXPECT_EQ(read->name_id, name);
  EXPECT_EQ(read->session_indexes, std::vector<std::string>{"_s&1"});
  EXPECT_EQ(read->relay_state, "back");
}

TEST_F(SamlProviderTest, OurAnswerToALogoutIsSigned) {
  SamlLogout request;
  request.id = "_logout-1";
  request.relay_state = "r";
  Bench bench;
  bench.provider.entity_id = provider->entity_id();
  bench.provider.keys = ours;
  bench.self.slo_url = "https://idp.example/slo";
  for (const bool success : {true, false}) {
    const auto sent = provider->answer_logout(request, success, now);
    ASSERT_TRUE(sent) << sent.error().what;
    const auto read = judge_redirected_logout(query_of(sent->url), {bench.config, bench.provider, bench.self, now});
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_TRUE(read->response);
    EXPECT_EQ(read->in_response_to, "_logout-1");
    EXPECT_EQ(read->success, success);
    EXPECT_EQ(read->relay_state, "r");
  }
}

TEST_F(SamlProviderTest, WithoutAKeyThereIsNoLogout) {
  auto config = settings();
  config.keys.clear();
  EXPECT_EQ(problem(config), "identity.saml corp: sign_requests needs keys");
  config.sign_requests = false;
  const auto bare = *SamlProvider::load(config, kAdmin);
  EXPECT_FALSE(bare->offers_logout());
  EXPECT_EQ(bare->sign_out({}, "", "", now).error().kind, ErrorKind::Unavailable);
}

TEST_F(SamlProviderTest, SingleSettingsDoAsMetadata) {
  auto config = settings();
  config.metadata.clear();
  config.idp_entity_id = "https://idp.example/metadata";
  config.sso_url = "https://idp.example/sso";
  config.certificates = {fixture_path("idp2.crt"), fixture_path("idp.crt")};
  const auto single = *SamlProvider::load(config, kAdmin);
  EXPECT_TRUE(single->judge(form("signed_assertion.xml"), outstanding, now));
  EXPECT_TRUE(single->judge(form("second_key.xml"), outstanding, now));
  EXPECT_FALSE(single->offers_logout());
  config.certificates.pop_back();
  EXPECT_FALSE((*SamlProvider::load(config, kAdmin))->judge(form("signed_assertion.xml"), outstanding, now));
}

TEST_F(SamlProviderTest, WhatIsMissingOrBrokenIsSaidAtLoading) {
  auto config = settings();
  config.metadata = "/nonexistent/idp.xml";
  EXPECT_EQ(problem(config), "/nonexistent/idp.xml cannot be read");
  config.metadata = fixture_path("idp.key");
  EXPECT_TRUE(problem(config).ends_with("idp.key: metadata: no XML")) << problem(config);
  config = settings();
  config.keys[0].certificate.name = fixture_path("idp.crt");
  EXPECT_EQ(problem(config), "identity.saml corp: a key does not belong to its certificate");
  config.keys[0].key.name = fixture_path("idp.crt");
  EXPECT_EQ(problem(config), "identity.saml corp: a key is no PEM private key of RSA with 2048 to 8192 bits");
}

TEST(SamlMetadata, WithholdsWhatCannotBeUsed) {
  const auto good = fixture("idp.xml");
  ASSERT_TRUE(read_metadata(good));
  EXPECT_EQ(read_metadata(good)->keys.size(), 2u);
  EXPECT_EQ(read_metadata(good)->slo_answer_url, "https://idp.example/slo");
  EXPECT_TRUE(read_metadata("<!-- of the identity team -->" + good));
  const auto refused = [&](const std::string& from, const std::string& to) {
    const auto read = read_metadata(with(good, from, to));
    return read ? "read" : read.error().what;
  };
  EXPECT_TRUE(refused("<EntityDescriptor", "<!DOCTYPE x [<!ENTITY a \"b\">]><EntityDescriptor").ends_with("not well-formed XML with namespaces"));
  EXPECT_TRUE(refused("HTTP-Redirect", "HTTP-POST").contains("no SingleSignOnService"));
  EXPECT_TRUE(refused("https://idp.example/sso", "javascript:alert(1)").contains("no SingleSignOnService"));
  EXPECT_TRUE(refused("https://idp.example/sso", "https://idp.example/&#10;x").contains("no SingleSignOnService"));
  EXPECT_TRUE(refused("entityID=\"https://idp.example/metadata\"", "entityID=\"\"").contains("entity ID"));
  EXPECT_TRUE(refused("<ds:X509Certificate>MII", "<ds:X509Certificate>AAA").contains("no certificate"));
  EXPECT_TRUE(refused("<ds:X509Certificate>", "<ds:X509Certificate>x</ds:X509Certificate><ds:X509Certificate>").contains("several certificates"));
  EXPECT_EQ(read_metadata(with(good, "<EntityDescriptor ", "<EntityDescriptor validUntil=\"2026-12-01T00:00:00Z\" "))->valid_until_wall_ns, *time_of("2026-12-01T00:00:00Z"));
  EXPECT_TRUE(refused("<EntityDescriptor ", "<EntityDescriptor validUntil=\"soon\" ").contains("no time"));
}

}  // namespace
}  // namespace sallyport::identity::saml
