#pragma once
// The error value of every operation on untrusted input or on the outside world. Exceptions are for start-up
// and bugs only (docs/house.md). An Error is cheap to move; it holds no secrets, for it ends in logs and answers.
#include <string>
#include <utility>

namespace sallyport {

enum class ErrorKind {
  Malformed,     // the peer broke its protocol; the connection cannot be trusted any more
  Denied,        // policy, identity or a limit says no
  Disconnected,  // the peer is gone
  Overloaded,    // a bounded resource is full; trying later may work
  Unavailable,   // something that is needed does not work (evidence, target, identity provider)
  Internal,      // a bug
};

/// "malformed", "denied", …: the word used in logs, metrics and evidence.
const char* to_string(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::Internal;
  std::string what;  // what failed, where and what to do, for a person

  Error() = default;
  Error(ErrorKind k, std::string w) : kind(k), what(std::move(w)) {}
};

}  // namespace sallyport
