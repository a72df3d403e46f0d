// `sallyport mcp stdio TARGET`: what a client that only starts commands runs to reach a target of the gateway.
#include <signal.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <semaphore>
#include <thread>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/stdio_bridge.h"
#include "net/tls.h"

namespace sallyport::cli {
namespace {

constexpr std::size_t kMaxLine = 64u << 20;
constexpr std::int64_t kSecond = 1'000'000'000;

struct Options {
  ClientOptions client;
  std::string target, at;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<net::Url> address(const Options& options) {
  auto at = options.at.empty() ? environment("SALLYPORT_MCP_URL") : options.at;
  if (at.empty()) return fail(ErrorKind::Unavailable, "which gateway? set SALLYPORT_MCP_URL to the address that MCP clients use (gateway.public_url), such as https://gw.example:8443");
  while (at.ends_with('/')) at.pop_back();
  TRY(auto url, net::parse_url(at + "/mcp/" + options.target));
  const bool loopback = url.host == "localhost" || url.host.starts_with("127.") || url.host == "::1" || url.host == "[::1]";
  if (!url.tls && !loopback) return fail(ErrorKind::Unavailable, "http:// is for loopback addresses only: the token would cross the network in clear");
  return url;
}

Result<std::shared_ptr<const net::TlsClient>> trust(const Options& options) {
  const auto path = options.client.ca.empty() ? environment("SALLYPORT_CA") : options.client.ca;
  std::string pem;
  if (!path.empty()) {
    std::ifstream in(path);
    pem.assign(std::istreambuf_iterator<char>(in), {});
    if (pem.empty()) return fail(ErrorKind::Unavailable, "cannot read the CA file " + path);
  }
  TRY(auto tls, net::TlsClient::create(pem));
  return std::make_shared<const net::TlsClient>(std::move(tls));
}

/// What opens the door for MCP: the caller's own token; what `sallyport login` stored opens the admin address alone, and makes one for
/// MCP that lives for an hour.
class Tokens {
 public:
  explicit Tokens(ClientOptions options)
      : client_(options), given_(!options.token_file.empty() || !environment("SALLYPORT_TOKEN").empty() || !environment("SALLYPORT_TOKEN_FILE").empty()) {}

  Result<std::string> get() {
    if (given_) return client_.token();
    const auto now = system_clock().mono_ns();
    if (!derived_.empty() && now < renew_ns_) return derived_;
    TRY([[maybe_unused]] const auto login, client_.token());
    TRY(const auto reply, client_.request("POST", "/api/tokens/derive", R"({"door":"mcp","label":"sallyport mcp stdio","lifetime_seconds":3600})", true, 10));
    const auto root = reply.body.root();
    if (reply.status >= 300) return fail(ErrorKind::Denied, "no token for MCP: " + std::string(root["detail"].as_string()) + "; sign in with: sallyport login");
    derived_ = std::string(root["token"].as_string());
    renew_ns_ = now + 3000 * kSecond;
    return derived_;
  }

 private:
  Client client_;
  bool given_;
  std::string derived_;
  std::int64_t renew_ns_ = 0;
};

/// Lines of stdin, one at a time: the next is read when the one before was taken. A thread, for stdin may be a file.
void read_lines(boost::asio::io_context& context, StdioBridge& bridge, std::function<void()> ended) {
  std::binary_semaphore taken(0);
  std::string text;
  std::vector<char> block(64u << 10);
  for (;;) {
    const auto got = ::read(STDIN_FILENO, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || text.size() > kMaxLine) break;
    text.append(block.data(), static_cast<std::size_t>(got));
    for (std::size_t end; (end = text.find('\n')) != std::string::npos;) {
      boost::asio::co_spawn(context, bridge.take(text.substr(0, end)), [&](std::exception_ptr) { taken.release(); });
      taken.acquire();
      text.erase(0, end + 1);
    }
  }
  boost::asio::post(context, std::move(ended));
}

int run_bridge(const Options& options) {
  const auto url = address(options);
  const auto tls = url && url->tls ? trust(options) : Result<std::shared_ptr<const net::TlsClient>>(nullptr);
  const auto tokens = std::make_shared<Tokens>(options.client);
  const auto token = tokens->get();
  for (const auto* problem : {url ? nullptr : &url.error(), tls ? nullptr : &tls.error(), token ? nullptr : &token.error()}) {
    if (problem == nullptr) continue;
    fmt::print(stderr, "sallyport: {}\n", problem->what);
    return problem->kind == ErrorKind::Denied ? exit_code::kUnauthenticated : exit_code::kUsage;
  }
  ::signal(SIGPIPE, SIG_IGN);
  boost::asio::io_context context(1);
  StdioBridge bridge(context, *url, *tls, [tokens] { return tokens->get(); });
  const auto guard = boost::asio::make_work_guard(context);
  const auto finish = [&](std::int64_t patience) {
    boost::asio::co_spawn(context, bridge.end(patience), [&](std::exception_ptr) { context.stop(); });
  };
  boost::asio::signal_set signals(context, SIGTERM, SIGINT, SIGHUP);
  signals.async_wait([&](const boost::system::error_code& stopped, int) {
    if (!stopped) finish(0);
  });
  std::thread([&] { read_lines(context, bridge, [&] { finish(10 * kSecond); }); }).detach();
  context.run();
  // The reader may still wait on stdin: nothing of this process is needed any more.
  std::fflush(stderr);
  ::_exit(exit_code::kDone);
}

}  // namespace

void add_mcp_commands(CLI::App& mcp, int& exit) {
  const auto options = std::make_shared<Options>();
  auto* stdio = mcp.add_subcommand("stdio", "Speak to a target on stdin and stdout, for clients that start a command");
  stdio->add_option("target", options->target, "Name of the target")->required();
  stdio->add_option("--at", options->at, "The gateway's address for MCP clients (else SALLYPORT_MCP_URL)");
  stdio->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
  stdio->add_option("--token-file", options->client.token_file, "File with the token (else SALLYPORT_TOKEN_FILE, SALLYPORT_TOKEN, or what sallyport login wrote)");
  stdio->callback([options, &exit] { exit = run_bridge(*options); });
}

}  // namespace sallyport::cli
