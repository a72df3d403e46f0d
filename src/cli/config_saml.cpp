// identity.saml: the SAML providers. Files and secrets are named here and read at start and at each reload.
#include <fmt/format.h>

#include "cli/config_reader.h"

namespace sallyport::cli {

void ConfigReader::saml(const yaml::Node& node, identity::IdentityConfig& out) {
  identity::SamlConfig one;
  yaml::Mapping fields(node, diagnostics_, "saml");
  if (!fields.valid()) return;
  fields.string("name", one.name, true);
  if (const auto* found = fields.get("name"); found && found->kind == yaml::Node::Kind::Scalar) {
    name("identity.saml.name", one.name, found->place, "-_", 64);
    for (const auto& other : out.saml)
      if (other.name == one.name) error(found->place, fmt::format("the provider {} stands here a second time", one.name));
  }
  path(fields, "metadata", one.metadata);
  const auto* idp = fields.get("idp");
  if (fields.has("metadata") == (idp != nullptr)) error(node.place, "saml has exactly one of metadata (a file of the provider) and idp (its settings, one by one)");
  if (idp) saml_idp(*idp, one);
  fields.string("entity_id", one.entity_id);
  if (const auto* found = fields.get("keys")) saml_keys(*found, one);
  fields.boolean("sign_requests", one.sign_requests);
  if (one.sign_requests && one.keys.empty()) error(fields.get("sign_requests")->place, "sign_requests needs keys to sign with");
  std::string vouches = "assertion";
  fields.one_of("signed", vouches, {"assertion", "response"});
  one.signed_response = vouches == "response";
  fields.boolean("idp_initiated", one.idp_initiated);
  fields.boolean("allow_cbc", one.cbc);
  fields.string("subject_attribute", one.subject_attribute);
  fields.string("email_attribute", one.email_attribute);
  fields.string("name_attribute", one.name_attribute);
  fields.string("groups_attribute", one.groups_attribute);
  for (const auto* key : {"entity_id", "subject_attribute", "email_attribute", "name_attribute", "groups_attribute"})
    if (const auto* found = fields.get(key); found && found->kind == yaml::Node::Kind::Scalar && found->scalar.empty()) error(found->place, fmt::format("{} is empty", key));
  fields.duration("leeway", one.leeway_ns, 0, 120'000'000'000);
  out.saml.push_back(std::move(one));
}

void ConfigReader::saml_idp(const yaml::Node& node, identity::SamlConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "idp");
  if (!fields.valid()) return;
  fields.string("entity_id", out.idp_entity_id, true);
  const auto web = [&](const char* key, const yaml::Node* found, std::string& into) {
    bool https = false, loopback = false;
    if (!found || !url(*found, key, into, https, loopback)) return;
    if (!https && !loopback) error(found->place, fmt::format("{} begins with https:// (http:// on loopback only)", key));
  };
  web("sso_url", fields.require("sso_url"), out.sso_url);
  web("slo_url", fields.get("slo_url"), out.slo_url);
  fields.strings("certificates", out.certificates);
  const auto* found = fields.require("certificates");
  if (found && found->items.empty()) error(found->place, "certificates is a list of PEM files: without one nothing of the provider could be believed");
  for (auto& file : out.certificates) file = beside(file);
}

void ConfigReader::saml_keys(const yaml::Node& node, identity::SamlConfig& out) {
  conceal(node);
  if (node.kind != yaml::Node::Kind::Sequence) return error(node.place, "keys is a list: [ { certificate: { file: sp.crt }, key: { file: sp.key } } ]");
  for (const auto& item : node.items) {
    yaml::Mapping fields(item, diagnostics_, "keys");
    if (!fields.valid()) continue;
    auto& pair = out.keys.emplace_back();
    fields.require("certificate");
    fields.require("key");
    secret(fields, "certificate", pair.certificate);
    secret(fields, "key", pair.key);
  }
}

}  // namespace sallyport::cli
