#pragma once
// What a head must be before Beast's parser sees it: strict where servers behind us might read it in another way. Pure.
#include <string_view>

#include "base/result.h"

namespace sallyport::net {

/// Offset just behind the blank line that ends the head, npos when it is not there yet. Bare LF ends nothing.
std::size_t head_end(std::string_view bytes);

/// Errors: Malformed: bare CR or LF, NUL and other controls, obs-fold, white space before the colon, a name that is no token,
/// Content-Length with Transfer-Encoding or given twice, Host missing or given twice, a Transfer-Encoding that is not
/// exactly "chunked", a request target that is not in origin form, another version than 1.0 or 1.1.
Result<void> check_request_head(std::string_view head);
Result<void> check_answer_head(std::string_view head);

/// For what is sent: no field may start another one.
bool is_token(std::string_view name);
bool is_field_value(std::string_view value);

}  // namespace sallyport::net
