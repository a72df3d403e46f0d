// The whole program, in the order of the data path: state, evidence, approvals, then one worker a core with identity,
// gate, links and protocols on it, then the listeners. The main thread builds, waits for signals, and takes down in the
// opposite order. There are no globals.
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>
#include <csignal>
#include <future>
#include <latch>
#include <mutex>

#include "cli/command.h"
#include "cli/config_show.h"
#include "identity/key_source.h"
#include "net/listener.h"
#include "signin/saml_pages.h"
#include "signin/scim.h"
#include "signin/sign_in.h"
#include "opening.h"

namespace sallyport {
namespace {

using boost::asio::awaitable;

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, "sallyport: {}\n", fmt::format(format, std::forward<Args>(args)...));
}

/// One line of JSON on stdout for programs that started us.
void tell(const std::string& event) {
  fmt::print("{}\n", event);
  std::fflush(stdout);
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

awaitable<std::vector<admin::Metric>> metrics(Workers& workers, const enforce::ToolPins& pins, protocol::mcp::Sights& sights) {
  double sessions = 0, connections = 0, requests = 0, refused = 0, postgres_sessions = 0, postgres_refused = 0, processes = 0, started = 0, died = 0;
  for (auto& worker : workers) {
    auto ask = [](Worker& one) -> awaitable<protocol::mcp::Endpoint::Counts> { co_return one.mcp().counts(); };
    auto ask_postgres = [](Worker& one) -> awaitable<protocol::postgres::Endpoint::Counts> { co_return one.postgres().counts(); };
    const auto postgres = co_await boost::asio::co_spawn(worker->context(), ask_postgres(*worker), boost::asio::use_awaitable);
    postgres_sessions += static_cast<double>(postgres.sessions);
    postgres_refused += static_cast<double>(postgres.refused);
    const auto counts = co_await boost::asio::co_spawn(worker->context(), ask(*worker), boost::asio::use_awaitable);
    auto ask_processes = [](Worker& one) -> awaitable<protocol::mcp::StdioPool::Counts> { co_return one.mcp().processes(); };
    const auto pool = co_await boost::asio::co_spawn(worker->context(), ask_processes(*worker), boost::asio::use_awaitable);
    processes += static_cast<double>(pool.processes);
    started += static_cast<double>(pool.started);
    died += static_cast<double>(pool.died);
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
  out.push_back({"sallyport_target_processes", "Servers that run as processes of the gateway.", "gauge", mcp, processes});
  out.push_back({"sallyport_target_processes_started_total", "Server processes that were started.", "counter", mcp, started});
  out.push_back({"sallyport_target_processes_died_total", "Server processes that ended unasked or did not start.", "counter", mcp, died});
  const std::map<std::string, std::string> postgres = {{"protocol", "postgres"}};
  out.push_back({"sallyport_sessions", "Open sessions.", "gauge", postgres, postgres_sessions});
  out.push_back({"sallyport_logins_refused_total", "Logins that were refused.", "counter", postgres, postgres_refused});
  for (const auto& [target, count] : pins.waiting()) out.push_back({"sallyport_tools_quarantined", "Tools that wait for a review.", "gauge", {{"target", target}}, static_cast<double>(count)});
  for (const auto& [member, up] : sights.members())
    out.push_back({"sallyport_virtual_member_up", "Whether a member of a virtual server answered when it was last spoken to.", "gauge", {{"server", member.first}, {"member", member.second}}, up ? 1.0 : 0.0});
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

/// What the sign-in pages know of the MCP door. `first`: the admin's worker, whose Gate says who may reach what.
signin::McpDoor mcp_door(const Shared& shared, Worker& first) {
  signin::McpDoor out;
  out.public_url = shared.config.gateway.public_url;
  out.scopes = resource_server(shared).scopes;
  for (const auto& [name, one] : shared.config.targets->targets)
    if (const auto* mcp = std::get_if<target::McpTarget>(&one.kind); mcp != nullptr && mcp->oauth && mcp->oauth->grant == identity::UpstreamClient::Grant::AuthorizationCode)
      out.accounts[name] = mcp->oauth;
  out.may_reach = [&first](const identity::Principal& who, const std::string& target) { return first.gate().may_open(who, target); };
  return out;
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
  shared.tls_mcp = tls->mcp;
  shared.postgres = tls->postgres;
  shared.keys = identity::make_key_source(identity::issuers_of(shared.config.identity));
  const auto identity = std::make_shared<const identity::IdentityConfig>(shared.config.identity);
  shared.directory->reconfigure(identity);
  shared.approvals->access()->configure(access_of(shared.config));
  shared.outbox->reconfigure(shared.config.notify);
  shared.upstream->forget_endpoints();
  for (const auto& warning : loaded.warnings) say("warning: {}", warning);
  on_every(running.workers, [&](Worker& worker) { worker.reconfigure(shared); });
  std::promise<void> known;
  boost::asio::post(running.workers.front()->context(), [&, config = admin_config(shared.config)] {
    running.api->reconfigure(config);
    running.sign_in->reconfigure(identity, shared.keys, mcp_door(shared, *running.workers.front()));
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
    worker.accept_mcp(fd, options->http, [&worker](net::HttpServerConnection http) { return worker.mcp().serve(std::move(http), {}); });
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
  shared.upstream->people_connect_at(origin);
  for (auto& worker : workers) worker->mcp().describe(resource_server(shared));
  running.api = std::make_unique<admin::Admin>(admin::AdminServices{
      first.context(), first.authenticator(), *shared.directory, *shared.approvals, *shared.pins, *shared.log, first.port(), *shared.reading, *shared.keeping, *shared.sessions, admin_config(shared.config), [&running] { return running.reloads.ask(); },
      [&running] { return running.draining.load(); }, [&shared] { return witness_status(shared); }, [&workers, &shared] { return metrics(workers, *shared.pins, *shared.sights); }, origin});
  const signin::Services people{first.context(), first.authenticator(), *shared.directory, origin, *shared.oauth, *shared.upstream, mcp_door(shared, first)};
  running.sign_in = std::make_unique<signin::SignIn>(people,
                                                     std::make_shared<const identity::IdentityConfig>(shared.config.identity), shared.keys);
  running.api->add(running.sign_in->routes());
  TRY(auto saml, signin::SamlPages::load_providers(shared.config.identity, origin));
  running.saml = std::make_unique<signin::SamlPages>(people, *running.sign_in, *shared.store, std::move(saml),
                                                     shared.config.identity.saml);
  running.api->add(running.saml->routes());
  running.sign_in->end_elsewhere_by([saml = running.saml.get()](const identity::SignIn& sign_in) { return saml->sign_out_url(sign_in); });
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
  for (const auto& [name, server] : shared.config.targets->virtual_servers)
    if (shared.config.targets->find(name) == nullptr) say("virtual server {} of {} at {}/mcp/{}", name, server.members.size(), gateway.public_url, name);
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
