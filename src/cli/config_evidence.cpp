// The section `evidence` of the configuration: the log, its notary, its witnesses, its time stamps.
#include "cli/config_reader.h"
#include "evidence/cosignature.h"
#include "evidence/veil.h"

namespace sallyport::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000, kDay = 86'400 * kSecond;

}  // namespace

void ConfigReader::evidence(const yaml::Node& node, EvidenceConfig& out) {
  if (const auto* key = node.find("signing_key")) conceal(*key);
  yaml::Mapping fields(node, diagnostics_, "evidence");
  if (!fields.valid()) return;
  path(fields, "directory", out.directory);
  secret(fields, "signing_key", out.signing_key);
  size(fields, "segment", out.segment_bytes, 64u << 10, 1u << 30);
  fields.duration("epoch", out.epoch_ns, kSecond, 30 * kDay);
  fields.strings("log_readers", out.log_readers);
  fields.strings("keepers", out.keepers);
  if (const auto* found = fields.get("veil")) {
    fields.strings("veil", out.veil);
    for (const auto& name : out.veil)
      if (!evidence::veilable_field(name) || std::ranges::count(out.veil, name) > 1)
        return error(found->place, "veil is a list of target, peer, software, action, object, facts, error and reason, each once");
  }
  if (const auto* found = fields.get("retention")) retention(*found, out);
  if (const auto* found = fields.get("notary")) notary(*found, out);
  if (const auto* found = fields.get("witnesses")) witnesses(*found, out);
  if (const auto* found = fields.get("timestamps")) timestamps(*found, out);
  if (const auto* found = fields.get("high_water")) {
    const auto& text = found->scalar;
    const bool plain = text.size() == 3 && text[0] >= '0' && text[0] <= '9' && text[1] >= '0' && text[1] <= '9' && text[2] == '%';
    const int percent = plain ? (text[0] - '0') * 10 + (text[1] - '0') : 0;
    if (percent < 50) return error(found->place, "high_water is a share of the disk from 50% to 99%");
    out.high_water = percent / 100.0;
  }
}

void ConfigReader::retention(const yaml::Node& node, EvidenceConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "retention");
  if (!fields.valid()) return;
  if (fields.require("default") != nullptr) fields.duration("default", out.retention_ns, kSecond, 36'500 * kDay);
  const auto* classes = fields.get("classes");
  if (classes == nullptr) return;
  if (classes->kind != yaml::Node::Kind::Sequence) return error(classes->place, "classes is a list: [{ labels: { env: dev }, keep: 90d }]");
  for (const auto& item : classes->items) {
    yaml::Mapping one(item, diagnostics_, "class");
    if (!one.valid()) continue;
    auto& made = out.retention.emplace_back();
    if (one.require("labels") != nullptr) one.string_map("labels", made.labels);
    if (one.require("keep") != nullptr) one.duration("keep", made.keep_ns, kSecond, 36'500 * kDay);
    if (made.labels.empty()) error(item.place, "a class names the labels it is for; what none fits is kept for default");
  }
}

void ConfigReader::notary(const yaml::Node& node, EvidenceConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "notary");
  if (!fields.valid()) return;
  path(fields, "socket", out.notary_socket);
  fields.string("key", out.notary_key, true);
  if (out.notary_socket.empty()) error(node.place, "notary names its socket: { socket: /run/sallyport/notary.sock, key: … }");
  if (!out.notary_key.empty() && !evidence::parse_verifier_key(out.notary_key)) error(node.place, "notary.key is no verifier key; `sallyport notary` prints it when it starts");
  if (out.signing_key.set()) error(node.place, "signing_key and notary exclude each other: an own notary holds the key");
}

void ConfigReader::witnesses(const yaml::Node& node, EvidenceConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "witnesses");
  if (!fields.valid()) return;
  const auto* use = fields.require("use");
  std::set<std::string> keys;
  if (use != nullptr && (use->kind != yaml::Node::Kind::Sequence || use->items.empty())) error(use->place, "use is a list of witnesses: [{ url: …, key: … }]");
  if (use != nullptr && use->kind == yaml::Node::Kind::Sequence) {
    for (const auto& item : use->items) {
      yaml::Mapping one(item, diagnostics_, "witness");
      if (!one.valid()) continue;
      auto& witness = out.witnesses.emplace_back();
      bool https = false, loopback = false;
      if (const auto* found = one.require("url"); found != nullptr) url(*found, "url", witness.url, https, loopback);
      one.string("key", witness.key, true);
      if (!witness.key.empty() && !evidence::parse_cosigner_key(witness.key)) error(item.place, "key is no witness's verifier key (type cosignature/v1); `sallyport witness` prints it when it starts");
      if (!keys.insert(witness.key).second) error(item.place, "this witness stands here twice; each counts once");
    }
  }
  out.witness_quorum = static_cast<std::int64_t>(out.witnesses.size());
  fields.integer("quorum", out.witness_quorum, 1, std::max<std::int64_t>(1, static_cast<std::int64_t>(out.witnesses.size())));
  fields.duration("every", out.witness_every_ns, kSecond / 20, 3600 * kSecond);
  fields.duration("timeout", out.witness_timeout_ns, kSecond / 10, 60 * kSecond);
  fields.duration("refuse_after", out.unwitnessed_ns, kSecond, 7 * kDay);
}

void ConfigReader::timestamps(const yaml::Node& node, EvidenceConfig& out) {
  yaml::Mapping fields(node, diagnostics_, "timestamps");
  if (!fields.valid()) return;
  bool https = false, loopback = false;
  if (const auto* found = fields.require("url")) url(*found, "url", out.timestamp_url, https, loopback);
  path(fields, "ca", out.timestamp_ca);
  if (out.timestamp_ca.empty()) error(node.place, "timestamps needs ca: the certificate that its answers must lead to");
  fields.duration("every", out.timestamp_every_ns, kSecond, 30 * kDay);
}

}  // namespace sallyport::cli
