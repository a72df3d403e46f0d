// identity.oauth: how MCP clients get tokens from the gateway.
#include <fmt/format.h>

#include "cli/config_reader.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

bool is_host_pattern(std::string_view text) {
  if (text == "*") return true;
  if (text.starts_with("*.")) text.remove_prefix(2);
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string_view::npos;
}

}  // namespace

void ConfigReader::oauth(const yaml::Node& node, identity::IdentityConfig& identity) {
  auto& out = identity.oauth;
  out.on = true;
  yaml::Mapping fields(node, diagnostics_, "oauth");
  if (!fields.valid()) return;
  if (const auto* found = fields.get("clients")) {
    conceal(*found);
    if (found->kind != yaml::Node::Kind::Mapping) return error(found->place, "clients is a mapping: { NAME: { redirect_uris: [\"https://…\"] } }");
    for (const auto& member : found->members) {
      identity::OAuthClientConfig one;
      one.name = one.id = member.key;
      name("a client's name", member.key, member.key_place, "._-", 64);
      yaml::Mapping inner(member.value, diagnostics_, "client");
      if (!inner.valid()) continue;
      inner.string("id", one.id);
      inner.strings("redirect_uris", one.redirect_uris);
      secret(inner, "secret", one.secret);
      const bool document = one.id.starts_with("https://");
      if (document == !one.redirect_uris.empty()) error(member.key_place, "a client has redirect_uris, or an https id whose metadata document has them");
      if (document && one.secret.set()) error(member.key_place, "a client with a metadata document has no secret");
      if (const auto* uris = inner.get("redirect_uris"))
        for (const auto& item : uris->items) {
          std::string text;
          bool https = false, loopback = false;
          if (url(item, "redirect_uris", text, https, loopback) && !https && !loopback) error(item.place, "a redirect address begins with https:// (http:// on loopback only)");
        }
      for (const auto& other : out.clients)
        if (other.id == one.id) error(member.key_place, fmt::format("the client id {} stands here a second time", one.id));
      out.clients.push_back(std::move(one));
    }
  }
  for (const auto& [key, list] : {std::pair{"document_hosts", &out.document_hosts}, std::pair{"private_hosts", &out.private_hosts}}) {
    fields.strings(key, *list);
    if (const auto* found = fields.get(key))
      for (const auto& item : found->items)
        if (!is_host_pattern(item.scalar)) error(item.place, "a host is a lower-case name, *.NAME or *");
  }
  path(fields, "ca", out.ca_file);
  fields.boolean("registration", out.registration);
  fields.integer("registrations", out.registrations, 1, 10'000);
  fields.duration("lifetime", out.lifetime_ns, 60 * kSecond, 90 * 24 * 3600 * kSecond);
}

}  // namespace sallyport::cli
