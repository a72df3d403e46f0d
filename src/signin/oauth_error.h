#pragma once
// Errors of OAuth endpoints (RFC 6749 §5.2). Pure.
#include "admin/problem.h"

namespace sallyport::signin {

inline admin::Answer oauth_error(unsigned status, std::string_view error, std::string_view description) {
  return admin::json_answer(fmt::format(R"({{"error":{},"error_description":{}}})", json::quote(error), json::quote(description)), status);
}

}  // namespace sallyport::signin
