#pragma once
// Percent-encoding (RFC 3986 §2.1) and application/x-www-form-urlencoded (WHATWG URL §5.1) as the admin listener reads them: strict, so
// that one text has one meaning. Pure, any thread. Errors: Malformed.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sallyport::admin {

/// `%` wants two hexadecimal digits; the outcome is UTF-8 without control characters. `plus`: '+' is a space.
Result<std::string> percent_decoded(std::string_view text, bool plus = false);

/// Everything but unreserved characters encoded: one value in a path or a query.
std::string percent_encoded(std::string_view text);

/// Names and values in order. A name comes once; at most 64 pairs.
using Form = std::vector<std::pair<std::string, std::string>>;
Result<Form> parse_form(std::string_view text);
/// "" when absent.
std::string_view form_value(const Form& form, std::string_view name);

}  // namespace sallyport::admin
