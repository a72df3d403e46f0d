#include "identity/saml_response.h"

#include <algorithm>

#include "identity/saml_assertion.h"
#include "identity/saml_decrypt.h"
#include "identity/saml_redirect.h"

namespace sallyport::identity::saml {
namespace {

constexpr std::string_view kEntity = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
constexpr std::string_view kSuccess = "urn:oasis:names:tc:SAML:2.0:status:Success";

std::string_view local_name(const xmlNode* element) { return reinterpret_cast<const char*>(element->name); }

std::size_t count(xmlNode* root, std::string_view name) {
  return static_cast<std::size_t>(std::ranges::count_if(all_elements(root), [&](const xmlNode* one) { return local_name(one) == name; }));
}

/// Only what the schema has, where it has it.
SamlJudged<void> check_children(const xmlNode* response) {
  for (const auto* child : children(response)) {
    const bool known = is(child, kAssertionNs, "Issuer") || is(child, kSignatureNs, "Signature") || is(child, kProtocolNs, "Extensions") ||
                       is(child, kProtocolNs, "Status") || is(child, kAssertionNs, "Assertion") || is(child, kAssertionNs, "EncryptedAssertion");
    if (!known) return refuse(Reason::Malformed, "an unknown element in the Response: " + clean(local_name(child)));
  }
  return {};
}

/// What the envelope says must fit; where it is not signed, this can only refuse.
SamlJudged<void> check_envelope(const xmlNode* response, const ResponseRules& rules, bool is_verified) {
  if (attribute(response, "Version") != "2.0") return refuse(Reason::Malformed, "not SAML 2.0");
  if (auto issuer = check_issuer(response, rules.provider, false); !issuer) return issuer;
  const auto destination = attribute(response, "Destination");
  if (destination.empty() ? is_verified : destination != rules.self.acs_url) return refuse(Reason::WrongDestination, "Destination " + clean(destination));
  return check_status(response);
}

/// The one assertion, plain or encrypted, as a child of the Response and nowhere else; by any name a reader could go by.
SamlJudged<Element> one_assertion(xmlNode* response) {
  const auto plain = children(response, kAssertionNs, "Assertion");
  const auto encrypted = children(response, kAssertionNs, "EncryptedAssertion");
  if (plain.size() + encrypted.size() != 1 || count(response, "Assertion") != plain.size() || count(response, "EncryptedAssertion") != encrypted.size()) {
    return refuse(Reason::NotOneAssertion, "not exactly one assertion");
  }
  return plain.empty() ? encrypted[0] : plain[0];
}

/// An assertion that a signature of its own, or of the response around it, covers, as the root of a new document.
SamlJudged<Document> believed(Element assertion, const ResponseRules& rules, bool response_verified) {
  if (is_signed(assertion)) return verified(assertion, rules.provider.keys);
  if (!response_verified || !rules.config.signed_response) return refuse(Reason::NotSigned, "the assertion is not signed");
  Document document(xmlNewDoc(nullptr));
  auto* copy = document ? xmlDocCopyNode(assertion, document.get(), 1) : nullptr;
  if (!copy) return refuse(Reason::Malformed, "no memory");
  xmlDocSetRootElement(document.get(), copy);
  return document;
}

SamlJudged<Document> opened(Element encrypted, const ResponseRules& rules, bool response_verified) {
  const auto plain = decrypt(encrypted, rules.own_keys, rules.config.cbc);
  if (!plain) return std::unexpected(plain.error());
  const auto document = parse_strict(*plain, kMaxMessage);
  if (!document) return std::unexpected(document.error());
  auto* root = xmlDocGetRootElement(document->get());
  if (!is(root, kAssertionNs, "Assertion") || count(root, "Assertion") != 1 || count(root, "EncryptedAssertion") != 0) {
    return refuse(Reason::NotOneAssertion, "what was encrypted is not one assertion");
  }
  if (auto places = signatures_only_in(root, {root}); !places) return std::unexpected(places.error());
  return believed(root, rules, response_verified);
}

/// The Response as it was signed; nothing when it is not signed at all.
SamlJudged<Document> signed_response(xmlNode* response, const ResponseRules& rules) {
  if (is_signed(response)) return verified(response, rules.provider.keys);
  if (rules.config.signed_response) return refuse(Reason::NotSigned, "the Response is not signed");
  return Document();
}

}  // namespace

std::int64_t leeway_of(const SamlConfig& config) { return std::clamp<std::int64_t>(config.leeway_ns, 0, 120'000'000'000); }

SamlJudged<void> check_issuer(const xmlNode* element, const Provider& provider, bool required) {
  const auto found = children(element, kAssertionNs, "Issuer");
  if (found.empty() && !required) return {};
  if (found.size() != 1) return refuse(Reason::UnknownIssuer, "not exactly one Issuer");
  if (has_attribute(found[0], "Format") && attribute(found[0], "Format") != kEntity) return refuse(Reason::UnknownIssuer, "an Issuer of another format");
  const auto text = text_of(found[0]);
  if (!text) return std::unexpected(text.error());
  if (*text != provider.entity_id) return refuse(Reason::UnknownIssuer, "Issuer " + clean(*text));
  return {};
}

SamlJudged<SamlNameId> read_name_id(const xmlNode* parent) {
  const auto* element = only_child(parent, kAssertionNs, "NameID");
  if (!element) return refuse(Reason::BadSubject, "not exactly one NameID; an EncryptedID is not read");
  auto value = whole_text_of(element);
  if (!value) return std::unexpected(value.error());
  return SamlNameId{std::move(*value), attribute(element, "Format"), attribute(element, "NameQualifier"), attribute(element, "SPNameQualifier")};
}

SamlJudged<void> check_status(const xmlNode* response) {
  const auto* status = only_child(response, kProtocolNs, "Status");
  const auto* code = status ? only_child(status, kProtocolNs, "StatusCode") : nullptr;
  if (!code) return refuse(Reason::Malformed, "not exactly one Status with a StatusCode");
  const auto value = attribute(code, "Value");
  if (value == kSuccess) return {};
  auto detail = "the provider says " + clean(value);
  if (const auto* second = only_child(code, kProtocolNs, "StatusCode")) detail += ", " + clean(attribute(second, "Value"));
  if (const auto* message = only_child(status, kProtocolNs, "StatusMessage"))
    if (const auto text = text_of(message)) detail += ": " + clean(*text);
  return refuse(Reason::RefusedByProvider, std::move(detail));
}

SamlJudged<SamlIdentity> judge_response(std::string_view xml, const ResponseRules& rules) {
  if (rules.provider.valid_until_wall_ns != 0 && rules.wall_ns >= rules.provider.valid_until_wall_ns) {
    return refuse(Reason::KeysUnavailable, "the provider's metadata is over its validUntil");
  }
  const auto document = parse_strict(xml, kMaxMessage);
  if (!document) return std::unexpected(document.error());
  auto* root = xmlDocGetRootElement(document->get());
  if (!is(root, kProtocolNs, "Response") || count(root, "Response") != 1) return refuse(Reason::Malformed, "the root is not the one Response");
  if (auto known = check_children(root); !known) return std::unexpected(known.error());

  const auto whole = signed_response(root, rules);
  if (!whole) return std::unexpected(whole.error());
  const bool response_verified = *whole != nullptr;
  // From here on a verified Response is read only as it was signed.
  auto* envelope = response_verified ? xmlDocGetRootElement(whole->get()) : root;
  if (auto good = check_envelope(envelope, rules, response_verified); !good) return std::unexpected(good.error());

  const auto found = one_assertion(root);
  if (!found) return std::unexpected(found.error());
  const bool encrypted = is(*found, kAssertionNs, "EncryptedAssertion");
  if (auto places = signatures_only_in(root, {root, encrypted ? root : *found}); !places) return std::unexpected(places.error());
  const auto inside = one_assertion(envelope);
  if (!inside) return std::unexpected(inside.error());

  if (encrypted != is(*inside, kAssertionNs, "EncryptedAssertion")) return refuse(Reason::NotOneAssertion, "not exactly one assertion");
  // An assertion's own signature is judged where it was made, with the name spaces around it.
  const auto assertion = encrypted ? opened(*inside, rules, response_verified) : believed(is_signed(*found) ? *found : *inside, rules, response_verified);
  if (!assertion) return std::unexpected(assertion.error());
  return read_assertion(xmlDocGetRootElement(assertion->get()), rules, attribute(envelope, "InResponseTo"));
}

}  // namespace sallyport::identity::saml
