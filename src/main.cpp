// The whole program, in the order of the data path: state, evidence, approvals, then one worker a core with identity,
// gate, links and protocols on it, then the listeners. The main thread builds, waits for signals, and takes down in the
// opposite order. There are no globals.
#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <latch>
#include <mutex>

#include "cli/command.h"
#include "cli/config_show.h"
#include "cli/held_packs.h"
#include "cli/incarnation.h"
#include "evidence/cosignature.h"
#include "evidence/file_ops.h"
#include "evidence/notary_link.h"
#include "enforce/approval_machine.h"
#include "identity/key_source.h"
#include "net/listener.h"
#include "signin/saml_pages.h"
#include "signin/scim.h"
#include "signin/sign_in.h"
#include "worker.h"

namespace sallyport {
namespace {

using boost::asio::awaitable;

constexpr const char* kVersion = "0.1.0";

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "sallyport: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

/// One line of JSON on stdout for programs that started us.
void tell(const std::string& event) {
  fmt::print("{}\n", event);
  std::fflush(stdout);
}

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

void harden() {
  // Credentials and payload keys are in memory: no core dumps, no attaching by other processes of this user.
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::umask(0077);
  ::signal(SIGPIPE, SIG_IGN);
}

/// SIGTERM, SIGINT and SIGHUP are taken by the main thread alone, which waits for them.
sigset_t take_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

std::string host_of(const std::string& authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.rfind(':'));
}

bool is_loopback(const std::string& address) {
  const auto host = host_of(address);
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string self_made_path(const cli::Config& config) { return config.gateway.state_directory + "/tls.pem"; }

/// The configured certificate, or one made at first start and kept, so that clients that trust it go on doing so: for
/// HTTP, and with what PostgreSQL's clients need beside it.
struct Tls {
  std::shared_ptr<const net::TlsServer> http;
  protocol::postgres::LoginOptions postgres;
};

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
  out.http = std::make_shared<const net::TlsServer>(std::move(http));
  net::TlsServer::Options options{"postgresql", ""};
  if (!config.gateway.postgres_client_ca.empty()) {
    TRY(options.client_ca, read_file(config.gateway.postgres_client_ca));
  }
  TRY(auto postgres, net::TlsServer::create(certificate, key, options));
  out.postgres.tls = std::make_shared<const net::TlsServer>(std::move(postgres));
  return out;
}

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

enforce::Access::Setup access_of(const cli::Config& config) { return {config.access, config.targets, identity::SamePerson(config.identity.same_person)}; }

/// State, evidence, approvals: everything that stands before the first worker.
Result<void> open_shared(Shared& shared) {
  const auto& config = shared.config;
  TRY_VOID(make_directory(config.gateway.state_directory));
  TRY_VOID(make_directory(config.evidence.directory));
  TRY(auto tls, load_tls(config));
  shared.tls = std::move(tls.http);
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
  shared.remembered = std::make_unique<enforce::RememberedSessions>(*shared.store);
  shared.keys = identity::make_key_source(identity::issuers_of(config.identity));
  return {};
}

/// Which Host and Origin values are ours (against DNS rebinding): the public address, what the operator adds, and on
/// loopback the address that is listened on.
protocol::mcp::EndpointOptions endpoint_options(const cli::Config& config, std::size_t workers) {
  protocol::mcp::EndpointOptions options;
  options.workers = workers;
  options.hosts = config.gateway.hosts;
  options.origins = config.gateway.origins;
  if (auto url = net::parse_url(config.gateway.public_url)) {
    options.hosts.push_back(url->authority);
    options.hosts.push_back(url->host.find(':') == std::string::npos ? fmt::format("{}:{}", url->host, url->port)
                                                                     : fmt::format("[{}]:{}", url->host, url->port));
    options.origins.push_back((url->tls ? "https://" : "http://") + url->authority);
  }
  for (auto* list : {&options.hosts, &options.origins})
    for (auto& text : *list)
      for (auto& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return options;
}

using Workers = std::vector<std::unique_ptr<Worker>>;

/// Runs `work(worker)` on every worker's thread and waits for all.
template <class Work>
void on_every(Workers& workers, Work work) {
  std::latch done(static_cast<std::ptrdiff_t>(workers.size()));
  for (auto& worker : workers) {
    boost::asio::post(worker->context(), [&, raw = worker.get()] {
      work(*raw);
      done.count_down();
    });
  }
  done.wait();
}

awaitable<std::vector<admin::Metric>> metrics(Workers& workers) {
  double sessions = 0, connections = 0, requests = 0, refused = 0, postgres_sessions = 0, postgres_refused = 0;
  for (auto& worker : workers) {
    auto ask = [](Worker& one) -> awaitable<protocol::mcp::Endpoint::Counts> { co_return one.mcp().counts(); };
    auto ask_postgres = [](Worker& one) -> awaitable<protocol::postgres::Endpoint::Counts> { co_return one.postgres().counts(); };
    const auto postgres = co_await boost::asio::co_spawn(worker->context(), ask_postgres(*worker), boost::asio::use_awaitable);
    postgres_sessions += static_cast<double>(postgres.sessions);
    postgres_refused += static_cast<double>(postgres.refused);
    const auto counts = co_await boost::asio::co_spawn(worker->context(), ask(*worker), boost::asio::use_awaitable);
    sessions += static_cast<double>(counts.sessions);
    connections += static_cast<double>(counts.connections);
    requests += static_cast<double>(counts.requests);
    refused += static_cast<double>(counts.refused);
  }
  const std::map<std::string, std::string> mcp = {{"protocol", "mcp"}};
  std::vector<admin::Metric> out;
  out.push_back({"sallyport_sessions", "Open sessions.", "gauge", mcp, sessions});
  out.push_back({"sallyport_connections", "Open client connections.", "gauge", mcp, connections});
  out.push_back({"sallyport_requests_total", "HTTP requests of clients.", "counter", mcp, requests});
  out.push_back({"sallyport_requests_refused_total", "HTTP requests refused before they reached a session.", "counter", mcp, refused});
  const std::map<std::string, std::string> postgres = {{"protocol", "postgres"}};
  out.push_back({"sallyport_sessions", "Open sessions.", "gauge", postgres, postgres_sessions});
  out.push_back({"sallyport_logins_refused_total", "Logins that were refused.", "counter", postgres, postgres_refused});
  co_return out;
}

/// Settings that are fixed while the process runs; "" or the name of one that differs.
std::string fixed_difference(const cli::Config& a, const cli::Config& b) {
  if (a.gateway.name != b.gateway.name) return "gateway.name";
  if (a.gateway.public_url != b.gateway.public_url || a.gateway.admin_url != b.gateway.admin_url) return "gateway.public_url and admin_url";
  if (a.gateway.listen_mcp != b.gateway.listen_mcp || a.gateway.listen_admin != b.gateway.listen_admin || a.gateway.listen_postgres != b.gateway.listen_postgres) return "gateway.listen";
  if (a.gateway.tls != b.gateway.tls) return "gateway.tls (on or off)";
  if (a.gateway.state_directory != b.gateway.state_directory) return "gateway.state";
  if (a.gateway.workers != b.gateway.workers) return "gateway.workers";
  if (a.gateway.hosts != b.gateway.hosts || a.gateway.origins != b.gateway.origins) return "gateway.hosts and origins";
  if (a.evidence != b.evidence) return "evidence";
  return "";
}

/// Who asked over HTTP for a reload, and waits to hear what came of it. The main thread reloads; each asker blocks a thread of this pool.
struct ReloadRequests {
  std::mutex mutex;
  std::vector<std::promise<Result<std::string>>> waiting;
  bool closed = false;
  boost::asio::thread_pool pool{1};

  awaitable<Result<std::string>> ask() {
    auto task = [](ReloadRequests& self) -> awaitable<Result<std::string>> {
      std::future<Result<std::string>> answer;
      {
        const std::scoped_lock lock(self.mutex);
        if (self.closed) co_return fail(ErrorKind::Unavailable, "the gateway stops");
        answer = self.waiting.emplace_back().get_future();
      }
      ::kill(::getpid(), SIGHUP);
      if (answer.wait_for(std::chrono::seconds(30)) != std::future_status::ready) co_return fail(ErrorKind::Unavailable, "the reload is not over after 30 s");
      co_return answer.get();
    };
    co_return co_await boost::asio::co_spawn(pool, task(*this), boost::asio::use_awaitable);
  }
  /// The gateway stops: who waits is told so, and who comes later.
  void close() {
    {
      const std::scoped_lock lock(mutex);
      closed = true;
    }
    answer(fail(ErrorKind::Unavailable, "the gateway stops"));
  }
  void answer(const Result<std::string>& outcome) {
    const std::scoped_lock lock(mutex);
    for (auto& one : waiting) one.set_value(outcome);
    waiting.clear();
  }
};

/// What browsers see of the admin listener.
std::string admin_origin(const cli::GatewayConfig& gateway, std::uint16_t port) {
  if (!gateway.admin_url.empty()) return gateway.admin_url;
  return is_loopback(gateway.listen_admin) ? fmt::format("{}://{}:{}", gateway.tls ? "https" : "http", gateway.listen_admin.starts_with('[') ? "[::1]" : "127.0.0.1", port) : "";
}

struct Running {
  Workers workers;
  std::unique_ptr<net::Listener> mcp, admin, postgres;
  std::unique_ptr<signin::SignIn> sign_in;
  std::unique_ptr<signin::SamlPages> saml;
  std::unique_ptr<signin::Scim> scim;
  std::unique_ptr<admin::Admin> api;
  ReloadRequests reloads;
  std::atomic<bool> draining = false;
};

std::shared_ptr<const admin::AdminConfig> admin_config(const cli::Config& config) {
  return std::make_shared<const admin::AdminConfig>(admin::AdminConfig{config.roles, cli::show_json(config), config.policy->digest(), config.identity.users});
}

/// Everything is validated before anything changes; the old configuration stays when one part fails.
Result<std::string> reload(Shared& shared, Running& running) {
  const auto refuse = [](const std::string& why) -> Result<std::string> {
    say("reload refused, the running configuration stays:\n{}", why);
    tell(R"({"event":"reload-refused","reason":)" + json::quote(why) + "}");
    return fail(ErrorKind::Denied, why);
  };
  auto loaded = cli::load_config(shared.config.file);
  if (!loaded.config) return refuse(loaded.problems);
  if (auto fixed = fixed_difference(shared.config, *loaded.config); !fixed.empty())
    return refuse(shared.config.file + ": " + fixed + " cannot change while the gateway runs; restart it");
  auto tls = load_tls(*loaded.config);
  if (!tls) return refuse(tls.error().what);
  auto saml = signin::SamlPages::load_providers(loaded.config->identity, admin_origin(shared.config.gateway, running.admin->port()));
  if (!saml) return refuse(saml.error().what);
  if (auto kept = keep_policy(*loaded.config); !kept) return refuse(kept.error().what);
  if (auto index = shared.log->append_wait(config_applied(*loaded.config, "reload")); !index) return refuse(index.error().what);
  shared.config = std::move(*loaded.config);
  shared.keeping->terms(retention_of(shared.config));
  shared.tls = tls->http;
  shared.postgres = tls->postgres;
  shared.keys = identity::make_key_source(identity::issuers_of(shared.config.identity));
  const auto identity = std::make_shared<const identity::IdentityConfig>(shared.config.identity);
  shared.directory->reconfigure(identity);
  shared.approvals->access()->configure(access_of(shared.config));
  shared.outbox->reconfigure(shared.config.notify);
  for (const auto& warning : loaded.warnings) say("warning: {}", warning);
  on_every(running.workers, [&](Worker& worker) { worker.reconfigure(shared.config, shared.keys, shared.tls, shared.postgres); });
  std::promise<void> known;
  boost::asio::post(running.workers.front()->context(), [&, config = admin_config(shared.config)] {
    running.api->reconfigure(config);
    running.sign_in->reconfigure(identity, shared.keys);
    running.saml->reconfigure(std::move(*saml), identity->saml);
    running.scim->reconfigure(identity);
    known.set_value();
  });
  known.get_future().wait();
  say("configuration reloaded");
  tell(R"({"event":"reloaded","policy":")" + hex(shared.config.policy->digest()) + "\"}");
  return hex(shared.config.policy->digest());
}

Result<void> start(Shared& shared, Running& running) {
  const auto& gateway = shared.config.gateway;
  const std::size_t count = gateway.workers > 0 ? static_cast<std::size_t>(gateway.workers) : std::max(1u, std::thread::hardware_concurrency());
  auto options = std::make_shared<protocol::mcp::EndpointOptions>(endpoint_options(shared.config, count));
  auto& workers = running.workers;
  const auto handoff = [&workers](std::size_t index, net::HttpServerConnection http, net::HttpRequest request) {
    auto& to = *workers[index];
    auto moved = std::make_shared<net::HttpServerConnection>(std::move(http).migrate(to.context()));
    boost::asio::post(to.context(), [&to, moved, request = std::move(request)]() mutable {
      boost::asio::co_spawn(to.context(), to.mcp().serve(std::move(*moved), std::move(request)), boost::asio::detached);
    });
  };
  std::vector<boost::asio::io_context*> contexts;
  for (std::size_t i = 0; i < count; ++i) {
    workers.push_back(std::make_unique<Worker>(i, shared, *options, handoff));
    contexts.push_back(&workers.back()->context());
  }
  TRY(running.mcp, net::Listener::open(gateway.listen_mcp, contexts, [&workers, options](std::size_t index, int fd) {
    auto& worker = *workers[index];
    worker.accept(fd, options->http, [&worker](net::HttpServerConnection http) { return worker.mcp().serve(std::move(http), {}); });
  }));
  if (is_loopback(gateway.listen_mcp)) {
    for (const auto* name : {"127.0.0.1", "localhost", "[::1]"})
      for (auto& worker : workers) worker->mcp().accept_host(fmt::format("{}:{}", name, running.mcp->port()));
  }
  if (!gateway.listen_postgres.empty()) {
    TRY(running.postgres, net::Listener::open(gateway.listen_postgres, contexts, [&workers](std::size_t index, int fd) { workers[index]->accept_postgres(fd); }));
  }
  auto& first = *workers.front();
  TRY(running.admin, net::Listener::open(gateway.listen_admin, {contexts.front()}, [&running](std::size_t, int fd) {
    net::HttpLimits limits;
    limits.body_bytes = running.api->router().body_bytes();
    running.workers.front()->accept(fd, limits, [&running](net::HttpServerConnection http) { return running.api->serve(std::move(http)); });
  }));
  const auto origin = admin_origin(gateway, running.admin->port());
  shared.admin_origin = origin;
  running.api = std::make_unique<admin::Admin>(admin::AdminServices{
      first.context(), first.authenticator(), *shared.directory, *shared.approvals, *shared.log, first.port(), *shared.reading, *shared.keeping, *shared.sessions, admin_config(shared.config), [&running] { return running.reloads.ask(); },
      [&running] { return running.draining.load(); }, [&shared] { return witness_status(shared); }, [&workers] { return metrics(workers); }, origin});
  running.sign_in = std::make_unique<signin::SignIn>(signin::Services{first.context(), first.authenticator(), *shared.directory, origin},
                                                     std::make_shared<const identity::IdentityConfig>(shared.config.identity), shared.keys);
  running.api->add(running.sign_in->routes());
  TRY(auto saml, signin::SamlPages::load_providers(shared.config.identity, origin));
  running.saml = std::make_unique<signin::SamlPages>(signin::Services{first.context(), first.authenticator(), *shared.directory, origin}, *running.sign_in, *shared.store, std::move(saml),
                                                     shared.config.identity.saml);
  running.api->add(running.saml->routes());
  running.scim = std::make_unique<signin::Scim>(first.authenticator(), *shared.directory, *shared.store, origin, std::make_shared<const identity::IdentityConfig>(shared.config.identity));
  running.api->add(running.scim->routes());
  boost::asio::co_spawn(first.context(), running.sign_in->recheck(), boost::asio::detached);
  for (auto& worker : workers) worker->start();
  return {};
}

void announce(const Shared& shared, const Running& running) {
  const auto& gateway = shared.config.gateway;
  const auto host = [](const std::string& listen) { return listen.substr(0, listen.rfind(':')); };
  std::string line = fmt::format(R"({{"event":"listening","mcp":"{}:{}","admin":"{}:{}","pid":{})", host(gateway.listen_mcp),
                                 running.mcp->port(), host(gateway.listen_admin), running.admin->port(), ::getpid());
  if (running.postgres) line += fmt::format(R"(,"postgres":"{}:{}")", host(gateway.listen_postgres), running.postgres->port());
  if (gateway.tls && !gateway.certificate.set()) line += R"(,"ca":)" + json::quote(self_made_path(shared.config));
  tell(line + "}");
  for (const auto& [name, target] : shared.config.targets->targets) {
    if (std::holds_alternative<target::McpTarget>(target.kind)) say("target {} at {}/mcp/{}", name, gateway.public_url, name);
    else if (running.postgres) say("target {} at {} port {} as user NAME@{}", name, host(gateway.listen_postgres), running.postgres->port(), name);
    else say("target {} cannot be reached: gateway.listen.postgres is not set", name);
  }
}

/// No new sessions; what runs gets its time; then every session is closed in the record and the evidence is sealed.
int stop(Shared& shared, Running& running) {
  running.draining = true;
  running.reloads.close();
  running.mcp->stop();
  if (running.postgres) running.postgres->stop();
  const auto deadline = net::after(shared.config.gateway.drain_ns);
  std::vector<std::future<void>> drained;
  for (auto& worker : running.workers)
    drained.push_back(boost::asio::co_spawn(worker->context(), worker->mcp().drain(deadline), boost::asio::use_future));
  for (auto& worker : running.workers)
    drained.push_back(boost::asio::co_spawn(worker->context(), worker->postgres().drain(deadline), boost::asio::use_future));
  for (auto& one : drained) one.get();
  // The admin listener goes last: until here it says why /readyz is red.
  running.admin->stop();
  boost::asio::post(running.workers.front()->context(), [&running] {
    running.sign_in->stop();
    running.api->close();
  });
  bool clean = true;
  for (auto& worker : running.workers) clean = worker->finish(2'000'000'000) && clean;
  shared.timestamping.reset();
  shared.log->stop();
  shared.keeping.reset();  // before the worker that waits for its answers
  shared.sessions.reset();
  shared.witnessing.reset();
  say("stopped{}", clean ? "" : "; some connections did not close in time");
  tell(R"({"event":"stopped"})");
  // A worker whose thread still runs cannot be destroyed; everything durable is done, so the process just ends.
  if (!clean) std::_Exit(0);
  return cli::exit_code::kDone;
}

int serve(const std::string& config_file) {
  auto loaded = cli::load_config(config_file);
  if (!loaded.config) {
    fmt::print(stderr, "{}\n", loaded.problems);
    return cli::exit_code::kUsage;
  }
  for (const auto& warning : loaded.warnings) say("warning: {}", warning);
  harden();
  const sigset_t signals = take_signals();
  Shared shared;
  shared.config = std::move(*loaded.config);
  if (auto opened = open_shared(shared); !opened) {
    say("cannot start: {}", opened.error().what);
    return cli::exit_code::kError;
  }
  Running running;
  if (auto started = start(shared, running); !started) {
    say("cannot start: {}", started.error().what);
    shared.timestamping.reset();
    shared.log->stop();
    shared.witnessing.reset();
    return cli::exit_code::kError;
  }
  announce(shared, running);
  for (;;) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal == SIGHUP) running.reloads.answer(reload(shared, running));
    else break;
  }
  say("stopping; running commands get {} s", shared.config.gateway.drain_ns / 1'000'000'000);
  // A second signal means now: what runs is recorded as interrupted at the next start.
  std::thread([signals] {
    int signal = 0;
    while (sigwait(&signals, &signal) != 0 || signal == SIGHUP) {}
    std::_Exit(cli::exit_code::kError);
  }).detach();
  return stop(shared, running);
}

}  // namespace
}  // namespace sallyport

int main(int argc, char** argv) {
  try {
    return sallyport::cli::run(argc, argv, sallyport::serve);
  } catch (const std::exception& error) {
    fmt::print(stderr, "sallyport: {}\n", error.what());
    return sallyport::cli::exit_code::kError;
  }
}
