#pragma once
// What a target gets in place of a denied message: something that it must refuse, so that it skips what follows and keeps
// the transaction's state exactly as after any other error. The request's id stands in it, for the target's own log.
// Pure.
#include <string>
#include <string_view>

#include "protocol/postgres/wire.h"

namespace sallyport::protocol::postgres {

/// A text that is an identifier and nothing else is a syntax error in every state of a session.
inline std::string refused_text(std::string_view request_id) { return "\"sallyport denied " + std::string(request_id) + "\""; }

inline std::string refused_query(std::string_view request_id) {
  std::string out;
  put_message(out, 'Q', refused_text(request_id) + '\0');
  return out;
}

inline std::string refused_parse(std::string_view request_id) {
  std::string body(1, '\0');
  body += refused_text(request_id);
  body.append(3, '\0');
  std::string out;
  put_message(out, 'P', body);
  return out;
}

/// A statement of that name was never prepared: names of clients never begin so (Session::parse sees to it).
inline constexpr std::string_view kReservedName = "sallyport denied ";
inline std::string refused_bind(std::string_view request_id) {
  std::string body(1, '\0');
  body.append(kReservedName).append(request_id);
  body.append(7, '\0');
  std::string out;
  put_message(out, 'B', body);
  return out;
}


/// For a name that nobody prepared or declared the server's own error is the right one: it gets the same with a name of ours,
/// which the answer then has replaced.
inline std::string missing_name(std::string_view request_id) { return std::string(kReservedName) + std::string(request_id); }
inline std::string missing_query(std::string_view verb, std::string_view request_id) {
  std::string out;
  put_message(out, 'Q', std::string(verb) + " \"" + missing_name(request_id) + "\"" + '\0');
  return out;
}
inline std::string missing_execute(std::string_view request_id) {
  std::string out;
  put_message(out, 'E', missing_name(request_id) + std::string(5, '\0'));
  return out;
}

}  // namespace sallyport::protocol::postgres
