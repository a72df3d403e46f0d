#include "saml_bench.h"

#include <xmlsec/crypto.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/templates.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/xmltree.h>

namespace sallyport::identity::saml {
namespace {

xmlSecKeyPtr signing_key(const std::string& name) {
  if (name == "hmac") {
    const auto secret = fixture("idp.crt");
    return xmlSecKeyReadMemory(xmlSecKeyDataHmacId, reinterpret_cast<const xmlSecByte*>(secret.data()), static_cast<xmlSecSize>(secret.size()));
  }
  const auto pem = private_key(name);
  EVP_PKEY_up_ref(pem.get());
  auto* key = xmlSecKeyCreate();
  xmlSecKeySetValue(key, xmlSecOpenSSLEvpKeyAdopt(pem.get()));
  return key;
}

xmlNode* find(xmlNode* node, const char* name) { return xmlSecFindNode(node, reinterpret_cast<const xmlChar*>(name), reinterpret_cast<const xmlChar*>(kSignatureNs.data())); }

}  // namespace

Forged::Forged() {
  const auto golden = fixture("signed_assertion.xml");
  assertion = cut(golden, "<saml:Assertion", "</saml:Assertion>");
  response = with(golden, assertion, "@@");
  assertion = with(assertion, cut(assertion, "<ds:Signature", "</ds:Signature>"), "");
}

std::string Forged::xml() const {
  EXPECT_TRUE(xmlsec_ready());
  const auto signature = R"(<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm=")" + canonical +
                         R"("/><ds:SignatureMethod Algorithm=")" + method + R"("/><ds:Reference URI=")" + reference + R"("><ds:Transforms>)" + transforms +
                         R"(</ds:Transforms><ds:DigestMethod Algorithm=")" + digest + R"("/><ds:DigestValue></ds:DigestValue></ds:Reference>)" + more_references +
                         "</ds:SignedInfo><ds:SignatureValue></ds:SignatureValue></ds:Signature>";
  const std::string issuer = "</saml:Issuer>";
  const auto text = with(response, "@@", with(assertion, issuer, issuer + signature));
  Document document(xmlReadMemory(text.data(), static_cast<int>(text.size()), nullptr, nullptr, XML_PARSE_NONET));
  if (!document) {
    ADD_FAILURE() << "no XML: " << text;
    return {};
  }
  auto* root = xmlDocGetRootElement(document.get());
  const xmlChar* ids[] = {reinterpret_cast<const xmlChar*>("ID"), nullptr};
  xmlSecAddIDs(document.get(), root, ids);
  auto* context = xmlSecDSigCtxCreate(nullptr);
  context->signKey = signing_key(key);
  EXPECT_EQ(xmlSecDSigCtxSign(context, find(root, "Signature")), 0) << text;
  xmlSecDSigCtxDestroy(context);
  xmlChar* bytes = nullptr;
  int size = 0;
  auto* element = xmlBufferCreate();
  xmlNodeDump(element, document.get(), root, 0, 0);
  bytes = xmlBufferDetach(element);
  size = xmlStrlen(bytes);
  xmlBufferFree(element);
  std::string out(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  xmlFree(bytes);
  return out;
}

}  // namespace sallyport::identity::saml
