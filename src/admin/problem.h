#pragma once
// Bodies and answers of the admin API: JSON, and RFC 9457 problems for everything that went wrong.
#include <initializer_list>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "net/http.h"

namespace sallyport::admin {

struct Answer {
  unsigned status = 200;
  std::string type = "application/json";
  std::string body;
  std::string allow;   // of a 405
};

Answer json_answer(std::string body, unsigned status = 200);
/// `title` is short and stable, `detail` says what to do; `request_id` joins it with the evidence.
Answer problem(unsigned status, std::string_view title, std::string_view detail, std::string_view request_id);
/// The status that an error's kind stands for.
Answer problem_of(const Error& error, std::string_view request_id);

/// A JSON object whose keys are all known. Errors: Malformed.
Result<json::Document> read_body(const net::HttpRequest& request, std::initializer_list<std::string_view> known);

}  // namespace sallyport::admin
