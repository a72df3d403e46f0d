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

/// A statement of that name was never prepared: names of clients never begin so (Session::parse sees to it).
inline constexpr std::string_view kReservedName = "sallyport denied ";

/// A Parse of the unnamed statement takes the one before away, also when it fails; one with a name does not.
inline std::string refused_parse(std::string_view request_id, bool named) {
  std::string body = named ? std::string(kReservedName).append(request_id) : std::string();
  body += '\0';
  body += refused_text(request_id);
  body.append(3, '\0');
  std::string out;
  put_message(out, 'P', body);
  return out;
}

inline std::string refused_bind(std::string_view request_id) {
  std::string body(1, '\0');
  body.append(kReservedName).append(request_id);
  body.append(7, '\0');
  std::string out;
  put_message(out, 'B', body);
  return out;
}

/// Of the unnamed statement, once it is sure that there is none: the server has words of its own for that.
inline std::string missing_unnamed() {
  std::string out;
  put_message(out, 'C', std::string("S\0", 2));
  put_message(out, 'B', std::string(8, '\0'));
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
