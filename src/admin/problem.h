#pragma once
// Bodies and answers of the admin listener: JSON, HTML pages, redirects, and RFC 9457 problems for everything that went wrong.
// Any thread.
#include <initializer_list>
#include <string>

#include "admin/percent.h"
#include "base/json.h"
#include "net/http.h"

namespace sallyport::admin {

struct Answer {
  unsigned status = 200;
  std::string type = "application/json";
  std::string body;
  /// Further ones (Location, Set-Cookie, Allow). One that is named here replaces the default of that name; see full_headers().
  net::Headers headers = {};
};

Answer json_answer(std::string body, unsigned status = 200);
Answer text_answer(std::string body, unsigned status = 200);
/// `title` is short and stable, `detail` says what to do; `request_id` joins it with the evidence.
Answer problem(unsigned status, std::string_view title, std::string_view detail, std::string_view request_id);
/// The status that an error's kind stands for.
Answer problem_of(const Error& error, std::string_view request_id);
/// 303: the browser goes on with GET.
Answer redirect(std::string location);
/// A page of ours that a browser shows: no script, no frame, forms to ourselves only, `style` (the hash of the page's style element, as
/// CSP writes it: 'sha256-…') if any. Its referrer policy is same-origin: with no-referrer a form would be posted with `Origin: null`.
Answer html_answer(std::string body, unsigned status = 200, std::string_view style = "");

/// What goes out: the answer's own headers and the strict defaults (content type, CSP, nosniff, no-referrer, no-store).
net::Headers full_headers(const Answer& answer);

/// A JSON object whose keys are all known. Errors: Malformed.
Result<json::Document> read_body(const net::HttpRequest& request, std::initializer_list<std::string_view> known);
/// The body of an HTML form or of an OAuth request: application/x-www-form-urlencoded. Errors: Malformed.
Result<Form> read_form(const net::HttpRequest& request);

}  // namespace sallyport::admin
