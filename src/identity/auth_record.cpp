#include "identity/auth_record.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sallyport::identity {

namespace asio = boost::asio;
using evidence::Entry;
using evidence::Field;
using evidence::Kind;

namespace {

constexpr std::int64_t kWindow = 1'000'000'000;
constexpr std::size_t kMaxWindows = 4096;

Error safe_error(Reason reason) {
  switch (reason) {
    case Reason::RateLimited: return {ErrorKind::Overloaded, "too many attempts; wait a minute and try again"};
    case Reason::KeysUnavailable:
      return {ErrorKind::Unavailable, "the identity provider cannot be reached, so the token cannot be checked; try again later"};
    case Reason::StateUnavailable: return {ErrorKind::Unavailable, "tokens cannot be checked now; try again later"};
    case Reason::WrongPassword:
    case Reason::WrongCode: return {ErrorKind::Denied, "the user, the password or the one-time code is wrong"};
    case Reason::BadAgentName: return {ErrorKind::Denied, "an agent's name is 1 to 64 of letters, digits, dot, underscore and hyphen"};
    case Reason::BadLifetime: return {ErrorKind::Denied, "the lifetime is longer than this gateway allows"};
    default: return {ErrorKind::Denied, "the token is not valid here; get a new one"};
  }
}

Error no_evidence() {
  return {ErrorKind::Unavailable, "nobody can be let in, for the evidence of it cannot be written now; try again later"};
}

}  // namespace

std::string address_of(const std::string& peer) {
  const auto colon = peer.rfind(':');
  if (colon == peer.npos) return peer;
  if (peer.front() == '[' || peer.find(':') == colon) return peer.substr(0, colon);
  return peer;  // a bare IPv6 address
}

Entry auth_ok_entry(const Principal& who, std::string_view action, std::string_view peer, std::string_view object, std::string_view name,
                    std::int64_t expires_wall_ns) {
  Entry entry(Kind::AuthOk);
  entry.text(Field::Subject, who.subject).text(Field::Issuer, who.issuer).text(Field::Agent, who.agent).texts(Field::Groups, who.groups);
  entry.text(Field::Peer, peer).text(Field::Action, action).text(Field::Object, object);
  entry.uint(Field::ExpiresWallNs, static_cast<std::uint64_t>(std::max<std::int64_t>(expires_wall_ns, 0))).text(Field::Name, name);
  return entry;
}

asio::awaitable<Result<void>> AuthRecord::succeeded(PrincipalPtr principal, std::string action, std::string peer) {
  auto written = co_await port_.append(auth_ok_entry(*principal, action, peer, "", principal->method, principal->expires_wall_ns));
  if (!written) co_return std::unexpected(no_evidence());
  co_return Result<void>{};
}

asio::awaitable<Error> AuthRecord::failed(Reason reason, std::string action, std::string peer, std::string subject) {
  const auto now = clock_.mono_ns();
  if (windows_.size() >= kMaxWindows) {
    std::erase_if(windows_, [&](const auto& item) { return item.second.until <= now && item.second.more == 0; });
  }
  Key key{address_of(peer), reason};
  // From more addresses than that at once it is one flood: they share a window.
  if (windows_.size() >= kMaxWindows && !windows_.contains(key)) key.first = "*";
  auto& window = windows_[key];
  if (now < window.until || window.more > 0) {
    if (window.more++ == 0) asio::co_spawn(context_, count_later(shared_from_this(), key, action), asio::detached);
    co_return safe_error(reason);
  }
  window.until = now + kWindow;
  Entry entry(Kind::AuthFailed);
  entry.text(Field::Subject, subject).text(Field::Peer, peer).text(Field::Action, action);
  entry.uint(Field::Items, 1).text(Field::Reason, to_string(reason));
  auto written = co_await port_.append(std::move(entry));
  if (!written) co_return no_evidence();
  co_return safe_error(reason);
}

asio::awaitable<void> AuthRecord::count_later(std::shared_ptr<AuthRecord> self, Key key, std::string action) {
  asio::steady_timer timer(self->context_);
  while (true) {
    timer.expires_after(std::chrono::nanoseconds(kWindow));
    boost::system::error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto count = self->windows_[key].more;
    Entry entry(Kind::AuthFailed);
    entry.text(Field::Peer, key.first).text(Field::Action, action);
    entry.uint(Field::Items, count).text(Field::Reason, to_string(key.second));
    auto written = co_await self->port_.append(std::move(entry));
    if (!written) continue;
    auto& window = self->windows_[key];
    window.more -= count;
    window.until = self->clock_.mono_ns();
    if (window.more == 0) co_return;
  }
}

}  // namespace sallyport::identity
