#pragma once
// POST /api/evidence/erase, hold, release, prune and GET /api/evidence/holds (docs/admin-api.md): reads what is asked, has the
// keeping thread do it, and says what came of it. Who may is the caller's business. The admin worker's thread.
#include <boost/asio/awaitable.hpp>

#include "admin/problem.h"
#include "evidence/keeping.h"

namespace sallyport::admin {

/// `verb`: what stands behind /api/evidence/; one of is_keeping_verb().
bool is_keeping_verb(std::string_view verb);
boost::asio::awaitable<Answer> serve_keeping(evidence::Keeping& keeping, std::string verb, const net::HttpRequest& request, evidence::Keeper who);

}  // namespace sallyport::admin
