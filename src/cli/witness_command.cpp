// `sallyport witness`: cosigns the heads of other gateways' logs (C2SP tlog-witness), for another department, company or gateway of
// the fleet to run. One thread; its memory is a folder (docs/evidence.md, "Witnesses").
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "anchor/witness.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/evidence_place.h"
#include "evidence/file_ops.h"
#include "net/http.h"
#include "net/listener.h"
#include "net/tls.h"

namespace sallyport::cli {
namespace {

using boost::asio::awaitable;

struct Options {
  std::string listen = "127.0.0.1:9555", state, key, certificate, certificate_key;
  std::vector<std::string> logs;
};

Result<std::string> text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorKind::Unavailable, "cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Result<anchor::Witness> open_witness(const Options& options) {
  TRY(auto key, text_of(options.key));
  key = key.substr(0, key.find('\n'));
  TRY(auto signer, evidence::parse_signer_key(key));
  std::vector<evidence::NoteKey> logs;
  for (const auto& given : options.logs) {
    auto parsed = evidence::parse_verifier_key(given);
    if (!parsed) {
      TRY(const auto text, text_of(given));
      parsed = evidence::parse_verifier_key(text.substr(0, text.find('\n')));
    }
    if (!parsed) return fail(ErrorKind::Malformed, "--log " + given + ": " + parsed.error().what);
    logs.push_back(std::move(*parsed));
  }
  return anchor::Witness::open(options.state, std::move(signer), logs);
}

awaitable<void> serve_connection(net::HttpServerConnection http, anchor::Witness& witness) {
  for (;;) {
    auto request = co_await http.read_request();
    if (!request || !*request) co_return;
    const auto& asked = **request;
    anchor::Witness::Answer answer{404, "text/plain; charset=utf-8", "there is only POST /add-checkpoint and GET /ORIGIN-HASH/checkpoint\n"};
    constexpr std::string_view kTail = "/checkpoint";
    const bool reads = (asked.method == "GET" || asked.method == "HEAD") && asked.target.size() == 1 + 64 + kTail.size() && asked.target.ends_with(kTail);
    if (asked.method == "POST" && asked.target == "/add-checkpoint") {
      answer = witness.add_checkpoint(asked.body, static_cast<std::uint64_t>(system_clock().wall_ns() / 1'000'000'000));
      if (answer.status != 200 && answer.status != 409) fmt::print(stderr, "sallyport: witness: {} from {}: {}", answer.status, http.peer(), printable(answer.body.substr(0, answer.body.size() - 1)) + "\n");
    } else if (reads) {
      answer = witness.checkpoint(std::string_view(asked.target).substr(1, 64));
    }
    net::Headers headers;
    headers.add("Content-Type", answer.type);
    headers.add("Cache-Control", "no-store");
    if (!co_await http.respond(answer.status, headers, answer.body) || !asked.keep_alive) co_return;
  }
}

awaitable<void> accept(net::Stream stream, std::shared_ptr<const net::TlsServer> tls, anchor::Witness& witness) {
  if (tls && !co_await stream.accept_tls(*tls, net::after(10'000'000'000))) co_return;
  net::HttpLimits limits;
  limits.body_bytes = 64u << 10;
  limits.idle_ns = 60'000'000'000;
  co_await serve_connection(net::HttpServerConnection(std::move(stream), limits), witness);
}

int run_witness(const Options& options) {
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(0077);
  auto witness = open_witness(options);
  if (!witness) return failed(witness.error());
  std::shared_ptr<const net::TlsServer> tls;
  if (!options.certificate.empty()) {
    const auto certificate = text_of(options.certificate), key = text_of(options.certificate_key);
    if (!certificate || !key) return failed(!certificate ? certificate.error() : key.error());
    auto made = net::TlsServer::create(*certificate, *key);
    if (!made) return failed(made.error());
    tls = std::make_shared<const net::TlsServer>(std::move(*made));
  }
  boost::asio::io_context context(1);
  const auto listener = net::Listener::open(options.listen, {&context}, [&](std::size_t, int fd) {
    boost::asio::co_spawn(context, accept(net::Stream(context, fd), tls, *witness), boost::asio::detached);
  });
  if (!listener) return failed(listener.error());
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  signals.async_wait([&](auto, auto) { context.stop(); });
  fmt::print(R"({{"event":"listening","url":"{}://{}:{}","key":{}}})" "\n", tls ? "https" : "http", options.listen.substr(0, options.listen.rfind(':')), (*listener)->port(),
             json::quote(witness->verifier_key()));
  std::fflush(stdout);
  context.run();
  return exit_code::kDone;
}

}  // namespace

void add_witness_command(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  auto* witness = app.add_subcommand("witness", "Cosign the heads of other gateways' logs");
  witness->add_option("--listen", options->listen, "IP:PORT; default 127.0.0.1:9555");
  witness->add_option("--state", options->state, "Folder that remembers the last head of each log")->required();
  witness->add_option("--key", options->key, "File with the witness's signer key (sallyport evidence keygen NAME)")->required();
  witness->add_option("--log", options->logs, "Verifier key of a log, or a file that holds it; may be repeated")->required();
  auto* certificate = witness->add_option("--certificate", options->certificate, "PEM certificate; without one it speaks plain HTTP");
  certificate->needs(witness->add_option("--certificate-key", options->certificate_key, "PEM key of it"));
  witness->callback([options, &exit] { exit = run_witness(*options); });
}

}  // namespace sallyport::cli
