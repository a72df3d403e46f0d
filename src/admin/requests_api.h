#pragma once
// /api/requests: what waits for humans, the answer to it, and asking for access (docs/admin-api.md). Reads what is asked, has the
// approvals do it, and says what came of it. The admin worker's thread; errors are problems (RFC 9457).
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <string>

#include "admin/problem.h"
#include "enforce/approval.h"

namespace sallyport::admin {

struct RequestsCall {
  const net::HttpRequest& request;
  std::string path, query;               // path begins with /api/requests
  std::string request_id;
  identity::PrincipalPtr who;
  bool administrator = false;            // may revoke everything and see everything
  /// A vote or a request that does not count must not vanish: writes it down (action, reason).
  std::function<boost::asio::awaitable<void>(std::string action, std::string reason)> attempt;
};

bool is_requests_path(std::string_view path);
boost::asio::awaitable<Answer> serve_requests(enforce::Approvals& approvals, RequestsCall call);

/// One request as JSON, without its requester's history.
std::string approval_json(const enforce::Approval& approval);

}  // namespace sallyport::admin
