// What a provider really sends, and the words of it that must fit. Answers of samlify; those with a change in them are
// signed anew, so that nothing but the change can be the reason.
#include "saml_bench.h"

namespace sallyport::identity::saml {
namespace {

struct SamlResponse : testing::Test, Bench {};

TEST_F(SamlResponse, ASignedAssertionSaysWhoCame) {
  const auto identity = judge(fixture("signed_assertion.xml"));
  ASSERT_TRUE(identity) << identity.error().detail;
  EXPECT_EQ(identity->issuer, "https://idp.example/metadata");
  EXPECT_EQ(identity->subject, "u-1001");
  EXPECT_EQ(identity->email, "alice@example.com");
  EXPECT_EQ(identity->name, "Alice Example");
  EXPECT_EQ(identity->groups, (std::vector<std::string>{"admins", "engineers"}));
  EXPECT_EQ(identity->session_index, "_session-1");
  EXPECT_EQ(identity->in_response_to, "_request-1");
  EXPECT_EQ(identity->name_id, (SamlNameId{"u-1001", "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent", "", ""}));
  EXPECT_EQ(identity->expires_wall_ns, *time_of("2026-11-20T11:00:00Z"));
  EXPECT_EQ(identity->assertion, sha256(as_bytes("https://idp.example/metadata\n_assertion-1")));
  EXPECT_EQ(identity->assertion_until_wall_ns, *time_of("2026-11-20T11:00:30Z"));
}

TEST_F(SamlResponse, EachFormThatAProviderUsesIsRead) {
  for (const auto* name : {"signed_assertion", "signed_both", "second_key", "encrypted_gcm", "encrypted_signed_both"})
    EXPECT_EQ(verdict(fixture(std::string(name) + ".xml")), "accepted as u-1001") << name;
}

TEST_F(SamlResponse, ASignedResponseVouchesForItsAssertionOnlyWhereThatIsConfigured) {
  EXPECT_EQ(verdict(fixture("signed_response.xml")), "not_signed");
  config.signed_response = true;
  EXPECT_EQ(verdict(fixture("signed_response.xml")), "accepted as u-1001");
  EXPECT_EQ(verdict(fixture("signed_both.xml")), "accepted as u-1001");
  EXPECT_EQ(verdict(fixture("encrypted_signed_both.xml")), "accepted as u-1001");
  EXPECT_EQ(verdict(fixture("signed_assertion.xml")), "not_signed");
  EXPECT_EQ(verdict(fixture("encrypted_gcm.xml")), "not_signed");
}

TEST_F(SamlResponse, AesCbcIsReadOnlyWhereThatIsConfigured) {
  EXPECT_EQ(verdict(fixture("encrypted_cbc.xml")), "algorithm_not_allowed");
  config.cbc = true;
  EXPECT_EQ(verdict(fixture("encrypted_cbc.xml")), "accepted as u-1001");
}

TEST_F(SamlResponse, AnyOfOurKeysDecrypts) {
  own_keys = {private_key("idp2"), private_key("sp")};
  EXPECT_EQ(verdict(fixture("encrypted_gcm.xml")), "accepted as u-1001");
  own_keys = {private_key("idp2")};
  EXPECT_EQ(verdict(fixture("encrypted_gcm.xml")), "undecryptable");
  own_keys.clear();
  EXPECT_EQ(verdict(fixture("encrypted_gcm.xml")), "undecryptable");
}

TEST_F(SamlResponse, OnlyTheKeysOfTheMetadataAreBelieved) {
  provider.keys.pop_back();
  EXPECT_EQ(verdict(fixture("signed_assertion.xml")), "accepted as u-1001");
  EXPECT_EQ(verdict(fixture("second_key.xml")), "bad_signature");
}

TEST_F(SamlResponse, AnAnswerNobodyAskedForIsReadOnlyWhereThatIsConfigured) {
  EXPECT_EQ(verdict(fixture("unsolicited.xml")), "wrong_request");
  config.idp_initiated = true;
  EXPECT_EQ(verdict(fixture("unsolicited.xml")), "accepted as u-1001");
  EXPECT_EQ(judge(fixture("unsolicited.xml"))->in_response_to, "");
  // One that claims to answer must answer something, all the same.
  outstanding.clear();
  EXPECT_EQ(verdict(fixture("signed_assertion.xml")), "wrong_request");
  EXPECT_EQ(verdict(with(fixture("unsolicited.xml"), "Destination=", "InResponseTo=\"_request-1\" Destination=")), "wrong_request");
}

TEST_F(SamlResponse, AProvidersRefusalIsReadable) {
  const auto refused = judge(fixture("refused.xml"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::RefusedByProvider);
  EXPECT_EQ(refused.error().detail, "the provider says urn:oasis:names:tc:SAML:2.0:status:AuthnFailed");
  const auto more = with(fixture("refused.xml"), "AuthnFailed\"/>", "Responder\"><samlp:StatusCode Value=\"urn:x:Deep\"/></samlp:StatusCode><samlp:StatusMessage>no\xC3\xBC\nway</samlp:StatusMessage>");
  EXPECT_EQ(judge(more).error().detail, "the provider says urn:oasis:names:tc:SAML:2.0:status:Responder, urn:x:Deep: no???way");
}

TEST_F(SamlResponse, TheSignerOfTheTestsIsBelievedWhereTheProviderIs) { EXPECT_EQ(verdict(Forged().xml()), "accepted as u-1001"); }

TEST_F(SamlResponse, TheEnvelopeMustBeForUs) {
  EXPECT_EQ(verdict(with(fixture("signed_assertion.xml"), "Destination=\"https://gw", "Destination=\"https://other")), "wrong_destination");
  EXPECT_EQ(verdict(with(fixture("signed_assertion.xml"), "<saml:Issuer>https://idp", "<saml:Issuer>https://other")), "unknown_issuer");
  EXPECT_EQ(verdict(with(fixture("signed_assertion.xml"), "<saml:Issuer>", "<saml:Issuer Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress\">")), "unknown_issuer");
  EXPECT_EQ(verdict(with(fixture("signed_assertion.xml"), "Version=\"2.0\"", "Version=\"1.1\"")), "malformed");
  EXPECT_EQ(verdict(with(fixture("signed_assertion.xml"), "InResponseTo=\"_request-1\"", "InResponseTo=\"_request-0\"")), "wrong_request");
}

TEST_F(SamlResponse, TheAssertionMustBeForUsAndForThisRequest) {
  EXPECT_EQ(verdict(Forged().change("<saml:Issuer>https://idp", "<saml:Issuer>https://other").xml()), "unknown_issuer");
  EXPECT_EQ(verdict(Forged().change("Recipient=\"https://gw", "Recipient=\"https://other").xml()), "wrong_recipient");
  EXPECT_EQ(verdict(Forged().change("Recipient=\"https://gw.example:9443/saml/corp/acs\"", "").xml()), "wrong_recipient");
  EXPECT_EQ(verdict(Forged().change("InResponseTo=\"_request-1\"", "InResponseTo=\"_request-2\"").around("InResponseTo=\"_request-1\"", "").xml()), "wrong_request");
  EXPECT_EQ(verdict(Forged().change("InResponseTo=\"_request-1\"", "").around("InResponseTo=\"_request-1\"", "").xml()), "wrong_request");
  EXPECT_EQ(verdict(Forged().change("<saml:Audience>https://gw", "<saml:Audience>https://other").xml()), "wrong_audience");
  EXPECT_EQ(verdict(Forged().change(cut(Forged().assertion, "<saml:AudienceRestriction>", "</saml:AudienceRestriction>"), "").xml()), "wrong_audience");
  EXPECT_EQ(verdict(Forged().change(cut(Forged().assertion, "<saml:Conditions", "</saml:Conditions>"), "").xml()), "bad_conditions");
  EXPECT_EQ(verdict(Forged().change("</saml:Conditions>", "<saml:Condition/></saml:Conditions>").xml()), "bad_conditions");
  // All restrictions hold, and within one any audience does.
  const std::string other = "<saml:Audience>https://other</saml:Audience>";
  EXPECT_EQ(verdict(Forged().change("<saml:Audience>", other + "<saml:Audience>").xml()), "accepted as u-1001");
  EXPECT_EQ(verdict(Forged().change("</saml:Conditions>", "<saml:AudienceRestriction>" + other + "</saml:AudienceRestriction></saml:Conditions>").xml()), "wrong_audience");
  EXPECT_EQ(verdict(Forged().change("cm:bearer", "cm:holder-of-key").xml()), "bad_confirmation");
  EXPECT_EQ(verdict(Forged().change(cut(Forged().assertion, "<saml:AuthnStatement", "</saml:AuthnStatement>"), "").xml()), "bad_conditions");
}

TEST_F(SamlResponse, TimesHoldWithTheLeewayAndNotBeyondIt) {
  const auto golden = fixture("signed_assertion.xml");
  const std::pair<const char*, const char*> kMoments[] = {{"2026-11-20T09:59:29Z", "not_yet_valid"}, {"2026-11-20T09:59:30Z", "accepted as u-1001"},
                                                          {"2026-11-20T10:05:29.999Z", "accepted as u-1001"}, {"2026-11-20T10:05:30Z", "expired"}};
  for (const auto& [moment, expected] : kMoments) {
    wall_ns = *time_of(moment);
    EXPECT_EQ(verdict(golden), expected) << moment;
  }
  wall_ns = *time_of("2026-11-20T10:05:00Z");
  config.leeway_ns = 0;
  EXPECT_EQ(verdict(golden), "expired");
  config.leeway_ns = 3600LL * 1'000'000'000;  // a leeway beyond two minutes is two minutes
  wall_ns = *time_of("2026-11-20T10:07:00Z");
  EXPECT_EQ(verdict(golden), "expired");
}

TEST_F(SamlResponse, EachTimeIsJudgedByItself) {
  EXPECT_EQ(verdict(Forged().change("Conditions NotBefore=\"2026-11-20T10:00", "Conditions NotBefore=\"2026-11-20T10:02").xml()), "not_yet_valid");
  EXPECT_EQ(verdict(Forged().change("ConfirmationData NotOnOrAfter=\"2026-11-20T10:05:00.000Z\"", "ConfirmationData NotOnOrAfter=\"2026-11-20T09:00:00Z\"").xml()), "expired");
  EXPECT_EQ(verdict(Forged().change("ConfirmationData NotOnOrAfter=\"2026-11-20T10:05:00.000Z\"", "ConfirmationData ").xml()), "no_expiry");
  EXPECT_EQ(verdict(Forged().change("SessionNotOnOrAfter=\"2026-11-20T11", "SessionNotOnOrAfter=\"2026-11-20T09").xml()), "expired");
  EXPECT_EQ(verdict(Forged().change("AuthnInstant=\"2026-11-20T10", "AuthnInstant=\"2026-11-20T12").xml()), "not_yet_valid");
  EXPECT_EQ(verdict(Forged().change("IssueInstant=\"2026-11-20T10", "IssueInstant=\"2026-11-20T08").xml()), "expired");
  EXPECT_EQ(verdict(Forged().change("IssueInstant=\"2026-11-20T10:00:00.000Z", "IssueInstant=\"2026-11-20T10:00:00+00:00").xml()), "bad_time");
  const auto endless = judge(Forged().change(" SessionNotOnOrAfter=\"2026-11-20T11:00:00.000Z\"", "").xml());
  ASSERT_TRUE(endless);
  EXPECT_EQ(endless->expires_wall_ns, wall_ns + 24LL * 3600 * 1'000'000'000);
}

TEST_F(SamlResponse, MetadataThatIsOverBelievesNobody) {
  provider.valid_until_wall_ns = wall_ns + 1;
  EXPECT_EQ(verdict(fixture("signed_assertion.xml")), "accepted as u-1001");
  provider.valid_until_wall_ns = wall_ns;
  EXPECT_EQ(verdict(fixture("signed_assertion.xml")), "keys_unavailable");
}

TEST_F(SamlResponse, TheSubjectIsANameThatLasts) {
  EXPECT_EQ(verdict(Forged().change("nameid-format:persistent", "nameid-format:transient").xml()), "bad_subject");
  EXPECT_EQ(verdict(Forged().change("<saml:NameID ", "<saml:NameID NameQualifier=\"https://other\" ").xml()), "bad_subject");
  EXPECT_EQ(verdict(Forged().change("<saml:NameID ", "<saml:NameID NameQualifier=\"https://idp.example/metadata\" ").xml()), "accepted as u-1001");
  EXPECT_EQ(verdict(Forged().change(">u-1001<", "> <").xml()), "bad_subject");
  EXPECT_EQ(verdict(Forged().change(">u-1001<", ">u\n1<").xml()), "bad_subject");
  EXPECT_EQ(verdict(Forged().change(">u-1001<", ">u-1001 <").xml()), "bad_subject");
  EXPECT_EQ(verdict(Forged().change(">u-1001<", ">\nu-1001<").xml()), "bad_subject");
  config.subject_attribute = "email";
  EXPECT_EQ(verdict(Forged().change("nameid-format:persistent", "nameid-format:transient").xml()), "accepted as alice@example.com");
  EXPECT_EQ(verdict(Forged().change("Name=\"name\"", "Name=\"email\"").xml()), "bad_subject");
  config.subject_attribute = "uid";
  EXPECT_EQ(verdict(Forged().xml()), "bad_subject");
}

TEST_F(SamlResponse, AttributesAreTextAndOneWhereOneIsMeant) {
  EXPECT_EQ(verdict(Forged().change("Name=\"name\"", "Name=\"email\"").xml()), "bad_attributes");
  EXPECT_EQ(verdict(Forged().change(">engineers<", ">engi<b xmlns=\"urn:x\"/>neers<").xml()), "forbidden_markup");
  EXPECT_EQ(verdict(Forged().change(">engineers<", ">engi&#x7f;neers<").xml()), "bad_groups");
  EXPECT_EQ(verdict(Forged().change(">engineers<", "> engineers<").xml()), "bad_groups");
  EXPECT_EQ(verdict(Forged().change("</saml:AttributeStatement>", "<saml:EncryptedAttribute/></saml:AttributeStatement>").xml()), "bad_attributes");
  config.groups_attribute = "name";
  EXPECT_EQ(judge(Forged().xml())->groups, std::vector<std::string>{"Alice Example"});
  config.groups_attribute.clear();
  EXPECT_TRUE(judge(Forged().xml())->groups.empty());
}

TEST(SamlTime, IsUtcAndRead) {
  EXPECT_EQ(*time_of("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(*time_of("2026-11-20T10:00:00.25Z"), 1795168800'250'000'000);
  for (const auto* text : {"", "2026-11-20", "2026-11-20T10:00:00", "2026-11-20T10:00:00+01:00", "2026-02-30T10:00:00Z", "2026-11-20T24:00:00Z",
                           "2026-11-20T10:00:00.Z", "2026-11-20T10:00:00.1234567890123456789Z", "2026-11-20T10:00:60Z", "2026-11-20T10:00:00Z ", "9999-01-01T00:00:00Z", "2026-1-20T10:00:00Z"})
    EXPECT_FALSE(time_of(text)) << text;
}

}  // namespace
}  // namespace sallyport::identity::saml
