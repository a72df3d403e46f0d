#include "protocol/postgres/login.h"

#include <set>

#include "base/json.h"
#include "base/text.h"
#include "protocol/postgres/scram.h"
#include "sql/statement.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;
using identity::PrincipalPtr;

namespace {

constexpr std::size_t kMaxAnswer = 65'535;
constexpr std::size_t kMaxCancel = 4 + 4 + 256;

/// Settings that a client may bring to its session's start: those of sql/functions.cpp and two that say how texts are read.
bool may_set(std::string_view name, std::string_view value) {
  const auto small = ascii_lower(name);
  if (small == "client_encoding") return true;
  if (small == "standard_conforming_strings") return ascii_lower(value) == "on" || value == "1" || ascii_lower(value) == "true";
  return sql::is_harmless_setting(small);
}

}  // namespace

Names names_of(std::string_view user, std::string_view database) {
  Names out;
  const auto at = user.rfind('@');
  if (at == std::string_view::npos) {
    out.user = user;
    out.target = database;
    return out;
  }
  out.user = user.substr(0, at);
  out.target = user.substr(at + 1);
  // libpq names the database after the user when it is not told another.
  if (database != user) out.database = database;
  return out;
}

Result<Parameters> read_options(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool some = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
      some = true;
    } else if (c == ' ' || c == '\t' || c == '\n') {
      if (std::exchange(some, false)) words.push_back(std::exchange(word, {}));
    } else {
      word += c;
      some = true;
    }
  }
  if (some) words.push_back(word);
  Parameters out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string setting;
    if (words[i] == "-c" && i + 1 < words.size()) setting = words[++i];
    else if (words[i].starts_with("-c") && words[i].size() > 2) setting = words[i].substr(2);
    else if (words[i].starts_with("--")) setting = words[i].substr(2);
    const auto equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) return fail(ErrorKind::Denied, "the startup option \"" + words[i] + "\" is not one that is let through; only -c name=value is");
    auto name = setting.substr(0, equals);
    std::ranges::replace(name, '-', '_');
    out.emplace_back(std::move(name), setting.substr(equals + 1));
  }
  return out;
}

awaitable<void> Login::refuse(const char* code, std::string message, std::string hint) {
  std::string out;
  put_notice(out, 'E', {"FATAL", code, std::move(message), "", std::move(hint)});
  (void)co_await stream_.write(out, deadline_);
}

awaitable<Result<std::string>> Login::read(std::size_t bytes) {
  std::string out(bytes, '\0');
  std::size_t have = 0;
  while (have < bytes) {
    CO_TRY(const auto got, co_await stream_.read_some(std::span(out).subspan(have), deadline_));
    if (got == 0) co_return fail(ErrorKind::Disconnected, "the client closed the connection");
    have += got;
  }
  co_return out;
}

awaitable<Result<void>> Login::start_tls(bool direct) {
  CO_TRY_VOID(co_await stream_.accept_tls(*options_.tls, deadline_));
  // Direct TLS without ALPN could be another protocol's client that was led here.
  if (direct && stream_.alpn() != "postgresql") co_return broken("direct TLS without ALPN \"postgresql\"");
  co_return Result<void>{};
}

awaitable<Result<void>> Login::cancel(std::string_view body) {
  Cursor cursor(body);
  const auto pid = cursor.u32();
  // Whether it was right is nobody's business: the protocol gives no answer.
  if (cursor.ok() && !cursor.rest().empty() && shared_.may_cancel(stream_.peer())) shared_.cancels.fire(pid, cursor.rest());
  co_return Result<void>{};
}

/// Packets before the startup packet, which it returns; nullopt after a cancel request.
awaitable<Result<std::optional<Startup>>> Login::greet() {
  bool asked_tls = false, asked_gss = false;
  char first = 0;
  CO_TRY_VOID(co_await stream_.readable(deadline_));
  CO_TRY(const auto peeked, stream_.peek_now({&first, 1}));
  if (peeked && *peeked == 1 && first == 0x16 && options_.tls) {
    CO_TRY_VOID(co_await start_tls(true));
    asked_tls = true;
  }
  for (;;) {
    CO_TRY(const auto head, co_await read(8));
    Cursor cursor(head);
    const auto length = cursor.u32(), code = cursor.u32();
    if (length < 8 || length > kMaxStartup) co_return broken("invalid length of startup packet");
    if (code == kSslRequest || code == kGssRequest) {
      auto& asked = code == kSslRequest ? asked_tls : asked_gss;
      if (length != 8 || std::exchange(asked, true) || (code == kGssRequest && stream_.is_tls())) co_return broken("an encryption request that is not due");
      // Bytes that came before our answer would be read as if they had come inside TLS.
      char more = 0;
      if (const auto early = stream_.is_tls() ? Result<std::optional<std::size_t>>(std::nullopt) : stream_.peek_now({&more, 1}); early && *early && **early > 0)
        co_return broken("received unencrypted data after an encryption request");
      const bool yes = code == kSslRequest && options_.tls;
      CO_TRY_VOID(co_await stream_.write(yes ? "S" : "N", deadline_));
      if (yes) CO_TRY_VOID(co_await start_tls(false));
      continue;
    }
    CO_TRY(const auto rest, co_await read(length - 8));
    if (code == kCancelRequest) {
      if (length > kMaxCancel) co_return broken("invalid length of cancel request");
      CO_TRY_VOID(co_await cancel(rest));
      co_return std::optional<Startup>();
    }
    if (code >> 16 != 3) {
      co_await refuse("0A000", fmt::format("unsupported frontend protocol {}.{}: server supports 3.0 to 3.2", code >> 16, code & 0xFFFF));
      co_return broken("unsupported protocol version");
    }
    auto startup = read_startup(head.substr(4) + rest);
    if (!startup) {
      co_await refuse("08P01", startup.error().what);
      co_return std::unexpected(std::move(startup).error());
    }
    if (options_.tls && !stream_.is_tls()) {
      co_await refuse("28000", "this gateway takes connections with TLS only", "use sslmode=require or verify-full");
      co_return fail(ErrorKind::Denied, "plain text");
    }
    co_return std::move(*startup);
  }
}

/// A version or an extension that is not known here is declined, not refused (protocol, "NegotiateProtocolVersion").
awaitable<Result<void>> Login::negotiate(const Startup& startup, LoggedIn& out) {
  std::vector<std::string> unknown;
  for (const auto& [name, value] : startup.parameters)
    if (name.starts_with("_pq_.")) unknown.push_back(name);
  const std::uint32_t minor = startup.version & 0xFFFF;
  if (minor >= 2) out.key_bytes = 32;
  if (minor == 1) out.key_bytes = 4;
  if (minor > 2 || minor == 1 || !unknown.empty()) {
    std::string body;
    put_u32(body, minor > 2 ? kVersion32 : minor == 1 ? kVersion30 : startup.version);
    put_u32(body, static_cast<std::uint32_t>(unknown.size()));
    for (const auto& name : unknown) body.append(name).append(1, '\0');
    std::string message;
    put_message(message, 'v', body);
    CO_TRY_VOID(co_await stream_.write(message, deadline_));
  }
  co_return Result<void>{};
}

awaitable<Result<void>> Login::parameters(const Startup& startup, LoggedIn& out) {
  Parameters given;
  for (const auto& [name, value] : startup.parameters) {
    if (name == "user" || name == "database" || name.starts_with("_pq_.")) continue;
    if (name == "replication") {
      const auto small = ascii_lower(value);
      if (small == "false" || small == "off" || small == "no" || small == "0") continue;
      co_await refuse("0A000", "replication connections do not pass this gateway");
      co_return fail(ErrorKind::Denied, "replication");
    }
    if (name == "options") {
      auto read_all = read_options(value);
      if (!read_all) {
        co_await refuse("42501", read_all.error().what);
        co_return std::unexpected(std::move(read_all).error());
      }
      given.insert(given.end(), read_all->begin(), read_all->end());
    } else {
      given.emplace_back(name, value);
    }
  }
  std::set<std::string> seen;
  for (auto& [name, value] : given) {
    if (!may_set(name, value)) {
      co_await refuse("42501", "the setting \"" + name + "\" cannot be brought to the start of a session through this gateway", "leave it out, or SET it where a rule allows that");
      co_return fail(ErrorKind::Denied, "setting " + name);
    }
    if (ascii_lower(name) == "application_name") out.software = value;
    if (seen.insert(ascii_lower(name)).second) out.parameters.emplace_back(std::move(name), std::move(value));
    else std::ranges::find_if(out.parameters, [&](const auto& one) { return ascii_lower(one.first) == ascii_lower(name); })->second = std::move(value);
  }
  co_return Result<void>{};
}

awaitable<Result<void>> Login::ask(std::uint32_t kind, std::string_view data) {
  std::string body, message;
  put_u32(body, kind);
  body.append(data);
  put_message(message, 'R', body);
  co_return co_await stream_.write(message, deadline_);
}

/// The body of a password or SASL message.
awaitable<Result<std::string>> Login::answer() {
  CO_TRY(const auto head, co_await read(kHead));
  Cursor cursor(head);
  const auto type = static_cast<char>(cursor.u8());
  const auto length = cursor.u32();
  if (type != 'p' || length < 4 || length > kMaxAnswer) co_return broken("expected a password message");
  co_return co_await read(length - 4);
}

awaitable<Result<PrincipalPtr>> Login::by_password() {
  CO_TRY_VOID(co_await ask(3, ""));
  CO_TRY(auto password, co_await answer());
  if (password.empty() || password.find('\0') != password.size() - 1) co_return broken("invalid password message");
  password.pop_back();
  co_return co_await shared_.services.authenticator.authenticate(std::move(password), identity::Door::Database, stream_.peer());
}

/// RFC 7628 §3.1: "n,,\x01auth=Bearer TOKEN\x01\x01".
awaitable<Result<PrincipalPtr>> Login::by_bearer(std::string_view message) {
  static constexpr std::string_view kBegin = "n,,\1", kKey = "auth=", kScheme = "bearer ";
  std::string token;
  if (message.starts_with(kBegin)) {
    message.remove_prefix(kBegin.size());
    while (!message.empty() && message.front() != '\1') {
      const auto end = message.find('\1');
      if (end == std::string_view::npos) break;
      const auto pair = message.substr(0, end);
      if (pair.starts_with(kKey) && ascii_lower(pair.substr(kKey.size(), kScheme.size())) == kScheme) token = pair.substr(kKey.size() + kScheme.size());
      message.remove_prefix(end + 1);
    }
  }
  Result<PrincipalPtr> who = fail(ErrorKind::Denied, "no bearer token was given");
  if (!token.empty()) who = co_await shared_.services.authenticator.authenticate(std::move(token), identity::Door::Database, stream_.peer());
  if (!who && who.error().kind != ErrorKind::Unavailable) {
    // Where to get a token that is taken (RFC 7628 §3.2.2); libpq 18 asks without one first. Its answer is one empty message.
    std::string status = R"({"status":"invalid_token")";
    if (!options_.issuer.empty()) status += R"(,"openid-configuration":)" + json::quote(options_.issuer + (options_.issuer.ends_with('/') ? "" : "/") + ".well-known/openid-configuration") + R"(,"scope":"openid")";
    CO_TRY_VOID(co_await ask(11, status + "}"));
    (void)co_await answer();
  }
  co_return who;
}

awaitable<Result<PrincipalPtr>> Login::by_sasl(const std::string& user, identity::ScramSet set) {
  const bool bearer_only = options_.method == LoginOptions::Method::OAuth;
  std::string offered;
  const std::string binding = stream_.is_tls() ? options_.tls->certificate_hash() : "";
  if (!bearer_only && !binding.empty()) offered += std::string("SCRAM-SHA-256-PLUS") + '\0';
  if (!bearer_only) offered += std::string("SCRAM-SHA-256") + '\0';
  if (stream_.is_tls() || bearer_only) offered += std::string("OAUTHBEARER") + '\0';
  CO_TRY_VOID(co_await ask(10, offered + '\0'));
  CO_TRY(const auto first, co_await answer());
  Cursor cursor(first);
  const auto mechanism = cursor.text();
  const auto length = cursor.i32();
  const auto message = length < 0 ? std::string_view{} : cursor.take(static_cast<std::size_t>(length));
  if (!cursor.done()) co_return broken("malformed SASL message");
  if (offered.find(std::string(mechanism) + '\0') == std::string::npos || mechanism.empty()) co_return broken("a SASL mechanism that was not offered");
  if (mechanism == "OAUTHBEARER") co_return co_await by_bearer(message);
  ScramServer scram(set.salt, set.iterations, binding);
  CO_TRY(const auto challenge, scram.first(mechanism, message));
  CO_TRY_VOID(co_await ask(11, challenge));
  CO_TRY(const auto last, co_await answer());
  const auto found = scram.final(last, set.verifiers);
  if (!found) {
    if (found.error().kind == ErrorKind::Malformed) co_return std::unexpected(found.error());
    co_return std::unexpected(co_await shared_.services.authenticator.not_proven(stream_.peer(), user));
  }
  auto who = co_await shared_.services.authenticator.proven(set.tokens[*found], stream_.peer());
  if (who) CO_TRY_VOID(co_await ask(12, scram.server_final()));
  co_return who;
}

awaitable<Result<PrincipalPtr>> Login::authenticate(const std::string& user) {
  using Method = LoginOptions::Method;
  if (const auto name = stream_.peer_common_name(); !name.empty()) {
    if (name != user) co_return fail(ErrorKind::Denied, "the certificate is for another user");
    co_return co_await shared_.services.authenticator.certified(name, stream_.peer());
  }
  if (options_.method == Method::Password) co_return co_await by_password();
  identity::ScramSet set;
  if (options_.method != Method::OAuth) {
    CO_TRY(set, co_await shared_.services.authenticator.scram(user));
    // A user whose tokens come from an identity provider can only send them.
    if (options_.method == Method::Auto && set.verifiers.empty()) co_return co_await by_password();
  }
  co_return co_await by_sasl(user, std::move(set));
}

awaitable<Result<std::optional<LoggedIn>>> Login::run() {
  auto startup = co_await greet();
  if (!startup) co_return std::unexpected(std::move(startup).error());
  if (!*startup) co_return std::optional<LoggedIn>();
  LoggedIn out;
  CO_TRY_VOID(co_await negotiate(**startup, out));
  const auto names = names_of((*startup)->get("user"), (*startup)->get("database"));
  if (names.user.empty() || names.target.empty()) {
    co_await refuse("28000", "no target is named", "connect as user NAME@TARGET, or with the target as database name");
    co_return fail(ErrorKind::Denied, "no target");
  }
  CO_TRY_VOID(co_await parameters(**startup, out));
  auto who = co_await authenticate(names.user);
  if (!who || ((*who)->subject != names.user && (*who)->email != names.user)) {
    const bool unavailable = !who && who.error().kind == ErrorKind::Unavailable;
    // One text for every reason: which part was wrong helps only who guesses.
    co_await refuse(unavailable ? "58030" : "28P01", unavailable ? who.error().what : "password authentication failed for user \"" + names.user + "\"",
                    unavailable ? "" : "the password is a token: sallyport token issue");
    co_return who ? fail(ErrorKind::Denied, "the token is another user's") : std::unexpected(std::move(who).error());
  }
  out.who = std::move(*who);
  out.target = names.target;
  out.database = names.database;
  co_return std::optional<LoggedIn>(std::move(out));
}

}  // namespace sallyport::protocol::postgres
