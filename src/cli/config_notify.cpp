// notify: where approvers are told of requests: webhooks and mail.
#include <fmt/format.h>

#include <set>

#include "cli/config_reader.h"

namespace sallyport::cli {

namespace {
const std::set<std::string> kEvents = {"requested", "vote", "granted", "denied", "expired", "used", "withdrawn", "ended", "revoked", "break-glass", "reviewed", "review-overdue", "tools-quarantined"};

/// An address that can stand in a header and in SMTP's commands, and nothing else.
bool is_address(std::string_view text) {
  const auto at = text.find('@');
  return at != text.npos && at > 0 && at + 1 < text.size() && text.size() <= 254 && text.find_first_of("<>()[]\\,;:\" \t\r\n") == text.npos &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}
}  // namespace

void ConfigReader::notify(const yaml::Node& node, std::vector<notify::Channel>& out) {
  if (node.kind != yaml::Node::Kind::Sequence) return error(node.place, "notify is a list of channels: [ { name: …, webhook: { url: … } } ]");
  for (const auto& item : node.items) {
    conceal(item);
    notify::Channel one;
    yaml::Mapping fields(item, diagnostics_, "notify");
    if (!fields.valid()) continue;
    fields.string("name", one.name, true);
    name("a channel's name", one.name, item.place, "-_", 32);
    for (const auto& other : out)
      if (other.name == one.name) error(item.place, fmt::format("the channel {} stands here a second time", one.name));
    one.events = {"requested", "break-glass", "review-overdue", "tools-quarantined"};
    fields.strings("events", one.events);
    for (const auto& event : one.events)
      if (!kEvents.contains(event)) error(item.place, fmt::format("{} is no event of a request", event));
    groups(fields, "groups", one.groups);
    const auto* hook = fields.get("webhook");
    const auto* mail = fields.get("mail");
    if ((hook == nullptr) == (mail == nullptr)) error(item.place, "a channel is one of webhook and mail");
    if (hook != nullptr) webhook(*hook, one);
    else if (mail != nullptr) this->mail(*mail, one);
    out.push_back(std::move(one));
  }
}

void ConfigReader::webhook(const yaml::Node& node, notify::Channel& out) {
  yaml::Mapping fields(node, diagnostics_, "webhook");
  if (!fields.valid()) return;
  std::string form = "generic";
  fields.one_of("form", form, {"generic", "slack", "teams"});
  out.form = form == "slack" ? notify::Form::Slack : form == "teams" ? notify::Form::Teams : notify::Form::Generic;
  const auto* found = fields.require("url");
  if (found != nullptr && found->kind == yaml::Node::Kind::Mapping) {
    secret(*found, "url", out.url_secret);
  } else if (found != nullptr) {
    bool https = false, loopback = false;
    if (url(*found, "url", out.url, https, loopback) && !https && !loopback) error(found->place, "url begins with https:// (http:// on loopback only): requests show commands");
  }
  if (const auto* key = fields.get("secret")) secret(*key, "secret", out.secret);
  path(fields, "ca", out.ca_file);
}

void ConfigReader::mail(const yaml::Node& node, notify::Channel& out) {
  yaml::Mapping fields(node, diagnostics_, "mail");
  if (!fields.valid()) return;
  fields.string("server", out.smtp_url, true);
  if (!out.smtp_url.starts_with("smtp://") && !out.smtp_url.starts_with("smtps://")) error(node.place, "server is smtp://HOST:PORT (TLS by STARTTLS) or smtps://HOST:PORT");
  fields.string("from", out.from, true);
  fields.strings("to", out.to);
  if (out.to.empty()) error(node.place, "mail needs to, a list of addresses");
  for (const auto& one : out.to)
    if (!is_address(one)) error(node.place, "to holds something that is no plain address: name@host");
  if (!out.from.empty() && !is_address(out.from)) error(node.place, "from is a plain address: name@host");
  fields.string("user", out.user);
  if (const auto* key = fields.get("password")) secret(*key, "password", out.password);
  if (out.user.empty() != !out.password.set()) error(node.place, "user and password stand together");
  std::string tls = "on";
  fields.one_of("tls", tls, {"on", "off"});
  out.tls = tls == "on";
  const auto host = out.smtp_url.substr(std::min(out.smtp_url.size(), out.smtp_url.find("://") + 3));
  if (!out.tls && !is_loopback_host(host.substr(0, host.rfind(':')))) error(node.place, "tls is off, and the server is not on loopback: commands would cross the network in clear");
  path(fields, "ca", out.ca_file);
}

}  // namespace sallyport::cli
