// `sallyport login`, `logout`, `tokens`: the gateway's own OAuth endpoints from the command line (RFC 8252 with PKCE on a loopback port, RFC
// 8628 with --device). The token goes to a file that nobody else reads.
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <filesystem>

#include "cli/client.h"
#include "cli/allowed_commands.h"
#include "evidence/file_ops.h"
#include "identity/oidc_sign_in.h"

namespace sallyport::cli {
namespace {

constexpr const char* kClientId = "sallyport-cli";
constexpr std::time_t kPatience = 600;

struct Options {
  ClientOptions client;
  std::string id;
  bool device = false, no_browser = false, json = false;
};

struct Loopback {
  int fd = -1;
  std::uint16_t port = 0;
  ~Loopback() {
    if (fd >= 0) ::close(fd);
  }
};

bool listen_on_loopback(Loopback& out) {
  out.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (out.fd < 0 || ::bind(out.fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(out.fd, 8) != 0) return false;
  if (::getsockname(out.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  out.port = ntohs(address.sin_port);
  return true;
}

/// The person's browser; that it cannot be opened is no failure, for the address stands on the screen.
void open_browser(const std::string& url) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::fork() == 0) {
      const int nowhere = ::open("/dev/null", O_WRONLY);
      ::dup2(nowhere, STDOUT_FILENO);
      ::dup2(nowhere, STDERR_FILENO);
      ::execlp("xdg-open", "xdg-open", url.c_str(), nullptr);
      ::_exit(127);
    }
    ::_exit(0);
  }
  if (child > 0) ::waitpid(child, nullptr, 0);
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const auto byte = from_hex(text.substr(i + 1, 2));
      if (byte) out += static_cast<char>(byte->front());
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const auto pair = query.substr(0, end);
    if (pair.starts_with(name) && pair.size() > name.size() && pair[name.size()] == '=') return unescaped(pair.substr(name.size() + 1));
    query = end == query.npos ? std::string_view() : query.substr(end + 1);
  }
  return "";
}

/// One request line of a browser, within a second; "" for anything else.
std::string read_request_line(int fd) {
  std::string text;
  char block[2048];
  while (text.find("\r\n") == std::string::npos && text.size() < 16'384) {
    pollfd wait{fd, POLLIN, 0};
    if (::poll(&wait, 1, 1000) != 1) return "";
    const auto got = ::recv(fd, block, sizeof(block), 0);
    if (got <= 0) return "";
    text.append(block, static_cast<std::size_t>(got));
  }
  return text.substr(0, text.find("\r\n"));
}

/// Waits for the browser to come back with our state; other visitors of the port are turned away. "" when nobody came in time.
std::string wait_for_code(const Loopback& port, const std::string& state) {
  const auto until = ::time(nullptr) + kPatience;
  while (::time(nullptr) < until) {
    pollfd wait{port.fd, POLLIN, 0};
    if (::poll(&wait, 1, 1000) != 1) continue;
    const int fd = ::accept4(port.fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const auto line = read_request_line(fd);
    std::string code;
    if (line.starts_with("GET /callback?")) {
      const auto end = line.find(' ', 4);
      const auto query = std::string_view(line).substr(14, end == std::string::npos ? 0 : end - 14);
      if (query_value(query, "state") == state) code = query_value(query, "code");
    }
    const std::string text = code.empty() ? "Not what sallyport login waits for.\n" : "Signed in. You can close this window and go back to the terminal.\n";
    const auto answer = fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
                                    code.empty() ? "404 Not Found" : "200 OK", text.size(), text);
    (void)::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    ::shutdown(fd, SHUT_WR);
    ::close(fd);
    if (!code.empty()) return code;
  }
  return "";
}

int keep(const Options& options, const json::Value& root) {
  const auto path = login_token_path();
  if (path.empty()) {
    fmt::print(stderr, "sallyport: there is no HOME to keep the token in; set XDG_STATE_HOME\n");
    return exit_code::kError;
  }
  std::error_code failed;
  const auto folder = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(folder, failed);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  const std::string token(root["access_token"].as_string());
  if (const auto kept = evidence::replace_file(path, as_bytes(token + "\n"), 0600); !kept) {
    fmt::print(stderr, "sallyport: {}\n", kept.error().what);
    return exit_code::kError;
  }
  if (options.json) fmt::print("{}\n", fmt::format(R"({{"display":{},"expires":{},"token_file":{}}})", root["display"].raw(), root["expires"].raw(), json::quote(path)));
  else fmt::print(stderr, "signed in as {}, until {}\n", printable(root["display"].as_string()), printable(root["expires"].as_string()));
  return exit_code::kDone;
}

/// RFC 6749 errors have their own shape.
int explain_oauth(const Result<Reply>& reply) {
  if (!reply || reply->status < 400 || !reply->body.root()["error_description"].is_string()) return explain(reply);
  fmt::print(stderr, "sallyport: {}\n", printable(reply->body.root()["error_description"].as_string()));
  return reply->body.root()["error"].as_string() == "access_denied" ? exit_code::kDenied : reply->status >= 500 ? exit_code::kError : exit_code::kUnauthenticated;
}

int login_device(const Options& options, Client& client) {
  auto begun = client.post_form("/oauth/device_authorization", identity::form_encoded({{"client_id", kClientId}}));
  if (const int code = explain_oauth(begun); code != exit_code::kDone) return code;
  const auto root = begun->body.root();
  const std::string device(root["device_code"].as_string());
  fmt::print(stderr, "On any device, open {} and type the code {}\n", printable(root["verification_uri"].as_string()), printable(root["user_code"].as_string()));
  auto pause = std::max<std::int64_t>(root["interval"].as_int(), 1);
  for (const auto until = ::time(nullptr) + kPatience; ::time(nullptr) < until;) {
    ::sleep(static_cast<unsigned>(pause));
    auto reply = client.post_form("/oauth/token", identity::form_encoded({{"grant_type", "urn:ietf:params:oauth:grant-type:device_code"}, {"device_code", device}, {"client_id", kClientId}}));
    if (reply && reply->status == 200) return keep(options, reply->body.root());
    const auto error = reply ? reply->body.root()["error"].as_string() : std::string_view();
    if (error == "slow_down") pause += 5;
    else if (error != "authorization_pending") return explain_oauth(reply);
  }
  fmt::print(stderr, "sallyport: nobody said yes in time\n");
  return exit_code::kUnauthenticated;
}

int login(const Options& options) {
  Client client(options.client);
  if (client.url().empty()) {
    fmt::print(stderr, "sallyport: which gateway? give --url or set SALLYPORT_URL to its admin address, such as https://127.0.0.1:9443\n");
    return exit_code::kUsage;
  }
  if (options.device) return login_device(options, client);
  Loopback port;
  if (!listen_on_loopback(port)) {
    fmt::print(stderr, "sallyport: no port on 127.0.0.1 can be listened on: {}; sallyport login --device needs none\n", std::strerror(errno));
    return exit_code::kError;
  }
  const auto pkce = identity::make_pkce();
  const auto state = identity::make_pkce().verifier;
  const auto redirect = fmt::format("http://127.0.0.1:{}/callback", port.port);
  const auto url = client.url() + "/oauth/authorize?" + identity::form_encoded({{"response_type", "code"}, {"client_id", kClientId}, {"redirect_uri", redirect}, {"state", state},
                                                                               {"code_challenge", pkce.challenge}, {"code_challenge_method", "S256"}});
  fmt::print(stderr, "Open this address to sign in:\n{}\n", url);
  if (!options.no_browser) open_browser(url);
  const auto code = wait_for_code(port, state);
  if (code.empty()) {
    fmt::print(stderr, "sallyport: nobody came back from the browser in time\n");
    return exit_code::kUnauthenticated;
  }
  auto reply = client.post_form("/oauth/token", identity::form_encoded({{"grant_type", "authorization_code"}, {"code", code}, {"redirect_uri", redirect}, {"code_verifier", pkce.verifier},
                                                                        {"client_id", kClientId}}));
  if (const int failed = explain_oauth(reply); failed != exit_code::kDone) return failed;
  return keep(options, reply->body.root());
}

int logout(const Options& options) {
  auto reply = Client(options.client).request("POST", "/api/logout", "{}", true);
  const int code = explain(reply);
  // Whatever the gateway said, this computer forgets it.
  std::error_code ignored;
  std::filesystem::remove(login_token_path(), ignored);
  if (code != exit_code::kDone) return code;
  const auto at = reply->body.root()["provider_logout"].as_string();
  if (options.json) fmt::print("{}\n", reply->body.root().raw());
  else fmt::print(stderr, "signed out; {} sign-ins and tokens ended\n", reply->body.root()["ended"].as_int());
  if (!at.empty() && !options.json) fmt::print(stderr, "To sign out at the identity provider as well, open:\n{}\n", printable(at));
  return exit_code::kDone;
}

int list(const Options& options) {
  auto reply = Client(options.client).request("GET", "/api/tokens", "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto tokens = reply->body.root()["tokens"];
  if (options.json) {
    fmt::print("{}\n", tokens.raw());
    return exit_code::kDone;
  }
  fmt::print("{:<26} {:<9} {:<20} {:<20} {:<28} {:<26} {}\n", "ID", "FOR", "EXPIRES", "USED", "WHO", "SIGN-IN", "LABEL");
  for (const auto one : tokens) {
    const auto text = [&](const char* name) { return printable(one[name].as_string()); };
    const auto who = one["agent"].as_string().empty() ? text("subject") : "agent " + text("agent") + " for " + text("subject");
    fmt::print("{:<26} {:<9} {:<20} {:<20} {:<28} {:<26} {}\n", text("id"), text("door"), text("expires"), one["used"].is_string() ? text("used") : "-", who,
               one["sign_in"].as_string().empty() ? "-" : text("sign_in"), text("label"));
  }
  return exit_code::kDone;
}

int revoke(const Options& options) {
  if (options.id.empty() || options.id.size() > 64 || options.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") != std::string::npos) {
    fmt::print(stderr, "sallyport: \"{}\" is no id; sallyport tokens ls lists them\n", printable(options.id));
    return exit_code::kUsage;
  }
  auto reply = Client(options.client).request("DELETE", "/api/tokens/" + options.id, "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  if (options.json) fmt::print("{}\n", reply->body.root().raw());
  else fmt::print(stderr, "{} ended\n", reply->body.root()["ended"].as_int());
  return exit_code::kDone;
}

}  // namespace

void add_login_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto common = [&](CLI::App* command) {
    command->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
    command->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
    command->add_flag("--json", options->json, "JSON");
  };
  const auto token_file = [&](CLI::App* command) {
    command->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE, the one of sallyport login)");
  };
  auto* in = app.add_subcommand("login", "Sign in with the browser; the token is kept for this user");
  common(in);
  in->add_flag("--device", options->device, "Show a code to be typed on another device, for machines without a browser");
  in->add_flag("--no-browser", options->no_browser, "Only print the address");
  in->callback([options, &exit] { exit = login(*options); });
  auto* out = app.add_subcommand("logout", "End the sign-in and all its tokens");
  common(out);
  token_file(out);
  out->callback([options, &exit] { exit = logout(*options); });
  auto* tokens = app.add_subcommand("tokens", "Your live tokens");
  tokens->require_subcommand(1);
  auto* ls = tokens->add_subcommand("ls", "List them");
  common(ls);
  token_file(ls);
  ls->callback([options, &exit] { exit = list(*options); });
  auto* back = tokens->add_subcommand("revoke", "Take one back, or a sign-in with all its tokens; their live sessions end");
  common(back);
  token_file(back);
  back->add_option("id", options->id, "tok_… or sgn_…")->required();
  back->callback([options, &exit] { exit = revoke(*options); });
  add_allowed_commands(app, exit);
}

}  // namespace sallyport::cli
