#include "target/wire.h"

namespace sallyport::target {

using boost::asio::awaitable;

namespace {
constexpr std::size_t kKeep = 64u << 10;  // capacity that an empty buffer may keep
}

awaitable<Result<std::unique_ptr<Wire>>> Wire::connect(boost::asio::io_context& context, WireAddress address, std::string target, net::Deadline deadline) {
  auto stream = address.unix_path.empty() ? co_await net::dial(context, address.host, address.port, deadline)
                                          : co_await net::dial_unix(context, address.unix_path, deadline);
  if (!stream) co_return std::unexpected(std::move(stream).error());
  co_return std::unique_ptr<Wire>(new Wire(std::move(*stream), std::move(target)));
}

awaitable<Result<void>> Wire::greet(std::string_view bytes, net::Deadline deadline) {
  if (ready_) co_return fail(ErrorKind::Internal, "a login message after the login, on the connection to " + target_);
  co_return co_await stream_.write(bytes, deadline);
}

awaitable<Result<void>> Wire::start_tls(const net::TlsClient& tls, std::string host, net::Deadline deadline) {
  co_return co_await stream_.connect_tls(tls, std::move(host), deadline);
}

Result<void> Wire::queue(Permit permit) {
  if (permit.target().name != target_ || !ready_)
    return fail(ErrorKind::Internal, "a permit for " + permit.target().name + " was used on the connection to " + target_);
  out_.append(permit.bytes());
  return {};
}

Result<void> Wire::check(const SessionPermit& session) const {
  if (session.target() != target_ || !ready_)
    return fail(ErrorKind::Internal, "a session's permit for " + session.target() + " was used on the connection to " + target_);
  return {};
}

Result<void> Wire::queue_data(const SessionPermit& session, std::string_view bytes) {
  TRY_VOID(check(session));
  out_.append(bytes);
  return {};
}

Result<void> Wire::queue_control(const SessionPermit& session, std::string_view message) {
  TRY_VOID(check(session));
  out_.append(message);
  return {};
}

Result<bool> Wire::flush() {
  if (sent_ < out_.size()) {
    TRY(const auto sent, stream_.write_now(std::string_view(out_).substr(sent_)));
    sent_ += sent;
  }
  if (sent_ < out_.size()) return false;
  sent_ = 0;
  out_.clear();
  if (out_.capacity() > kKeep) out_.shrink_to_fit();
  return true;
}

awaitable<Result<void>> Wire::drain(std::size_t left, net::Deadline deadline) {
  for (;;) {
    CO_TRY(const bool empty, flush());
    if (empty || waiting() <= left) co_return Result<void>{};
    CO_TRY_VOID(co_await stream_.writable(deadline));
  }
}

}  // namespace sallyport::target
