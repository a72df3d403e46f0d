// `sallyport token issue`, `user hash`, `whoami`: the embedded identity from the command line. Passwords come from a terminal
// without echo, from stdin or from a file; never from an argument.
#include <termios.h>
#include <unistd.h>

#include <fstream>
#include <iostream>

#include "cli/client.h"
#include "cli/command.h"
#include "identity/authenticator.h"

namespace sallyport::cli {
namespace {

struct Options {
  ClientOptions client;
  std::string user, agent, password_file, code, door, label;
  std::int64_t lifetime_seconds = 0;
  bool password_stdin = false, break_glass = false, json = false;
};

/// One line without its end. Echo is off while a person types, whatever happens.
std::string ask(const char* prompt) {
  termios before{};
  const bool terminal = ::isatty(STDIN_FILENO) && ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    fmt::print(stderr, "{}", prompt);
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  std::string line;
  std::getline(std::cin, line);
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fmt::print(stderr, "\n");
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

Result<std::string> read_password(const Options& options) {
  std::string password;
  if (!options.password_file.empty()) {
    std::ifstream in(options.password_file);
    if (!in) return fail(ErrorKind::Unavailable, "cannot read the password file " + options.password_file);
    std::getline(in, password);
    if (!password.empty() && password.back() == '\r') password.pop_back();
  } else {
    password = ask("Password: ");
  }
  if (password.empty()) return fail(ErrorKind::Malformed, "the password is empty");
  return password;
}

int print_token(const Options& options, const json::Value& root) {
  if (options.json) {
    fmt::print("{}\n", root.raw());
    return exit_code::kDone;
  }
  fmt::print("{}\n", printable(root["token"].as_string()));
  const auto login = root["login"].is_string() ? fmt::format(", database user {}@TARGET", printable(root["login"].as_string())) : std::string();
  fmt::print(stderr, "for {}, until {}{}\n", printable(root["display"].as_string()), printable(root["expires"].as_string()), login);
  return exit_code::kDone;
}

/// What the token is to be, the same however it is asked for.
std::string terms(const Options& options) {
  std::string out = R"("door":)" + json::quote(options.door.empty() ? "any" : options.door);
  if (!options.agent.empty()) out += R"(,"agent":)" + json::quote(options.agent);
  if (!options.label.empty()) out += R"(,"label":)" + json::quote(options.label);
  if (options.lifetime_seconds > 0) out += R"(,"lifetime_seconds":)" + std::to_string(options.lifetime_seconds);
  return out;
}

/// From the sign-in that `sallyport login` made.
int derive(const Options& options) {
  auto body = "{" + terms(options);
  auto reply = Client(options.client).request("POST", "/api/tokens/derive", body + "}", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  return print_token(options, reply->body.root());
}

int issue(const Options& options) {
  if (options.user.empty()) return derive(options);
  const auto password = read_password(options);
  if (!password) {
    fmt::print(stderr, "sallyport: {}\n", password.error().what);
    return exit_code::kUsage;
  }
  std::string body = "{" + terms(options) + R"(,"user":)" + json::quote(options.user) + R"(,"password":)" + json::quote(*password);
  if (!options.code.empty()) body += R"(,"code":)" + json::quote(options.code);
  if (options.break_glass) body += R"(,"break_glass":true)";
  auto reply = Client(options.client).request("POST", "/api/tokens", body + "}", false);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  return print_token(options, reply->body.root());
}

int hash() {
  const bool terminal = ::isatty(STDIN_FILENO);
  const auto password = ask("Password: ");
  if (password.empty()) {
    fmt::print(stderr, "sallyport: the password is empty\n");
    return exit_code::kUsage;
  }
  if (terminal && ask("Again: ") != password) {
    fmt::print(stderr, "sallyport: the two are not the same\n");
    return exit_code::kUsage;
  }
  fmt::print("{}\n", identity::hash_password(password));
  return exit_code::kDone;
}

int whoami(const Options& options) {
  auto reply = Client(options.client).request("GET", "/api/whoami", "", true);
  if (const int code = explain(reply); code != exit_code::kDone) return code;
  const auto root = reply->body.root();
  if (options.json) {
    fmt::print("{}\n", root.raw());
    return exit_code::kDone;
  }
  std::string groups;
  for (const auto group : root["groups"]) groups += (groups.empty() ? "" : ", ") + printable(group.as_string());
  fmt::print("{} ({}), groups: {}, until {}\n", printable(root["display"].as_string()), printable(root["issuer"].as_string()), groups.empty() ? "none" : groups,
             printable(root["expires"].as_string()));
  return exit_code::kDone;
}

}  // namespace

void add_identity_commands(CLI::App& app, int& exit) {
  const auto options = std::make_shared<Options>();
  const auto common = [&](CLI::App* command) {
    command->add_option("--url", options->client.url, "Admin address of the gateway (else SALLYPORT_URL)");
    command->add_option("--ca", options->client.ca, "PEM file to trust (else SALLYPORT_CA)");
    command->add_flag("--json", options->json, "JSON");
  };
  auto* token = app.add_subcommand("token", "Short-lived tokens");
  token->require_subcommand(1);
  auto* issued = token->add_subcommand("issue", "A token from your sign-in (sallyport login), or for a local user, whose password is asked for");
  common(issued);
  issued->add_option("--user", options->user, "Local user; without it the token comes from your sign-in");
  issued->add_option("--code", options->code, "One-time code of a user that has them");
  issued->add_flag("--break-glass", options->break_glass, "The password is the sealed one for break-glass access");
  issued->add_option("--for", options->door, "Where it is good: any (default), mcp, database or api")->check(CLI::IsMember({"any", "mcp", "database", "api"}));
  issued->add_option("--label", options->label, "Your words for it in sallyport tokens ls");
  issued->add_option("--agent", options->agent, "Name of the agent that acts for the user");
  issued->add_option("--lifetime", options->lifetime_seconds, "Seconds; at most identity.token_lifetime")->check(CLI::PositiveNumber);
  issued->add_option("--password-file", options->password_file, "File whose first line is the password");
  issued->add_flag("--password-stdin", options->password_stdin, "Read the password from stdin, as is done anyway when it is no terminal");
  issued->callback([options, &exit] { exit = issue(*options); });
  auto* user = app.add_subcommand("user", "Local users");
  user->require_subcommand(1);
  user->add_subcommand("hash", "Argon2id hash of a password, for password_hash")->callback([&exit] { exit = hash(); });
  auto* who = app.add_subcommand("whoami", "Whose token this is");
  common(who);
  who->add_option("--token-file", options->client.token_file, "File that holds the token (else SALLYPORT_TOKEN, SALLYPORT_TOKEN_FILE)");
  who->callback([options, &exit] { exit = whoami(*options); });
}

}  // namespace sallyport::cli
