// `sallyport notary`: signs the heads of one gateway's log, in a process and best under a user of its own (docs/evidence.md,
// "The notary"). Embedded, it is a gateway's child on socket 3 and ends with it.
#include <grp.h>
#include <pwd.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "base/json.h"
#include "cli/command.h"
#include "cli/evidence_place.h"
#include "evidence/notary_link.h"

namespace sallyport::cli {
namespace {

using evidence::File;
using evidence::Notary;

struct Options {
  std::string origin, state, socket, user, key, module, token, label, pin;
  bool embedded = false;
};

volatile std::sig_atomic_t ended = 0;

Result<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string out;
  if (!file || !std::getline(file, out)) return fail(ErrorKind::Unavailable, "cannot read " + path);
  return out;
}

Result<std::unique_ptr<evidence::KeyStore>> key_of(const Options& options) {
  if (!options.module.empty()) {
    TRY(const auto pin, first_line(options.pin));
    return evidence::pkcs11_key(options.origin, options.module, options.token, options.label, pin);
  }
  TRY(const auto key, first_line(options.key));
  return evidence::memory_key(options.origin, key);
}

Result<uid_t> client_of(const Options& options) {
  if (options.user.empty()) return ::geteuid();
  const auto* found = ::getpwnam(options.user.c_str());
  if (found == nullptr) return fail(ErrorKind::Unavailable, "there is no user " + options.user);
  return found->pw_uid;
}

Result<File> listen_on(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return fail(ErrorKind::Unavailable, path + " is too long for a socket's name");
  std::ranges::copy(path, address.sun_path);
  File out(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::unlink(path.c_str());
  // Who may speak to it is judged by the peer's user; the mode only lets both users reach it.
  const auto mask = ::umask(0);
  const bool ok = out.open() && ::bind(out.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::listen(out.fd(), 4) == 0;
  ::umask(mask);
  if (!ok) return evidence::system_failure("cannot listen on " + path, errno);
  return out;
}

int serve_socket(const Options& options, Notary& notary) {
  const auto client = client_of(options);
  if (!client) return failed(client.error());
  const auto listener = listen_on(options.socket);
  if (!listener) return failed(listener.error());
  struct sigaction end{};
  end.sa_handler = [](int) { ended = 1; };
  for (const int signal : {SIGTERM, SIGINT}) ::sigaction(signal, &end, nullptr);
  fmt::print(R"({{"event":"listening","socket":{},"origin":{},"key":{},"size":{}}})" "\n", json::quote(options.socket), json::quote(notary.origin()),
             json::quote(notary.verifier_key()), notary.last()->size());
  std::fflush(stdout);
  const auto waiting = [&](int wait_ms) {
    pollfd door{listener->fd(), POLLIN, 0};
    return ::poll(&door, 1, wait_ms) > 0;
  };
  while (!ended) {
    if (!waiting(500)) continue;
    const File connection(::accept4(listener->fd(), nullptr, nullptr, SOCK_CLOEXEC));
    ucred peer{};
    socklen_t size = sizeof peer;
    if (!connection.open() || ::getsockopt(connection.fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) continue;
    if (peer.uid != *client) {
      fmt::print(stderr, "sallyport: the notary refused user {} (process {})\n", peer.uid, peer.pid);
      continue;
    }
    // A gateway that was started anew must not wait for the connection of the one before.
    evidence::serve_client(connection.fd(), notary, [&] { return ended != 0 || waiting(0); });
  }
  ::unlink(options.socket.c_str());
  return exit_code::kDone;
}

int serve_embedded(const Options& options) {
  // It goes when the gateway has signed its last head and closes the socket, not when a terminal interrupts them both.
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  constexpr int kSocket = 3;
  const auto key = evidence::read_embedded_key(kSocket);
  if (!key) return failed(key.error());
  const auto notary = [&]() -> Result<std::unique_ptr<Notary>> {
    const auto name = key->substr(std::min(key->size(), std::string_view("PRIVATE+KEY+").size()));
    for (int tries = 0;; ++tries) {
      TRY(auto store, evidence::memory_key(name.substr(0, name.find('+')), *key));
      auto opened = Notary::open(std::move(store), options.state);
      // The one of a gateway that was killed may still be on its way out.
      if (opened || tries == 50 || opened.error().what.find("in use") == std::string::npos) return opened;
      ::usleep(100'000);
    }
  }();
  if (!notary) return evidence::refuse_client(kSocket, notary.error()), exit_code::kError;
  evidence::serve_client(kSocket, **notary, [] { return false; });
  return exit_code::kDone;
}

int run_notary(const Options& options) {
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(SIGPIPE, SIG_IGN);
  ::umask(0077);
  if (options.embedded) return serve_embedded(options);
  auto key = key_of(options);
  if (!key) return failed(key.error());
  const auto notary = Notary::open(std::move(*key), options.state);
  if (!notary) return failed(notary.error());
  return serve_socket(options, **notary);
}

}  // namespace

void add_notary_command(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  auto* notary = app.add_subcommand("notary", "Sign the heads of a gateway's log, apart from the gateway");
  notary->add_option("--origin", options->origin, "The log's origin: NAME/evidence");
  notary->add_option("--state", options->state, "File that remembers the last head; keep it with the notary")->required();
  auto* socket = notary->add_option("--socket", options->socket, "Unix socket to listen on");
  notary->add_option("--client-user", options->user, "The gateway's user; default: this one");
  auto* key = notary->add_option("--key", options->key, "File with the signer key (PRIVATE+KEY+…)");
  auto* module = notary->add_option("--pkcs11", options->module, "PKCS#11 module that holds the key instead")->excludes(key);
  auto* token = notary->add_option("--token", options->token, "Label of its token");
  auto* label = notary->add_option("--label", options->label, "Label of the key");
  auto* pin = notary->add_option("--pin-file", options->pin, "File with the token's user PIN");
  module->needs(token)->needs(label)->needs(pin);
  notary->add_flag("--embedded", options->embedded, "For the gateway's use")->group("")->excludes(socket);
  notary->callback([options, &exit] {
    if (!options->embedded && (options->origin.empty() || options->socket.empty() || (options->key.empty() && options->module.empty()))) {
      fmt::print(stderr, "sallyport: the notary needs --origin, --socket, and --key or --pkcs11\n");
      exit = exit_code::kUsage;
      return;
    }
    exit = run_notary(*options);
  });
}

}  // namespace sallyport::cli
