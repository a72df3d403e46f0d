// The frame of a session: its beginning and end, and writing to both sides.
#include "protocol/postgres/session.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>

namespace sallyport::protocol::postgres {

using boost::asio::awaitable;

namespace {
constexpr std::size_t kWorthWriting = 32u << 10;   // what is ready goes out before a gate opens only when it is this much
constexpr std::int64_t kWrite = 300'000'000'000;   // a client that takes nothing for so long is gone
}  // namespace

Session::Session(Shared& shared, Begin begin)
    : shared_(shared), client_(std::move(*begin.client)), wire_(std::move(begin.upstream.wire)), record_(std::move(begin.record)),
      permit_(shared.services.gate.session_permit(*record_)), catalog_(std::move(begin.catalog)), target_(begin.target),
      server_(&std::get<target::PostgresTarget>(begin.target->kind)), database_(std::move(begin.database)), key_(std::move(begin.key)),
      server_key_(std::move(begin.upstream.key)), status_(begin.upstream.status) {
  for (const auto& [name, value] : begin.upstream.parameters) {
    std::string body = name + '\0' + value + '\0';
    parameter(body, {});
  }
  out_.append(begin.greeting);
}

Session::~Session() = default;

awaitable<void> Session::run() {
  const auto self = shared_from_this();
  record_->end = [weak = weak_from_this()](std::string why) {
    const auto session = weak.lock();
    if (!session) return;
    session->cancel();  // what runs at the target would go on there
    session->fatal("57P01", "terminating connection: " + why);
  };
  wire_->ready();
  pump_client();
  bool reading = true;
  boost::asio::co_spawn(shared_.services.context, read_server(), [self, &reading](std::exception_ptr failed) {
    reading = false;
    if (failed) self->end("internal error");
    self->notify();
  });
  co_await read_client();
  // What the client sent before it ended is sent on, then the end itself; the server answers what it would have answered.
  co_await wait_for([&] { return outgoing_.empty() || leaving_; });
  if (!ended_ && !leaving_) {
    leaving_ = true;   // from here on the target may close as it likes
    std::string terminate;
    put_message(terminate, 'X', "");
    (void)wire_->queue_control(permit_, terminate);
    pump_server();
    co_await wait_for([&] { return !reading; });
    co_await leave(terminated_ ? "terminated by the client" : "the client closed the connection");
  }
  co_await wait_for([&] { return false; });  // whoever leaves ends the session
  wire_->close();
  while (reading || waiters_ > 0 || writing_client_ || writing_server_) {
    // Whoever waits has been told; they go in a turn or two.
    co_await boost::asio::post(shared_.services.context, boost::asio::use_awaitable);
    notify();
  }
  shared_.cancels.remove(key_.pid);
  co_await shared_.services.gate.close(record_, why_);
}

/// Nothing more comes from the target: what is under way gets its outcome, what is there goes to the client, then it is over.
awaitable<void> Session::leave(std::string reason) {
  record_rows();
  for (auto& expected : std::exchange(expected_, {})) {
    if (!expected.command || expected.command->over) continue;
    expected.command->error = reason;
    finish(expected.command, enforce::Outcome::Interrupted);
  }
  pump_client();
  co_await wait_for([&] { return out_.waiting() == 0; });
  end(std::move(reason));
}

void Session::notify() {
  if (changed_) changed_->cancel();
}

awaitable<bool> Session::wait_for(std::function<bool()> condition) {
  const auto self = shared_from_this();
  while (!ended_ && !condition()) {
    if (!changed_) changed_.emplace(shared_.services.context);
    if (waiters_ == 0) changed_->expires_at(std::chrono::steady_clock::time_point::max());
    ++waiters_;
    boost::system::error_code over;
    co_await changed_->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, over));
    if (--waiters_ == 0 && !ended_) changed_.reset();
  }
  co_return !ended_;
}

void Session::pump_client() {
  if (ended_ || writing_client_) return;
  if (back_stream_ == 0 && !notices_.empty()) {
    out_.append(notices_);
    notices_.clear();
  }
  for (;;) {
    const auto bytes = out_.sendable();
    if (bytes.empty()) break;
    // The rest comes when the gate opens, and one write is cheaper than two.
    if (bytes.size() < kWorthWriting && out_.gated()) break;
    const auto sent = client_.write_now(bytes);
    if (!sent) return end("the client is gone: " + sent.error().what);
    const bool all = *sent == bytes.size();
    out_.sent(*sent);
    if (all) continue;
    writing_client_ = true;
    boost::asio::co_spawn(shared_.services.context, write_client(), boost::asio::detached);
    break;
  }
  if (waiters_ > 0) notify();
}

awaitable<void> Session::write_client() {
  const auto self = shared_from_this();
  const auto ready = co_await client_.writable(net::after(kWrite));
  writing_client_ = false;
  if (!ready && !ended_) end("the client takes no more data: " + ready.error().what);
  pump_client();
}

awaitable<void> Session::write_server() {
  const auto self = shared_from_this();
  const auto drained = co_await wire_->drain(0, net::kNever);
  writing_server_ = false;
  target_deaf_ = target_deaf_ || !drained;  // its last words may still be there to be read
  notify();
}

void Session::fatal(const char* code, std::string message, std::string hint) {
  if (ended_) return;
  std::string text;
  put_notice(text, 'E', {"FATAL", code, message, "", std::move(hint)});
  // Whole messages only: behind half a message the client would read it as data.
  if (back_stream_ == 0 && !writing_client_) {
    (void)client_.write_now(std::string(out_.sendable()) + text);
  }
  end(std::move(message));
}

void Session::end(std::string reason) {
  if (std::exchange(ended_, true)) return;
  why_ = std::move(reason);
  // Everything that was under way has ended here, and the record says so.
  const auto give_up = [&](const CommandPtr& command) {
    if (!command || command->over) return;
    command->error = why_;
    finish(command, enforce::Outcome::Interrupted);
  };
  for (auto& expected : std::exchange(expected_, {})) give_up(expected.command);
  for (auto& outgoing : std::exchange(outgoing_, {})) {
    if (outgoing.command && !outgoing.judged) outgoing.command->hold.over = true;
    give_up(outgoing.command);
  }
  for (auto& [name, portal] : std::exchange(portals_, {})) give_up(portal->command);
  out_.drop();
  client_.close();
  wire_->close();
  notify();
}

void Session::cancel() {
  if (ended_) return;
  for (auto& outgoing : outgoing_) {
    if (!outgoing.command || outgoing.judged || outgoing.command->hold.approval.empty()) continue;
    auto withdraw = [](std::shared_ptr<Session> self, CommandPtr command) -> awaitable<void> {
      co_await self->shared_.services.gate.cancel(command->hold);
    };
    boost::asio::co_spawn(shared_.services.context, withdraw(shared_from_this(), outgoing.command), boost::asio::detached);
    return;
  }
  abandon();
}

void Session::abandon() {
  if (ended_ || expected_.empty() || server_key_.pid == 0) return;
  // The request itself is a message to the target: recorded like any other. Until it is surely delivered nothing new goes out,
  // or it might hit the statement behind the one it is meant for.
  ++cancelling_;
  auto send = [](std::shared_ptr<Session> self) -> awaitable<void> {
    const std::shared_ptr<void> delivered(nullptr, [&](void*) {
      --self->cancelling_;
      self->pump();
    });
    auto verdict = co_await self->shared_.services.gate.own(self->record_, "cancel", "CancelRequest");
    auto* allowed = std::get_if<enforce::Allowed>(&verdict);
    if (allowed == nullptr) co_return;
    const auto sent = co_await postgres::cancel(self->shared_.services.context, *self->target_, *self->server_, self->server_key_);
    enforce::Reply reply;
    if (!sent) {
      reply.result = enforce::Outcome::Error;
      reply.error = sent.error().what;
    }
    (void)co_await self->shared_.services.gate.finish(std::move(allowed->running), std::move(reply));
  };
  boost::asio::co_spawn(shared_.services.context, send(shared_from_this()), boost::asio::detached);
}

void Session::stop(bool now) {
  stopping_ = true;
  for (auto& outgoing : outgoing_)
    if (outgoing.command && !outgoing.judged) outgoing.command->hold.over = true;
  if (now || idle()) fatal("57P01", "terminating connection: the gateway stops");
}

bool Session::lied(std::string what) {
  fatal("08P01", "the target broke the protocol: " + what);
  return false;
}

bool Session::violation(std::string what) {
  fatal("08P01", std::move(what));
  return false;
}

}  // namespace sallyport::protocol::postgres
