#include "identity/saml_signature.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <xmlsec/buffer.h>
#include <xmlsec/crypto.h>
#include <xmlsec/errors.h>
#include <xmlsec/io.h>
#include <xmlsec/openssl/crypto.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/xmlsec.h>

#include <algorithm>
#include <array>

namespace sallyport::identity::saml {
namespace {

constexpr std::size_t kMostPrefixes = 64;  // bytes; each is looked up at each element, before any signature is checked
constexpr std::string_view kEnveloped = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
constexpr std::array<std::string_view, 6> kSignatures = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",   "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",   "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512"};
constexpr std::array<std::string_view, 3> kDigests = {"http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#sha384",
                                                      "http://www.w3.org/2001/04/xmlenc#sha512"};

struct ContextFree {
  void operator()(xmlSecDSigCtx* context) const { xmlSecDSigCtxDestroy(context); }
};
using Context = std::unique_ptr<xmlSecDSigCtx, ContextFree>;

std::unexpected<SamlRefusal> form(std::string detail) { return refuse(Reason::BadSignatureForm, std::move(detail)); }

/// `parent` has exactly these children, in order; an optional last one is written "?Name".
bool has_exactly(const xmlNode* parent, std::initializer_list<std::string_view> names) {
  const auto found = children(parent);
  std::size_t at = 0;
  for (auto name : names) {
    const bool optional = name.starts_with('?');
    if (optional) name.remove_prefix(1);
    if (at < found.size() && is(found[at], kSignatureNs, name)) ++at;
    else if (!optional) return false;
  }
  return at == found.size();
}

bool is_exclusive(const xmlNode* method) {
  if (attribute(method, "Algorithm") != kExclusiveNs) return false;
  const auto inner = children(method);
  return inner.empty() || (inner.size() == 1 && is(inner[0], kExclusiveNs, "InclusiveNamespaces") && attribute(inner[0], "PrefixList").size() <= kMostPrefixes);
}

SamlJudged<void> check_reference(const xmlNode* reference, const std::string& id) {
  if (attribute(reference, "URI") != "#" + id) return refuse(Reason::SignatureElsewhere, "the reference is not to the element around the signature");
  if (!has_exactly(reference, {"Transforms", "DigestMethod", "DigestValue"})) return form("a Reference has Transforms, DigestMethod and DigestValue");
  const auto digest = attribute(only_child(reference, kSignatureNs, "DigestMethod"), "Algorithm");
  if (std::ranges::find(kDigests, digest) == kDigests.end()) return refuse(Reason::AlgorithmNotAllowed, "digest " + clean(digest));
  const auto transforms = only_child(reference, kSignatureNs, "Transforms");
  if (!has_exactly(transforms, {"Transform", "Transform"})) return form("transforms other than enveloped-signature and exclusive canonicalisation");
  const auto both = children(transforms);
  if (attribute(both[0], "Algorithm") != kEnveloped || !children(both[0]).empty() || !is_exclusive(both[1])) {
    return form("transforms other than enveloped-signature and exclusive canonicalisation");
  }
  return {};
}

/// What xmlsec would allow beyond what SAML needs is refused before it sees the signature.
SamlJudged<void> check_form(const xmlNode* signature, const std::string& id) {
  if (!has_exactly(signature, {"SignedInfo", "SignatureValue", "?KeyInfo"})) return form("a Signature has SignedInfo, SignatureValue and KeyInfo only");
  const auto info = only_child(signature, kSignatureNs, "SignedInfo");
  if (!has_exactly(info, {"CanonicalizationMethod", "SignatureMethod", "Reference"})) return form("a SignedInfo has one Reference");
  if (!is_exclusive(only_child(info, kSignatureNs, "CanonicalizationMethod"))) return refuse(Reason::AlgorithmNotAllowed, "canonicalisation that is not exclusive");
  const auto method = only_child(info, kSignatureNs, "SignatureMethod");
  const auto algorithm = attribute(method, "Algorithm");
  if (std::ranges::find(kSignatures, algorithm) == kSignatures.end() || !children(method).empty()) {
    return refuse(Reason::AlgorithmNotAllowed, "signature " + clean(algorithm));
  }
  if (auto value = text_of(signature, kSignatureNs, "SignatureValue"); !value) return std::unexpected(value.error());
  const auto reference = only_child(info, kSignatureNs, "Reference");
  if (auto good = check_reference(reference, id); !good) return good;
  if (auto digest = text_of(reference, kSignatureNs, "DigestValue"); !digest) return std::unexpected(digest.error());
  return {};
}

xmlSecKeyPtr key_for(const Key& key) {
  if (EVP_PKEY_up_ref(key.get()) != 1) return nullptr;
  auto* data = xmlSecOpenSSLEvpKeyAdopt(key.get());
  if (!data) {
    EVP_PKEY_free(key.get());
    return nullptr;
  }
  auto* out = xmlSecKeyCreate();
  if (!out || xmlSecKeySetValue(out, data) < 0) {
    xmlSecKeyDataDestroy(data);
    if (out) xmlSecKeyDestroy(out);
    return nullptr;
  }
  return out;
}

bool allow(xmlSecDSigCtx* context) {
  for (const auto id : {xmlSecTransformExclC14NId, xmlSecTransformRsaSha256Id, xmlSecTransformRsaSha384Id, xmlSecTransformRsaSha512Id,
                        xmlSecTransformEcdsaSha256Id, xmlSecTransformEcdsaSha384Id, xmlSecTransformEcdsaSha512Id}) {
    if (xmlSecDSigCtxEnableSignatureTransform(context, id) < 0) return false;
  }
  for (const auto id : {xmlSecTransformEnvelopedId, xmlSecTransformExclC14NId, xmlSecTransformSha256Id, xmlSecTransformSha384Id, xmlSecTransformSha512Id}) {
    if (xmlSecDSigCtxEnableReferenceTransform(context, id) < 0) return false;
  }
  context->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
  context->flags |= XMLSEC_DSIG_FLAGS_STORE_SIGNEDINFO_REFERENCES;
  return true;
}

/// The digested bytes, or nothing when this key did not sign.
std::string bytes_by(const Key& key, xmlNode* signature) {
  const Context context(xmlSecDSigCtxCreate(nullptr));
  if (!context || !allow(context.get())) return {};
  context->signKey = key_for(key);
  if (!context->signKey) return {};
  if (xmlSecDSigCtxVerify(context.get(), signature) < 0 || context->status != xmlSecDSigStatusSucceeded) return {};
  if (xmlSecPtrListGetSize(&context->signedInfoReferences) != 1 || xmlSecPtrListGetSize(&context->manifestReferences) != 0) return {};
  auto* reference = static_cast<xmlSecDSigReferenceCtxPtr>(xmlSecPtrListGetItem(&context->signedInfoReferences, 0));
  if (!reference || reference->status != xmlSecDSigStatusSucceeded) return {};
  auto* buffer = xmlSecDSigReferenceCtxGetPreDigestBuffer(reference);
  if (!buffer) return {};
  return {reinterpret_cast<const char*>(xmlSecBufferGetData(buffer)), xmlSecBufferGetSize(buffer)};
}

/// Only the element in question has an ID while its signature is judged, so a reference can find nothing else.
class KnownId {
 public:
  explicit KnownId(Element element) : document_(element->doc), attribute_(xmlHasNsProp(element, reinterpret_cast<const xmlChar*>("ID"), nullptr)) {
    auto* value = attribute_ ? xmlNodeGetContent(reinterpret_cast<xmlNode*>(attribute_)) : nullptr;
    if (value) known_ = xmlAddID(nullptr, document_, value, attribute_) != nullptr;
    if (value) xmlFree(value);
  }
  ~KnownId() {
    if (known_) xmlRemoveID(document_, attribute_);
  }
  KnownId(const KnownId&) = delete;
  bool known() const { return known_; }

 private:
  xmlDoc* document_;
  xmlAttr* attribute_;
  bool known_ = false;
};

void silent(const char*, int, const char*, const char*, const char*, int, const char*) {}

}  // namespace

bool xmlsec_ready() {
  static const bool ready = [] {
    xmlInitParser();
    if (xmlSecInit() < 0 || xmlSecCheckVersion() != 1 || xmlSecOpenSSLInit() < 0) return false;
    xmlSecIOCleanupCallbacks();      // no URI is ever opened, whatever a transform asks for
    xmlSecErrorsSetCallback(silent);  // what a stranger sent must not write to our standard error
    return true;
  }();
  return ready;
}

bool is_strong(EVP_PKEY* key) {
  if (!key) return false;
  const int bits = EVP_PKEY_get_bits(key);
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA) return bits >= 2048 && bits <= 8192;
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
  std::array<char, 64> group{};
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), nullptr) != 1) return false;
  const std::string_view name(group.data());
  return name == "prime256v1" || name == "secp384r1" || name == "secp521r1";
}

bool is_signed(const xmlNode* element) { return !children(element, kSignatureNs, "Signature").empty(); }

SamlJudged<void> signatures_only_in(xmlNode* root, const std::vector<Element>& places) {
  for (auto* element : all_elements(root)) {
    if (!is(element, kSignatureNs, "Signature")) continue;
    if (std::ranges::find(places, element->parent) == places.end()) return refuse(Reason::SignatureElsewhere, "a signature where none belongs");
  }
  return {};
}

SamlJudged<std::string> verified_bytes(Element element, const std::vector<Key>& keys) {
  if (!xmlsec_ready()) return refuse(Reason::KeysUnavailable, "xmlsec does not start");
  quiet_libxml();
  const auto found = children(element, kSignatureNs, "Signature");
  if (found.empty()) return refuse(Reason::NotSigned, "no signature");
  if (found.size() != 1) return form("more than one signature");
  const auto id = attribute(element, "ID");
  if (!is_id(id)) return form("no ID that a reference could name");
  if (auto good = check_form(found[0], id); !good) return std::unexpected(good.error());
  const KnownId known(element);
  if (!known.known()) return refuse(Reason::DuplicateId, "the ID stands twice");
  for (const auto& key : keys) {
    auto bytes = bytes_by(key, found[0]);
    ERR_clear_error();
    if (!bytes.empty()) return bytes;
  }
  return refuse(Reason::BadSignature, "no configured key made this signature");
}

SamlJudged<Document> verified(Element element, const std::vector<Key>& keys) {
  const auto bytes = verified_bytes(element, keys);
  if (!bytes) return std::unexpected(bytes.error());
  auto document = parse_strict(*bytes, kMaxSigned);
  if (!document) return document;
  auto* root = xmlDocGetRootElement(document->get());
  const std::string_view name(reinterpret_cast<const char*>(element->name));
  if (!element->ns || !is(root, reinterpret_cast<const char*>(element->ns->href), name) || attribute(root, "ID") != attribute(element, "ID")) {
    return refuse(Reason::SignatureElsewhere, "what was signed is another element");
  }
  return document;
}

}  // namespace sallyport::identity::saml
