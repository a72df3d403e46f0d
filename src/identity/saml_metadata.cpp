#include "identity/saml_metadata.h"

#include "base/text.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <fstream>

namespace sallyport::identity::saml {
namespace {

constexpr std::string_view kRedirect = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
constexpr std::size_t kMaxKeys = 16;

struct Free {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(BIO* p) const { BIO_free(p); }
};
using Certificate = std::unique_ptr<X509, Free>;

std::unexpected<Error> from(const SamlRefusal& refusal, std::string_view where) {
  return fail(ErrorKind::Malformed, fmt::format("{}: {}", where, refusal.detail));
}

Result<Key> public_key(const X509* certificate, std::string_view where) {
  Key key(X509_get_pubkey(const_cast<X509*>(certificate)), EVP_PKEY_free);
  ERR_clear_error();
  if (!is_strong(key.get())) return fail(ErrorKind::Malformed, fmt::format("{}: a certificate's key is RSA of 2048 to 8192 bits or P-256, P-384, P-521", where));
  return key;
}

Certificate from_pem(const std::string& pem) {
  const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  Certificate out(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr);
  ERR_clear_error();
  return out;
}

Result<Certificate> from_base64_der(std::string text) {
  std::erase_if(text, [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; });
  TRY(const auto der, from_base64(text));
  const auto* at = der.data();
  Certificate out(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (!out || at != der.data() + der.size()) return fail(ErrorKind::Malformed, "an X509Certificate that is no certificate");
  return out;
}

Result<std::string> file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::string out{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) return fail(ErrorKind::Unavailable, fmt::format("{} cannot be read", path));
  if (out.empty()) return fail(ErrorKind::Unavailable, fmt::format("{} cannot be read, or is empty", path));
  return out;
}

/// Signing certificates of a KeyDescriptor; one without `use` is for both (saml-metadata §2.4.1.1).
Result<void> add_keys(const xmlNode* role, Provider& out) {
  for (const auto* descriptor : children(role, kMetadataNs, "KeyDescriptor")) {
    if (const auto use = attribute(descriptor, "use"); !use.empty() && use != "signing") continue;
    for (const auto* element : all_elements(const_cast<xmlNode*>(descriptor))) {
      if (!is(element, kSignatureNs, "X509Certificate")) continue;
      // With the certificates of its authorities beside it, nothing says which of them signs messages.
      if (only_child(element->parent, kSignatureNs, "X509Certificate") != element) {
        return fail(ErrorKind::Malformed, "metadata: an X509Data with several certificates; leave the one that signs");
      }
      const auto text = text_of(element);
      if (!text) return from(text.error(), "metadata");
      TRY(const auto certificate, from_base64_der(*text));
      TRY(auto key, public_key(certificate.get(), "metadata"));
      out.keys.push_back(std::move(key));
      if (out.keys.size() > kMaxKeys) return fail(ErrorKind::Malformed, "metadata: over 16 signing certificates");
    }
  }
  return {};
}

std::string redirect_location(const xmlNode* role, std::string_view service, std::string* answer = nullptr) {
  for (const auto* one : children(role, kMetadataNs, service)) {
    if (attribute(one, "Binding") != kRedirect) continue;
    if (answer) *answer = has_attribute(one, "ResponseLocation") ? attribute(one, "ResponseLocation") : attribute(one, "Location");
    return attribute(one, "Location");
  }
  return {};
}

/// Our users' browsers are sent there: nothing but the web, and no header can be broken by it.
bool is_web_url(std::string_view url) {
  if (!url.starts_with("https://") && !url.starts_with("http://")) return false;
  return url.size() <= 2048 && !url.contains('#') && std::ranges::all_of(url, [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\'; });
}

Result<void> check(const Provider& provider) {
  if (provider.entity_id.empty() || provider.entity_id.size() > 1024) return fail(ErrorKind::Malformed, "the provider's entity ID has 1 to 1024 bytes");
  if (provider.keys.empty()) return fail(ErrorKind::Malformed, "the provider has no signing certificate: nothing of it could be believed");
  if (!is_web_url(provider.sso_url)) return fail(ErrorKind::Malformed, "the provider has no SingleSignOnService with the HTTP-Redirect binding and an https URL");
  for (const auto* url : {&provider.slo_url, &provider.slo_answer_url})
    if (!url->empty() && !is_web_url(*url)) return fail(ErrorKind::Malformed, "the provider's SingleLogoutService is no URL");
  return {};
}

void write_keys(const std::vector<OwnKey>& keys, std::string& out) {
  for (const auto& one : keys) {
    for (const auto* use : {"signing", "encryption"}) {
      out += fmt::format("<md:KeyDescriptor use=\"{}\"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>",
                         use, one.certificate);
      if (std::string_view(use) == "encryption") {
        out += "<md:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#aes256-gcm\"/>"
               "<md:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#aes128-gcm\"/>"
               "<md:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"/>";
      }
      out += "</md:KeyDescriptor>";
    }
  }
}

}  // namespace

Result<Provider> read_metadata(std::string_view xml) {
  const auto document = parse_file(xml);
  if (!document) return from(document.error(), "metadata");
  auto* root = xmlDocGetRootElement(document->get());
  if (!is(root, kMetadataNs, "EntityDescriptor")) return fail(ErrorKind::Malformed, "metadata: the root is no EntityDescriptor; a federation's list is not read");
  const auto* role = only_child(root, kMetadataNs, "IDPSSODescriptor");
  if (!role) return fail(ErrorKind::Malformed, "metadata: not exactly one IDPSSODescriptor");
  Provider out;
  out.entity_id = attribute(root, "entityID");
  for (const auto* element : {const_cast<const xmlNode*>(root), role}) {
    if (!has_attribute(element, "validUntil")) continue;
    const auto until = time_of(attribute(element, "validUntil"));
    if (!until) return from(until.error(), "metadata validUntil");
    out.valid_until_wall_ns = out.valid_until_wall_ns == 0 ? *until : std::min(out.valid_until_wall_ns, *until);
  }
  TRY_VOID(add_keys(role, out));
  out.sso_url = redirect_location(role, "SingleSignOnService");
  out.slo_url = redirect_location(role, "SingleLogoutService", &out.slo_answer_url);
  TRY_VOID(check(out));
  return out;
}

Result<Provider> read_provider(const SamlConfig& config) {
  if (!config.metadata.empty()) {
    TRY(const auto text, file_text(config.metadata));
    auto provider = read_metadata(text);
    if (!provider) return fail(provider.error().kind, fmt::format("{}: {}", config.metadata, provider.error().what));
    return provider;
  }
  Provider out{.entity_id = config.idp_entity_id, .sso_url = config.sso_url, .slo_url = config.slo_url, .slo_answer_url = config.slo_url};
  for (const auto& path : config.certificates) {
    TRY(const auto pem, file_text(path));
    const auto certificate = from_pem(pem);
    if (!certificate) return fail(ErrorKind::Malformed, fmt::format("{} is no PEM certificate", path));
    TRY(auto key, public_key(certificate.get(), path));
    out.keys.push_back(std::move(key));
  }
  TRY_VOID(check(out));
  return out;
}

Result<std::vector<OwnKey>> read_own_keys(const SamlConfig& config) {
  std::vector<OwnKey> out;
  for (const auto& pair : config.keys) {
    TRY(const auto pem, pair.certificate.read());
    const auto certificate = from_pem(pem);
    if (!certificate) return fail(ErrorKind::Malformed, fmt::format("identity.saml {}: a certificate is no PEM certificate", config.name));
    TRY(const auto secret, pair.key.read());
    const std::unique_ptr<BIO, Free> bio(BIO_new_mem_buf(secret.data(), static_cast<int>(secret.size())));
    const auto no_password = [](char*, int, int, void*) { return 0; };  // never ask on a terminal
    Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
    ERR_clear_error();
    const bool rsa = key && EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_RSA && is_strong(key.get());
    if (!rsa) return fail(ErrorKind::Malformed, fmt::format("identity.saml {}: a key is no PEM private key of RSA with 2048 to 8192 bits", config.name));
    if (X509_check_private_key(certificate.get(), key.get()) != 1) return fail(ErrorKind::Malformed, fmt::format("identity.saml {}: a key does not belong to its certificate", config.name));
    unsigned char* der = nullptr;
    const int size = i2d_X509(certificate.get(), &der);
    if (size <= 0) return fail(ErrorKind::Internal, "a certificate cannot be written");
    out.push_back({std::move(key), base64({der, static_cast<std::size_t>(size)})});
    OPENSSL_free(der);
  }
  return out;
}

std::string write_metadata(const Self& self, const std::vector<OwnKey>& keys) {
  std::string out = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<md:EntityDescriptor xmlns:md=\"{}\" xmlns:ds=\"{}\" entityID=\"{}\">"
      "<md:SPSSODescriptor AuthnRequestsSigned=\"{}\" WantAssertionsSigned=\"{}\" protocolSupportEnumeration=\"{}\">",
      kMetadataNs, kSignatureNs, markup_escaped(self.entity_id), self.sign_requests, self.want_signed_assertions, kProtocolNs);
  write_keys(keys, out);
  for (const auto* binding : {"HTTP-Redirect", "HTTP-POST"})
    out += fmt::format("<md:SingleLogoutService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{}\" Location=\"{}\"/>", binding, markup_escaped(self.slo_url));
  out += fmt::format("<md:AssertionConsumerService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" Location=\"{}\" index=\"0\" isDefault=\"true\"/>",
                     markup_escaped(self.acs_url));
  return out + "</md:SPSSODescriptor></md:EntityDescriptor>\n";
}

}  // namespace sallyport::identity::saml
