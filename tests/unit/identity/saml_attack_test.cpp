// What forgers do with a true answer: signature wrapping in its eight known places, markup that parsers read differently,
// signatures that cover something else or are none. Each begins with a message that would be accepted.
#include <fmt/format.h>

#include "saml_bench.h"

namespace sallyport::identity::saml {
namespace {

struct SamlAttack : testing::Test, Bench {
  const std::string golden = fixture("signed_assertion.xml");
  const std::string assertion = cut(golden, "<saml:Assertion", "</saml:Assertion>");
  const std::string signature = cut(golden, "<ds:Signature ", "</ds:Signature>");
  const std::string bare = with(assertion, signature, "");
  /// What the attacker would like to be: another subject, another ID.
  const std::string evil = with(with(bare, ">u-1001<", ">u-0000<"), "ID=\"_assertion-1\"", "ID=\"_evil\"");

  std::string inside(const std::string& content) const { return with(golden, assertion, content); }
  void SetUp() override {
    // Without this, a refusal below could have another reason than the attack.
    ASSERT_EQ(verdict(golden), "accepted as u-1001");
    ASSERT_EQ(verdict(fixture("signed_both.xml")), "accepted as u-1001");
  }
};

/// As for assertions, in the response's own signature (XSW 1 and 2).
struct SamlResponseWrapping : testing::Test, Bench {
  const std::string golden = fixture("signed_response.xml");
  const std::string signature = cut(golden, "<ds:Signature ", "</ds:Signature>");
  const std::string bare = with(golden, signature, "");
  const std::string evil = with(with(with(bare, ">u-1001<", ">u-0000<"), "ID=\"_response-1\"", "ID=\"_evil\""), "ID=\"_assertion-1\"", "ID=\"_evil-2\"");
  void SetUp() override {
    config.signed_response = true;
    ASSERT_EQ(verdict(golden), "accepted as u-1001");
  }
};

TEST_F(SamlResponseWrapping, Xsw1TheTrueResponseInsideTheSignature) {
  const auto wrapped = with(signature, "</ds:Signature>", bare + "</ds:Signature>");
  EXPECT_EQ(verdict(with(evil, "</saml:Issuer>", "</saml:Issuer>" + wrapped)), "malformed");
  const auto object = with(signature, "</ds:Signature>", "<ds:Object>" + bare + "</ds:Object></ds:Signature>");
  EXPECT_EQ(verdict(with(evil, "</saml:Issuer>", "</saml:Issuer>" + object)), "malformed");
}

TEST_F(SamlResponseWrapping, Xsw2TheTrueResponseBesideTheSignature) {
  EXPECT_EQ(verdict(with(evil, "</saml:Issuer>", "</saml:Issuer>" + bare + signature)), "malformed");
  EXPECT_EQ(verdict(with(evil, "</saml:Issuer>", "</saml:Issuer><samlp:Extensions>" + bare + "</samlp:Extensions>" + signature)), "malformed");
}

TEST_F(SamlResponseWrapping, AnotherAssertionInASignedResponseIsNotSigned) {
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-0000<")), "bad_signature");
}

TEST_F(SamlAttack, Xsw3AnEvilAssertionBeforeTheTrueOne) {
  EXPECT_EQ(verdict(inside(evil + assertion)), "not_one_assertion");
  EXPECT_EQ(verdict(inside(assertion + evil)), "not_one_assertion");
}

TEST_F(SamlAttack, Xsw4TheTrueAssertionInsideTheEvilOne) {
  EXPECT_EQ(verdict(inside(with(evil, "</saml:Assertion>", assertion + "</saml:Assertion>"))), "not_one_assertion");
}

TEST_F(SamlAttack, Xsw5TheSignatureInTheEvilAssertionTheTrueOneAtTheEnd) {
  EXPECT_EQ(verdict(inside(with(evil, "</saml:Issuer>", "</saml:Issuer>" + signature) + bare)), "not_one_assertion");
}

TEST_F(SamlAttack, Xsw6TheTrueAssertionInsideTheSignatureOfTheEvilOne) {
  const auto wrapped = with(signature, "</ds:Signature>", bare + "</ds:Signature>");
  EXPECT_EQ(verdict(inside(with(evil, "</saml:Issuer>", "</saml:Issuer>" + wrapped))), "not_one_assertion");
}

TEST_F(SamlAttack, Xsw7TheTrueAssertionInExtensions) {
  EXPECT_EQ(verdict(inside("<samlp:Extensions>" + assertion + "</samlp:Extensions>" + evil)), "not_one_assertion");
  // Under another name space, where a careless reader would find it.
  const auto renamed = with(with(evil, "<saml:Assertion", "<x:Assertion xmlns:x=\"urn:x\""), "</saml:Assertion>", "</x:Assertion>");
  EXPECT_EQ(verdict(inside("<samlp:Extensions>" + renamed + "</samlp:Extensions>" + assertion)), "not_one_assertion");
}

TEST_F(SamlAttack, Xsw8TheTrueAssertionInAnObjectOfTheSignature) {
  const auto object = with(signature, "</ds:Signature>", "<ds:Object>" + bare + "</ds:Object></ds:Signature>");
  EXPECT_EQ(verdict(inside(with(evil, "</saml:Issuer>", "</saml:Issuer>" + object))), "not_one_assertion");
}

TEST_F(SamlAttack, TheTrueAssertionInTheAdviceOfTheEvilOne) {
  EXPECT_EQ(verdict(inside(with(evil, "<saml:AuthnStatement", "<saml:Advice>" + assertion + "</saml:Advice><saml:AuthnStatement"))), "not_one_assertion");
}

TEST_F(SamlAttack, WrappingAnEncryptedAssertion) {
  const auto encrypted = cut(fixture("encrypted_gcm.xml"), "<saml:EncryptedAssertion", "</saml:EncryptedAssertion>");
  EXPECT_EQ(verdict(inside(encrypted + evil)), "not_one_assertion");
  EXPECT_EQ(verdict(inside(encrypted + assertion)), "not_one_assertion");
  EXPECT_EQ(verdict(inside(encrypted + encrypted)), "not_one_assertion");
}

TEST_F(SamlAttack, AnyChangeBreaksTheSignature) {
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-1002<")), "bad_signature");
  EXPECT_EQ(verdict(with(golden, ">engineers<", ">owners<")), "bad_signature");
  EXPECT_EQ(verdict(with(golden, "<saml:Audience>https://gw", "<saml:Audience>https://gx")), "bad_signature");
  EXPECT_EQ(verdict(with(golden, "<ds:DigestValue>", "<ds:DigestValue>AAAA")), "bad_signature");
  EXPECT_EQ(verdict(with(golden, "<ds:SignatureValue>", "<ds:SignatureValue>AAAA")), "bad_signature");
  EXPECT_EQ(verdict(with(golden, "ID=\"_assertion-1\"", "ID=\"_assertion-2\"")), "signature_elsewhere");
}

TEST_F(SamlAttack, UnsignedIsNothing) {
  EXPECT_EQ(verdict(inside(bare)), "not_signed");
  EXPECT_EQ(verdict(inside(evil)), "not_signed");
  // A signature elsewhere does not help.
  EXPECT_EQ(verdict(with(inside(bare), "<samlp:Status>", signature + "<samlp:Status>")), "signature_elsewhere");
  EXPECT_EQ(verdict(inside(with(bare, "<saml:AuthnStatement", "<saml:Advice>" + signature + "</saml:Advice><saml:AuthnStatement"))), "signature_elsewhere");
  EXPECT_EQ(verdict(with(with(inside(bare), "<samlp:Status>", "<samlp:Extensions>" + signature + "</samlp:Extensions><samlp:Status>"), "ID=\"_assertion-1\"", "ID=\"_a\"")), "signature_elsewhere");
}

TEST_F(SamlAttack, AStrangersKeyIsNotBelievedThoughItComesWithTheMessage) {
  Forged forged;
  forged.key = "sp";
  EXPECT_EQ(verdict(forged.xml()), "bad_signature");
  // With its own certificate in KeyInfo.
  auto pem = fixture("sp.crt");
  pem = cut(pem, "-----\n", "\n-----END").substr(6);
  pem.resize(pem.size() - 9);
  const auto info = "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>" + pem + "</ds:X509Certificate></ds:X509Data></ds:KeyInfo>";
  EXPECT_EQ(verdict(with(forged.xml(), "</ds:SignatureValue>", "</ds:SignatureValue>" + info)), "bad_signature");
}

TEST_F(SamlAttack, WeakAlgorithmsAreNotHeard) {
  Forged forged;
  forged.method = "http://www.w3.org/2000/09/xmldsig#rsa-sha1";
  EXPECT_EQ(verdict(forged.xml()), "algorithm_not_allowed");
  forged = Forged();
  forged.digest = "http://www.w3.org/2000/09/xmldsig#sha1";
  EXPECT_EQ(verdict(forged.xml()), "algorithm_not_allowed");
  forged = Forged();
  forged.method = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256";
  forged.key = "hmac";
  EXPECT_EQ(verdict(forged.xml()), "algorithm_not_allowed");
  forged = Forged();
  forged.canonical = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
  EXPECT_EQ(verdict(forged.xml()), "algorithm_not_allowed");
  forged = Forged();
  forged.canonical = "http://www.w3.org/2001/10/xml-exc-c14n#WithComments";
  EXPECT_EQ(verdict(forged.xml()), "algorithm_not_allowed");
}

TEST_F(SamlAttack, StrongOnesAre) {
  for (const auto* method : {"rsa-sha384", "rsa-sha512"}) {
    Forged forged;
    forged.method = fmt::format("http://www.w3.org/2001/04/xmldsig-more#{}", method);
    forged.digest = "http://www.w3.org/2001/04/xmlenc#sha512";
    EXPECT_EQ(verdict(forged.xml()), "accepted as u-1001") << method;
  }
}

TEST_F(SamlAttack, ReferencesThatCoverSomethingElse) {
  const std::pair<const char*, const char*> kReferences[] = {
      {"", "signature_elsewhere"}, {"#_response-1", "signature_elsewhere"}, {"#xpointer(/)", "signature_elsewhere"}, {"#xpointer(id('_assertion-1'))", "signature_elsewhere"}};
  for (const auto& [uri, expected] : kReferences) {
    Forged forged;
    forged.reference = uri;
    EXPECT_EQ(verdict(forged.xml()), expected) << uri;
  }
  EXPECT_EQ(verdict(with(golden, "<ds:Reference URI=\"#_assertion-1\">", "<ds:Reference>")), "signature_elsewhere");
  EXPECT_EQ(verdict(with(golden, "<ds:Reference URI=\"#_assertion-1\">", "<ds:Reference URI=\"http://127.0.0.1:1/x\">")), "signature_elsewhere");
  EXPECT_EQ(verdict(with(golden, "<ds:Reference URI=\"#_assertion-1\">", "<ds:Reference URI=\"file:///etc/passwd\">")), "signature_elsewhere");
  Forged two;
  two.more_references = R"(<ds:Reference URI="#_response-1"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><ds:DigestValue></ds:DigestValue></ds:Reference>)";
  two.reference = "#_assertion-1";
  EXPECT_EQ(verdict(two.xml()), "bad_signature_form");
}

TEST_F(SamlAttack, TransformsThatWouldLeaveSomethingOut) {
  const std::string enveloped = R"(<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>)";
  const std::string exclusive = R"(<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>)";
  const std::string xpath = R"(<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>not(self::text())</ds:XPath></ds:Transform>)";
  const std::string filter = R"(<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"><f:XPath xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">//*</f:XPath></ds:Transform>)";
  const std::string xslt = R"(<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/"><x/></xsl:template></xsl:stylesheet></ds:Transform>)";
  const std::string base64 = R"(<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>)";
  for (const auto& transforms : {enveloped + xpath + exclusive, xpath + exclusive, enveloped + filter, enveloped + xslt, xslt + exclusive, exclusive + enveloped,
                                 enveloped, exclusive, std::string(), enveloped + enveloped + exclusive, enveloped + base64}) {
    const auto list = cut(golden, "<ds:Transforms>", "</ds:Transforms>");
    EXPECT_EQ(verdict(with(golden, list, "<ds:Transforms>" + transforms + "</ds:Transforms>")), "bad_signature_form") << transforms;
  }
  // Signed as it is by the provider's own key: still refused.
  Forged forged;
  forged.transforms = enveloped + xpath + exclusive;
  EXPECT_EQ(verdict(forged.xml()), "bad_signature_form");
}

TEST_F(SamlAttack, ASignatureHasNoMoreThanItNeeds) {
  EXPECT_EQ(verdict(with(golden, "</ds:Signature>", "<ds:Object>x</ds:Object></ds:Signature>")), "bad_signature_form");
  EXPECT_EQ(verdict(with(golden, signature, signature + signature)), "bad_signature_form");
  EXPECT_EQ(verdict(with(golden, "<ds:SignedInfo>", "<ds:SignedInfo/><ds:SignedInfo>")), "bad_signature_form");
  EXPECT_EQ(verdict(with(golden, "<ds:DigestValue>", "<ds:DigestValue>AAAA</ds:DigestValue><ds:DigestValue>")), "bad_signature_form");
  EXPECT_EQ(verdict(with(golden, "<ds:DigestValue>", "<ds:DigestValue><!--AAAA-->")), "forbidden_markup");
  EXPECT_EQ(verdict(with(golden, "<ds:DigestValue>", "<ds:DigestValue><x xmlns=\"urn:x\"/>")), "forbidden_markup");
}

TEST_F(SamlAttack, TwoElementsOfOneId) {
  EXPECT_EQ(verdict(with(golden, "ID=\"_response-1\"", "ID=\"_assertion-1\"")), "duplicate_id");
  EXPECT_EQ(verdict(with(golden, "<saml:Subject>", "<saml:Subject Id=\"_assertion-1\">")), "duplicate_id");
  EXPECT_EQ(verdict(with(golden, "<saml:Subject>", "<saml:Subject xml:id=\"_assertion-1\">")), "duplicate_id");
  EXPECT_EQ(verdict(with(golden, "<samlp:Status>", "<samlp:Status xml:id=\"_other\">")), "duplicate_id");
}

TEST_F(SamlAttack, TextIsWholeOrRefused) {
  // The comment is not in the canonical form, so the signature would hold (CVE-2018-0489 and its like).
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-1001<!-- -->.evil<")), "forbidden_markup");
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-<!-- -->1001<")), "forbidden_markup");
  EXPECT_EQ(verdict(with(golden, ">alice@example.com<", ">alice@example.com<!-- --><")), "forbidden_markup");
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-<?x y?>1001<")), "forbidden_markup");
  EXPECT_EQ(verdict(with(golden, ">u-1001<", "><![CDATA[u-1001]]><")), "forbidden_markup");
  EXPECT_EQ(verdict(Forged().change(">u-1001<", ">u-<b xmlns=\"urn:x\">1001</b><").xml()), "forbidden_markup");
  // Character references are text like any other.
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-&#49;001<")), "accepted as u-1001");
}

TEST_F(SamlAttack, DocumentTypesAndEntities) {
  const std::string plain = golden;
  EXPECT_EQ(verdict("<!DOCTYPE x>" + plain), "forbidden_markup");
  EXPECT_EQ(verdict("<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"b\">]>" + plain), "forbidden_markup");
  EXPECT_EQ(verdict("<!DOCTYPE x SYSTEM \"file:///etc/passwd\">" + plain), "forbidden_markup");
  EXPECT_EQ(verdict("<!DOCTYPE x [<!ENTITY e SYSTEM \"http://127.0.0.1:1/\">]>" + with(plain, ">u-1001<", ">&e;<")), "forbidden_markup");
  std::string bomb = "<!DOCTYPE x [<!ENTITY a0 \"lol\">";
  for (int i = 1; i < 10; ++i) bomb += fmt::format("<!ENTITY a{0} \"&a{1};&a{1};&a{1};&a{1};&a{1};&a{1};&a{1};&a{1};&a{1};&a{1};\">", i, i - 1);
  EXPECT_EQ(verdict(bomb + "]>" + with(plain, ">u-1001<", ">&a9;<")), "forbidden_markup");
  EXPECT_EQ(verdict(with(plain, ">u-1001<", ">&undefined;<")), "malformed");
}

TEST_F(SamlAttack, SizeDepthAndWidthHaveBounds) {
  EXPECT_EQ(verdict(with(golden, "<samlp:Status>", std::string(300'000, ' ') + "<samlp:Status>")), "forbidden_markup");
  std::string deep, close;
  for (int i = 0; i < 50; ++i) deep += "<x>", close += "</x>";
  EXPECT_EQ(verdict(with(golden, "<samlp:Status>", "<samlp:Extensions>" + deep + close + "</samlp:Extensions><samlp:Status>")), "forbidden_markup");
  std::string wide;
  for (int i = 0; i < 33; ++i) wide += fmt::format(" a{}=\"\"", i);
  EXPECT_EQ(verdict(with(golden, "<samlp:Status>", "<samlp:Status" + wide + ">")), "forbidden_markup");
  std::string scoped, unscoped;
  for (int i = 0; i < 33; ++i) scoped += fmt::format("<x xmlns:n{}=\"urn:n\">", i), unscoped += "</x>";
  EXPECT_EQ(verdict(with(golden, "<samlp:Status>", "<samlp:Extensions>" + scoped + unscoped + "</samlp:Extensions><samlp:Status>")), "forbidden_markup");
  std::string many;
  for (int i = 0; i < 8200; ++i) many += "<x/>";
  EXPECT_EQ(verdict(with(golden, "<samlp:Status>", "<samlp:Extensions>" + many + "</samlp:Extensions><samlp:Status>")), "forbidden_markup");
  const std::string exclusive = R"(<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#")";
  const auto inclusive = [&](const std::string& prefixes) {
    return exclusive + R"(><ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList=")" + prefixes + R"("/></ds:Transform>)";
  };
  Forged forged;
  forged.transforms = with(forged.transforms, exclusive + "/>", inclusive("xs saml xsi"));
  EXPECT_EQ(verdict(forged.xml()), "accepted as u-1001");
  EXPECT_EQ(verdict(with(golden, exclusive + "/>", inclusive(std::string(65, 'a')))), "bad_signature_form");
}

TEST_F(SamlAttack, BytesThatOthersWouldReadOtherwise) {
  EXPECT_EQ(verdict(golden + std::string(1, '\0')), "malformed");
  EXPECT_EQ(verdict(with(golden, ">u-1001<", ">u-1001\xFF<")), "malformed");
  EXPECT_EQ(verdict("\xEF\xBB\xBF" + golden), "malformed");
  EXPECT_EQ(verdict(golden + golden), "malformed");
  EXPECT_EQ(verdict(golden.substr(0, golden.size() / 2)), "malformed");
  EXPECT_EQ(verdict(""), "malformed");
  EXPECT_EQ(verdict("<x/>"), "malformed");
  // Declared as something else, it is still read as UTF-8 and still signed as such.
  EXPECT_EQ(verdict("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>" + golden), "accepted as u-1001");
  EXPECT_EQ(verdict("<?xml version=\"1.0\" encoding=\"UTF-7\"?>" + with(golden, ">u-1001<", ">+ADw-<")), "bad_signature");
}

TEST_F(SamlAttack, NothingOfItIsWrittenToStandardError) {
  testing::internal::CaptureStderr();
  // Canonicalisation refuses a relative name space, and libxml2 likes to say so.
  EXPECT_EQ(verdict(with(golden, "<saml:Subject>", "<saml:Subject xmlns:x=\"relative\">")), "bad_signature");
  EXPECT_EQ(verdict(golden.substr(0, 500)), "malformed");
  EXPECT_EQ(verdict(with(golden, "<ds:SignatureValue>", "<ds:SignatureValue>!")), "bad_signature");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST_F(SamlAttack, AnEncryptedAssertionIsNoWayAround) {
  const auto encrypted = fixture("encrypted_gcm.xml");
  ASSERT_EQ(verdict(encrypted), "accepted as u-1001");
  EXPECT_EQ(verdict(with(encrypted, "xmlenc11#aes256-gcm", "xmlenc11#aes128-gcm")), "undecryptable");
  EXPECT_EQ(verdict(with(encrypted, "http://www.w3.org/2009/xmlenc11#aes256-gcm", "http://www.w3.org/2001/04/xmlenc#tripledes-cbc")), "algorithm_not_allowed");
  EXPECT_EQ(verdict(with(encrypted, "xmlenc#rsa-oaep-mgf1p", "xmlenc#rsa-1_5")), "algorithm_not_allowed");
  const auto at = encrypted.find("CipherValue>", encrypted.find("</e:EncryptedKey>")) + 40;
  auto flipped = encrypted;
  flipped[at] = flipped[at] == 'A' ? 'B' : 'A';
  EXPECT_EQ(verdict(flipped), "undecryptable");
  const auto value = cut(encrypted, "<xenc:CipherValue>", "</xenc:CipherValue>");
  EXPECT_EQ(verdict(with(encrypted, value, "<xenc:CipherReference URI=\"file:///etc/passwd\"/>")), "undecryptable");
}

}  // namespace
}  // namespace sallyport::identity::saml
