#pragma once
// What the SAML tests share: the provider and messages of tests/fixtures/saml, and a signer of whatever a test makes up.
#include <gtest/gtest.h>

#include <openssl/pem.h>

#include <fstream>
#include <string>
#include <vector>

#include "identity/saml_metadata.h"
#include "identity/saml_response.h"

namespace sallyport::identity::saml {

inline std::string fixture(const std::string& name) {
  std::ifstream in(std::string(SALLYPORT_SOURCE_DIR) + "/tests/fixtures/saml/" + name, std::ios::binary);
  std::string out{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(out.empty()) << name;
  return out;
}

inline std::string fixture_path(const std::string& name) { return std::string(SALLYPORT_SOURCE_DIR) + "/tests/fixtures/saml/" + name; }

inline Key private_key(const std::string& name) {
  const auto pem = fixture(name + ".key");
  auto* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  Key key(PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr), EVP_PKEY_free);
  BIO_free(bio);
  EXPECT_TRUE(key);
  return key;
}

/// `text` with the first `from` replaced; the test fails when there is none.
inline std::string with(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

/// From the first `begin` to the end of the first `end` after it.
inline std::string cut(const std::string& text, const std::string& begin, const std::string& end) {
  const auto from = text.find(begin);
  const auto to = from == std::string::npos ? from : text.find(end, from);
  EXPECT_NE(to, std::string::npos) << begin;
  return to == std::string::npos ? std::string() : text.substr(from, to + end.size() - from);
}

struct Bench {
  Bench() : provider(*read_metadata(fixture("idp.xml"))), own_keys({private_key("sp")}) {
    config.name = "corp";
    self = {.entity_id = "https://gw.example:9443/saml/corp/metadata", .acs_url = "https://gw.example:9443/saml/corp/acs",
            .slo_url = "https://gw.example:9443/saml/corp/slo"};
  }
  SamlJudged<SamlIdentity> judge(const std::string& xml) const {
    return judge_response(xml, {config, provider, own_keys, self, outstanding, wall_ns});
  }
  /// The reason of a refusal, or "accepted as SUBJECT".
  std::string verdict(const std::string& xml) const {
    const auto identity = judge(xml);
    return identity ? "accepted as " + identity->subject : std::string(to_string(identity.error().reason));
  }
  SamlConfig config;
  Provider provider;
  std::vector<Key> own_keys;
  Self self;
  std::vector<std::string> outstanding = {"_request-0", "_request-1"};
  std::int64_t wall_ns = *time_of("2026-11-20T10:00:30Z");
};

/// A response as a test wants it, signed by xmlsec with the provider's own key unless said otherwise.
struct Forged {
  std::string method = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
  std::string digest = "http://www.w3.org/2001/04/xmlenc#sha256";
  std::string canonical = "http://www.w3.org/2001/10/xml-exc-c14n#";
  std::string transforms = R"(<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>)"
                           R"(<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>)";
  std::string reference = "#_assertion-1";
  std::string more_references;
  std::string key = "idp";       // of the fixtures; "hmac" signs with the certificate's text as a secret
  // The unsigned assertion and the response around it, taken from the golden one.
  std::string assertion, response;

  Forged();
  Forged& change(const std::string& from, const std::string& to) {
    assertion = with(assertion, from, to);
    return *this;
  }
  Forged& around(const std::string& from, const std::string& to) {
    response = with(response, from, to);
    return *this;
  }
  std::string xml() const;
};

}  // namespace sallyport::identity::saml
