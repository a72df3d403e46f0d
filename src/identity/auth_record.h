#pragma once
// Authentication as evidence: auth.ok and auth.failed entries, durable before the answer. A flood must not fill the log:
// of equal failures (address, reason) the first in a second is an entry, the others of that second are counted in
// one entry at its end. Owned by a worker's Authenticator, on that worker's thread; shared with the coroutine that
// writes such a count. When evidence cannot be written the answer is Unavailable; a count that cannot is kept.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "evidence/log.h"
#include "identity/principal.h"
#include "identity/reason.h"

namespace sallyport::identity {

class AuthRecord : public std::enable_shared_from_this<AuthRecord> {
 public:
  AuthRecord(boost::asio::io_context& context, evidence::Port& port, const Clock& clock)
      : context_(context), port_(port), clock_(clock) {}

  /// `action`: "bearer" or "token.issue".
  boost::asio::awaitable<Result<void>> succeeded(PrincipalPtr principal, std::string action, std::string peer);

  /// The error for the client, once the failure is recorded. `subject`: only a name that the configuration knows, for
  /// people type passwords into name fields.
  boost::asio::awaitable<Error> failed(Reason reason, std::string action, std::string peer, std::string subject = {});

 private:
  struct Window {
    std::int64_t until = 0;   // monotonic
    std::uint64_t more = 0;   // failures since its first that are in no entry yet
  };
  using Key = std::pair<std::string, Reason>;
  static boost::asio::awaitable<void> count_later(std::shared_ptr<AuthRecord> self, Key key, std::string action);

  boost::asio::io_context& context_;
  evidence::Port& port_;
  const Clock& clock_;
  std::map<Key, Window> windows_;
};

/// An auth.ok entry. `object`: what came of it ("tok_…", "sgn_…"), `name`: where it is good for; both may be "".
evidence::Entry auth_ok_entry(const Principal& who, std::string_view action, std::string_view peer, std::string_view object, std::string_view name,
                              std::int64_t expires_wall_ns);

/// The address without its port: one client is one, however many connections it opens.
std::string address_of(const std::string& peer);

}  // namespace sallyport::identity
