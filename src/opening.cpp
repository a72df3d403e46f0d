#include "opening.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "cli/held_packs.h"
#include "cli/incarnation.h"
#include "enforce/approval_machine.h"
#include "evidence/cosignature.h"
#include "evidence/file_ops.h"
#include "evidence/notary_link.h"
#include "evidence/veil.h"
#include "identity/key_source.h"
#include "protocol/mcp/tool_text.h"

namespace sallyport {
namespace {

constexpr const char* kVersion = "0.1.0";

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorKind::Unavailable, "cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// Whole or not at all: a key that is half on disk after a crash would be worse than none.
Result<void> write_file(const std::string& path, const std::string& text, mode_t mode) {
  const std::string temporary = path + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return fail(ErrorKind::Unavailable, "cannot write " + temporary + ": " + std::strerror(errno));
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!written || ::rename(temporary.c_str(), path.c_str()) != 0)
    return fail(ErrorKind::Unavailable, "cannot write " + path + ": " + std::strerror(errno));
  return {};
}

std::string host_of(const std::string& authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.rfind(':'));
}

}  // namespace

bool is_loopback(const std::string& address) {
  const auto host = host_of(address);
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string self_made_path(const cli::Config& config) { return config.gateway.state_directory + "/tls.pem"; }

Result<Tls> load_tls(const cli::Config& config) {
  Tls out;
  const auto& login = config.gateway.postgres_login;
  using Method = protocol::postgres::LoginOptions::Method;
  out.postgres.method = login == "scram" ? Method::Scram : login == "password" ? Method::Password : login == "oauth" ? Method::OAuth : Method::Auto;
  if (config.identity.oidc.size() == 1) out.postgres.issuer = config.identity.oidc[0].issuer;
  if (!config.gateway.tls) return out;
  std::string certificate, key;
  if (config.gateway.certificate.set()) {
    TRY(certificate, config.gateway.certificate.read());
    TRY(key, config.gateway.key.read());
  } else {
    const auto path = self_made_path(config), key_path = config.gateway.state_directory + "/tls.key";
    auto public_url = net::parse_url(config.gateway.public_url);
    const std::string host = public_url ? public_url->host : "localhost";
    const auto made_for = read_file(path + ".host");
    if (!std::filesystem::exists(path) || !std::filesystem::exists(key_path) || !made_for || *made_for != host) {
      const auto [made, made_key] = net::self_signed({host, "localhost", "127.0.0.1", "::1"});
      TRY_VOID(write_file(key_path, made_key, 0600));
      TRY_VOID(write_file(path, made, 0644));
      TRY_VOID(write_file(path + ".host", host, 0644));
    }
    TRY(certificate, read_file(path));
    TRY(key, read_file(key_path));
  }
  TRY(auto http, net::TlsServer::create(certificate, key));
  out.http = out.mcp = std::make_shared<const net::TlsServer>(std::move(http));
  if (!config.gateway.mcp_client_ca.empty()) {
    TRY(const auto anchors, read_file(config.gateway.mcp_client_ca));
    TRY(auto mcp, net::TlsServer::create(certificate, key, {"", anchors}));
    out.mcp = std::make_shared<const net::TlsServer>(std::move(mcp));
  }
  net::TlsServer::Options options{"postgresql", ""};
  if (!config.gateway.postgres_client_ca.empty()) {
    TRY(options.client_ca, read_file(config.gateway.postgres_client_ca));
  }
  TRY(auto postgres, net::TlsServer::create(certificate, key, options));
  out.postgres.tls = std::make_shared<const net::TlsServer>(std::move(postgres));
  return out;
}

namespace {

Result<void> make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return fail(ErrorKind::Unavailable, "cannot create the directory " + path + ": " + error.message());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  return {};
}

/// The notary: one apart, or a child of this process with the configured key or one made at first start. The public half of the
/// key is kept in the state directory for auditors.
Result<std::unique_ptr<evidence::Signer>> load_signer(const cli::Config& config, const std::string& origin) {
  std::string key;
  if (!config.evidence.notary_socket.empty()) {
    TRY(auto apart, evidence::notary_client(evidence::unix_door(config.evidence.notary_socket), origin, config.evidence.notary_key));
    TRY_VOID(write_file(config.gateway.state_directory + "/evidence.pub", apart->verifier_key() + "\n", 0644));
    return apart;
  }
  const auto& state = config.gateway.state_directory;
  if (config.evidence.signing_key.set()) {
    TRY(key, config.evidence.signing_key.read());
  } else {
    const auto path = state + "/evidence.key";
    if (!std::filesystem::exists(path)) {
      const auto [secret, verifier] = evidence::generate_note_key(origin);
      TRY_VOID(write_file(path, secret + "\n", 0600));
    }
    TRY(key, read_file(path));
  }
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  TRY(const auto parsed, evidence::parse_signer_key(key));
  TRY_VOID(make_directory(state + "/notary"));
  auto door = evidence::child_door("/proc/self/exe", state + "/notary/head", key);
  TRY(auto signer, evidence::notary_client(std::move(door), origin, evidence::verifier_key_of(parsed)));
  TRY_VOID(write_file(state + "/evidence.pub", signer->verifier_key() + "\n", 0644));
  return signer;
}

}  // namespace

evidence::Entry config_applied(const cli::Config& config, std::string_view why) {
  using evidence::Field;
  evidence::Entry entry(evidence::Kind::ConfigApplied);
  entry.bytes(Field::PolicyDigest, config.policy->digest()).text(Field::Reason, why).text(Field::Name, config.gateway.name);
  return entry;
}

/// The text that a policy digest in the log stands for: durable before the entry that says it applies. It names secrets, and
/// holds none.
Result<void> keep_policy(const cli::Config& config) {
  const auto folder = config.evidence.directory + "/policies", path = folder + "/" + hex(config.policy->digest()) + ".yaml";
  TRY_VOID(make_directory(folder));
  if (const auto there = evidence::read_file(path); there && sha256(*there) == config.policy->digest()) return {};
  TRY_VOID(evidence::replace_file(path, as_bytes(config.text), 0600));
  return evidence::sync_folder(config.evidence.directory);
}

namespace {

std::unique_ptr<anchor::Witnessing> start_witnessing(const cli::Config& config, evidence::Log& log, std::string& standing_alarm) {
  const auto& evidence = config.evidence;
  if (evidence.witnesses.empty()) {
    // Who may change the configuration must not be able to silence it.
    standing_alarm = anchor::standing_alarm(evidence.directory);
    if (!standing_alarm.empty()) log.refuse_new(standing_alarm);
    return nullptr;
  }
  anchor::WitnessPolicy policy;
  for (const auto& one : evidence.witnesses) policy.witnesses.push_back({one.url, *evidence::parse_cosigner_key(one.key)});
  policy.quorum = static_cast<std::size_t>(evidence.witness_quorum);
  policy.every_ns = evidence.witness_every_ns;
  policy.timeout_ns = evidence.witness_timeout_ns;
  policy.refuse_after_ns = evidence.unwitnessed_ns;
  return std::make_unique<anchor::Witnessing>(std::move(policy), log, evidence.directory);
}

}  // namespace

admin::WitnessStatus witness_status(const Shared& shared) {
  if (!shared.witnessing) return {0, 0, 0, shared.standing_alarm, {}};
  auto now = shared.witnessing->status();
  admin::WitnessStatus out{now.size, now.lag_ns, now.quorum, std::move(now.alarm), {}};
  for (auto& one : now.witnesses) out.each.push_back({std::move(one.name), std::move(one.problem), one.contradicts, one.cosigned, one.refusals, one.silences});
  return out;
}

/// How long the sessions of each target are kept.
evidence::RetentionTerms retention_of(const cli::Config& config) {
  evidence::RetentionTerms out;
  if (config.evidence.retention_ns == 0) return out;
  out.otherwise = evidence::Keep{"default", config.evidence.retention_ns};
  for (const auto& [name, target] : config.targets->targets) {
    const auto fits = [&](const cli::RetentionClass& one) {
      return std::ranges::all_of(one.labels, [&](const auto& label) {
        const auto at = target.labels.find(label.first);
        return at != target.labels.end() && at->second == label.second;
      });
    };
    const auto found = std::ranges::find_if(config.evidence.retention, fits);
    if (found == config.evidence.retention.end()) continue;
    std::string words;
    for (const auto& [label, value] : found->labels) words += (words.empty() ? "" : ",") + label + "=" + value;
    out.targets[name] = {std::move(words), found->keep_ns};
  }
  return out;
}

namespace {

/// What happened to a request goes to those who decide it.
void tell_approvers(Shared& shared, const enforce::ApprovalEvent& event) {
  const auto& request = event.request;
  notify::Notice notice;
  notice.event = event.what;
  notice.request = request.id;
  notice.kind = to_string(request.kind);
  notice.who = request.requester_display;
  notice.target = request.target;
  notice.summary = request.summary;
  notice.effect = request.effect;
  notice.reason = request.asked_for;
  for (const auto& [rule, terms] : request.terms) notice.rules.push_back(rule);
  notice.groups = enforce::groups_of(enforce::steps_of(request));
  notice.expires_wall_ns = request.expires_wall_ns;
  notice.at_wall_ns = system_clock().wall_ns();
  notice.link = shared.admin_origin + "/requests/" + request.id;
  shared.outbox->post(std::move(notice));
}

/// Tools that changed are seen by those who look after the rules.
void tell_reviewers(Shared& shared, std::vector<std::string> groups, const enforce::PinEvent& event) {
  if (event.what != "quarantined") return;
  notify::Notice notice;
  notice.event = "tools-quarantined";
  notice.request = event.request_id;
  notice.kind = "tools";
  notice.who = notice.target = event.target;
  for (const auto& pin : event.pins) {
    if (notice.summary.size() > 1000) break;
    notice.summary += (notice.summary.empty() ? "" : "\n") + std::string(to_string(pin->kind)) + " " + protocol::mcp::written_out(pin->name.substr(0, 100), true) + ": " + pin->why;
  }
  notice.reason = "sallyport mcp review " + event.target;
  notice.groups = std::move(groups);
  notice.at_wall_ns = system_clock().wall_ns();
  notice.link = shared.admin_origin + "/api/mcp/" + event.target + "/review";
  shared.outbox->post(std::move(notice));
}

}  // namespace

enforce::Access::Setup access_of(const cli::Config& config) { return {config.access, config.targets, identity::SamePerson(config.identity.same_person)}; }

/// State, evidence, approvals: everything that stands before the first worker.
Result<void> open_shared(Shared& shared) {
  const auto& config = shared.config;
  TRY_VOID(make_directory(config.gateway.state_directory));
  TRY_VOID(make_directory(config.evidence.directory));
  TRY(auto tls, load_tls(config));
  shared.tls = std::move(tls.http);
  shared.tls_mcp = std::move(tls.mcp);
  shared.postgres = std::move(tls.postgres);
  TRY(shared.store, state::Store::open(config.gateway.state_directory + "/state.db"));
  TRY(const auto origin, cli::evidence_origin(config));
  TRY(auto signer, load_signer(config, origin));
  evidence::Options options;
  options.directory = config.evidence.directory;
  options.origin = origin;
  options.high_water = config.evidence.high_water;
  options.segment_bytes = config.evidence.segment_bytes;
  options.epoch_ns = config.evidence.epoch_ns;
  for (const auto& name : config.evidence.veil) options.veil |= evidence::bit_of(*evidence::veilable_field(name));
  options.pseudonyms = true;
  options.version = kVersion;
  TRY(shared.log, evidence::Log::open(std::move(options), std::move(signer)));
  TRY_VOID(keep_policy(config));
  shared.witnessing = start_witnessing(config, *shared.log, shared.standing_alarm);
  if (const auto& evidence = config.evidence; !evidence.timestamp_url.empty())
    shared.timestamping = std::make_unique<anchor::Timestamping>(anchor::TimestampPolicy{evidence.timestamp_url, evidence.timestamp_ca, evidence.timestamp_every_ns}, *shared.log, evidence.directory);
  shared.reading = std::make_unique<evidence::LogReading>(*shared.log, config.evidence.directory, origin);
  shared.keeping = std::make_unique<evidence::Keeping>(*shared.log, config.evidence.directory, origin, !config.evidence.witnesses.empty(),
                                                       [directory = config.evidence.directory](const evidence::PrunePlan::Session& session) { return cli::carry_held(directory, session); });
  shared.sessions = std::make_unique<evidence::SessionReading>(config.evidence.directory);
  shared.keeping->terms(retention_of(config));
  TRY_VOID(shared.keeping->finish());
  TRY_VOID(cli::record_predecessor(config.evidence.directory, *shared.log));
  TRY([[maybe_unused]] const auto index, shared.log->append_wait(config_applied(config, "start")));
  TRY(shared.directory, identity::Directory::open(*shared.store, *shared.log, std::make_shared<const identity::IdentityConfig>(config.identity),
                                                  config.gateway.state_directory + "/vault.key"));
  shared.upstream = std::make_unique<identity::UpstreamTokens>(*shared.store, *shared.log, shared.directory->vault());
  shared.oauth = std::make_unique<identity::OAuthGrants>(*shared.store, *shared.log);
  enforce::ApprovalLinks links;
  links.access = std::make_shared<enforce::Access>(access_of(config));
  links.present = [directory = shared.directory.get()](const std::string& person) -> std::optional<identity::PrincipalPtr> {
    // Of somebody who only ever came with a token of their provider, the vote's own groups are all there is.
    if (!person.starts_with("local\n") && !directory->find(person)) return std::nullopt;
    return directory->standing(person);
  };
  shared.outbox = std::make_unique<notify::Outbox>(*shared.store, *shared.log, config.notify);
  links.on_event = [&shared](const enforce::ApprovalEvent& event) { tell_approvers(shared, event); };
  TRY(shared.approvals, enforce::Approvals::open(*shared.store, *shared.log, system_clock(), std::move(links)));
  enforce::PinLinks pins;
  pins.likeness = protocol::mcp::likeness_of;
  pins.on_event = [&shared, groups = config.roles.policy_admin](const enforce::PinEvent& event) { tell_reviewers(shared, groups, event); };
  TRY(shared.pins, enforce::ToolPins::open(*shared.store, *shared.log, std::move(pins)));
  shared.sights = std::make_unique<protocol::mcp::Sights>(*shared.pins);
  shared.remembered = std::make_unique<enforce::RememberedSessions>(*shared.store);
  shared.keys = identity::make_key_source(identity::issuers_of(config.identity));
  return {};
}

}  // namespace sallyport
