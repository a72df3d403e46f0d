#include "protocol/postgres/upstream.h"

#include <fstream>
#include <iterator>

#include "protocol/postgres/scram.h"

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {

constexpr std::size_t kMaxLogin = 64u << 10;      // bytes of one message before the server has accepted us
constexpr std::int64_t kQuery = 30'000'000'000;   // how long the catalog's queries may take
constexpr std::size_t kMaxCatalog = 256u << 20;

struct Message {
  char type = 0;
  std::string body;
};

/// Reads message by message; the answers of a login and of the catalog are small and come one at a time.
class Reader {
 public:
  Reader(target::Wire& wire, std::size_t longest) : wire_(wire), longest_(longest) {}

  awaitable<Result<Message>> next(net::Deadline deadline) {
    for (;;) {
      CO_TRY(const auto head, back_head(std::string_view(buffer_).substr(at_)));
      if (head && head->length > longest_) co_return fail(ErrorKind::Malformed, "the target sent a message of " + std::to_string(head->length) + " bytes where that is too long");
      if (head && buffer_.size() - at_ >= kHead + head->length) {
        Message out{head->type, buffer_.substr(at_ + kHead, head->length)};
        at_ += kHead + head->length;
        co_return out;
      }
      buffer_.erase(0, std::exchange(at_, 0));
      const auto size = buffer_.size();
      buffer_.resize(size + (16u << 10));
      auto got = co_await wire_.read_some(std::span(buffer_).subspan(size), deadline);
      buffer_.resize(size + (got ? *got : 0));
      if (!got) co_return std::unexpected(std::move(got).error());
      if (*got == 0) co_return fail(ErrorKind::Disconnected, "the target closed the connection");
    }
  }
  bool empty() const { return at_ == buffer_.size(); }

 private:
  target::Wire& wire_;
  std::size_t longest_, at_ = 0;
  std::string buffer_;
};

Result<std::string> read_file(const std::string& path, const char* what) {
  std::ifstream in(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.empty()) return fail(ErrorKind::Unavailable, std::string("cannot read the ") + what + " " + path);
  return text;
}

Result<net::TlsClient> tls_of(const target::PostgresTarget& server) {
  std::string ca;
  if (!server.ca_file.empty()) {
    TRY(ca, read_file(server.ca_file, "target's CA file"));
  }
  if (!server.certificate.set()) return net::TlsClient::create(ca);
  TRY(const auto certificate, server.certificate.read());
  TRY(const auto key, server.key.read());
  return net::TlsClient::create(ca, certificate, key);
}

/// TCP or Unix socket, then TLS where it is configured.
awaitable<Result<std::unique_ptr<target::Wire>>> open(boost::asio::io_context& context, const target::Target& target, const target::PostgresTarget& server,
                                                      net::Deadline deadline) {
  target::WireAddress address{server.host, server.port, ""};
  if (server.is_unix()) address.unix_path = server.host + "/.s.PGSQL." + std::to_string(server.port);
  CO_TRY(auto wire, co_await target::Wire::connect(context, std::move(address), target.name, deadline));
  if (!server.tls || server.is_unix()) co_return wire;
  std::string request;
  put_u32(request, 8);
  put_u32(request, kSslRequest);
  CO_TRY_VOID(co_await wire->greet(request, deadline));
  char answer = 0;
  CO_TRY(const auto got, co_await wire->read_some({&answer, 1}, deadline));
  if (got != 1 || answer != 'S') co_return fail(ErrorKind::Unavailable, "the target does not offer TLS; its configuration demands it");
  CO_TRY(const auto tls, tls_of(server));
  CO_TRY_VOID(co_await wire->start_tls(tls, server.host, deadline));
  co_return wire;
}

std::string error_text(std::string_view body) {
  const auto fields = read_notice(body);
  if (!fields) return "an error that cannot be read";
  return std::string(field_of(*fields, 'C')) + " " + std::string(field_of(*fields, 'M').substr(0, 500));
}

/// Answers what the server asks until it is satisfied.
class Login {
 public:
  Login(target::Wire& wire, Reader& reader, const target::PostgresTarget& server, net::Deadline deadline)
      : wire_(wire), reader_(reader), server_(server), deadline_(deadline) {}

  awaitable<Result<void>> run() {
    for (;;) {
      CO_TRY(const auto message, co_await reader_.next(deadline_));
      if (message.type == 'E') co_return fail(ErrorKind::Unavailable, "the target refused the gateway's login: " + error_text(message.body));
      if (message.type == 'N' || message.type == 'v') continue;
      if (message.type != 'R') co_return fail(ErrorKind::Malformed, "the target did not ask for authentication");
      Cursor cursor(message.body);
      const auto kind = cursor.u32();
      if (!cursor.ok()) co_return fail(ErrorKind::Malformed, "the target's authentication request cannot be read");
      if (kind == 0) {
        // A server that skipped the end of SCRAM has not shown that it knows the password.
        if (scram_ && !proven_) co_return fail(ErrorKind::Unavailable, "the target ended SCRAM before it proved itself");
        co_return Result<void>{};
      }
      CO_TRY_VOID(co_await answer(kind, cursor.rest()));
    }
  }

 private:
  awaitable<Result<void>> send(std::string_view body) {
    std::string out;
    put_message(out, 'p', body);
    co_return co_await wire_.greet(out, deadline_);
  }

  Result<std::string> password() const {
    if (!server_.password.set()) return fail(ErrorKind::Unavailable, "the target asks for a password and none is configured");
    return server_.password.read();
  }

  awaitable<Result<void>> answer(std::uint32_t kind, std::string_view rest) {
    if (kind == 3 || kind == 5) {
      CO_TRY(const auto secret, password());
      const bool safe = wire_.is_tls() || server_.is_unix();
      if (kind == 3 && !safe) co_return fail(ErrorKind::Unavailable, "the target asks for the password in clear text on a connection without TLS");
      if (kind == 5 && rest.size() != 4) co_return fail(ErrorKind::Malformed, "the target's md5 salt has another length");
      const std::string text = kind == 3 ? secret : md5_answer(server_.user, secret, rest);
      co_return co_await send(text + '\0');
    }
    if (kind == 10) co_return co_await begin_scram(rest);
    if (kind == 11 && scram_) {
      CO_TRY(const auto final, scram_->final(rest));
      co_return co_await send(final);
    }
    if (kind == 12 && scram_) {
      CO_TRY_VOID(scram_->verify(rest));
      proven_ = true;
      co_return Result<void>{};
    }
    co_return fail(ErrorKind::Unavailable, "the target asks for authentication of kind " + std::to_string(kind) + ", which the gateway does not have");
  }

  awaitable<Result<void>> begin_scram(std::string_view mechanisms) {
    Cursor cursor(mechanisms);
    bool plain = false, plus = false;
    for (auto name = cursor.text(); cursor.ok() && !name.empty(); name = cursor.text()) {
      plain = plain || name == "SCRAM-SHA-256";
      plus = plus || name == "SCRAM-SHA-256-PLUS";
    }
    auto hash = wire_.certificate_hash();
    plus = plus && !hash.empty();
    if (!plain && !plus) co_return fail(ErrorKind::Unavailable, "the target offers no SASL mechanism that the gateway has");
    CO_TRY(auto secret, password());
    scram_.emplace(std::move(secret), plus, std::move(hash), false);
    const auto first = scram_->first();
    std::string body = plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256";
    body += '\0';
    put_u32(body, static_cast<std::uint32_t>(first.size()));
    co_return co_await send(body + first);
  }

  target::Wire& wire_;
  Reader& reader_;
  const target::PostgresTarget& server_;
  net::Deadline deadline_;
  std::optional<ScramClient> scram_;
  bool proven_ = false;
};

}  // namespace

awaitable<Result<Upstream>> log_in(boost::asio::io_context& context, const target::Target& target, const target::PostgresTarget& server, Parameters parameters) {
  const auto deadline = net::after(server.connect_ns);
  Upstream out;
  CO_TRY(out.wire, co_await open(context, target, server, deadline));
  parameters.insert(parameters.begin(), {"user", server.user});
  CO_TRY_VOID(co_await out.wire->greet(write_startup(parameters), deadline));
  Reader reader(*out.wire, kMaxLogin);
  Login login(*out.wire, reader, server, deadline);
  CO_TRY_VOID(co_await login.run());
  for (;;) {
    CO_TRY(const auto message, co_await reader.next(deadline));
    Cursor cursor(message.body);
    switch (message.type) {
      case 'S': {
        const auto name = cursor.text();
        out.parameters.emplace_back(name, cursor.text());
        break;
      }
      case 'K':
        out.key.pid = cursor.u32();
        out.key.secret = cursor.rest();
        break;
      case 'N': put_message(out.notices, 'N', message.body); break;
      case 'E': co_return fail(ErrorKind::Unavailable, "the target refused the session: " + error_text(message.body));
      case 'Z':
        out.status = static_cast<char>(cursor.u8());
        if (!cursor.done() || !reader.empty()) co_return fail(ErrorKind::Malformed, "the target sent more than its greeting");
        co_return out;
      default: co_return fail(ErrorKind::Malformed, std::string("the target sent a message '") + message.type + "' in its greeting");
    }
  }
}

awaitable<Result<void>> cancel(boost::asio::io_context& context, const target::Target& target, const target::PostgresTarget& server, BackendKey key) {
  const auto deadline = net::after(server.connect_ns);
  CO_TRY(auto wire, co_await open(context, target, server, deadline));
  std::string request;
  put_u32(request, static_cast<std::uint32_t>(12 + key.secret.size()));
  put_u32(request, kCancelRequest);
  put_u32(request, key.pid);
  request += key.secret;
  CO_TRY_VOID(co_await wire->greet(request, deadline));
  // The server closes when it has read it: only then is the request surely delivered.
  char nothing = 0;
  (void)co_await wire->read_some({&nothing, 1}, deadline);
  co_return Result<void>{};
}

awaitable<Result<Rows>> query(Upstream& upstream, std::string text) {
  const auto deadline = net::after(kQuery);
  std::string out;
  put_message(out, 'Q', text + '\0');
  CO_TRY_VOID(co_await upstream.wire->greet(out, deadline));
  Reader reader(*upstream.wire, kMaxCatalog);
  Rows rows;
  std::string failed;
  for (;;) {
    CO_TRY(const auto message, co_await reader.next(deadline));
    if (message.type == 'E') failed = error_text(message.body);
    if (message.type == 'D') {
      Cursor cursor(message.body);
      auto& row = rows.emplace_back(static_cast<std::uint16_t>(cursor.i16()));
      for (auto& value : row) {
        const auto length = cursor.i32();
        if (length > 0) value = cursor.take(static_cast<std::size_t>(length));
      }
      if (!cursor.done()) co_return fail(ErrorKind::Malformed, "the target sent a row that cannot be read");
    }
    if (message.type == 'Z') break;
  }
  if (!failed.empty()) co_return fail(ErrorKind::Unavailable, "the target's catalog cannot be read: " + failed);
  co_return rows;
}

}  // namespace sallyport::protocol::postgres
