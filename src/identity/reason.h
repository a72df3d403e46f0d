#pragma once
// Why a credential was refused: the word that stands in the auth.failed entry. The client never sees it, for it would
// tell a forger what to mend next. Any thread.
#include <expected>
#include <string_view>

namespace sallyport::identity {

enum class Reason {
  Malformed,            // no token of a form that we know
  UnsupportedHeader,    // crit, b64, a typ that is no access token
  AlgorithmNotAllowed,
  UnknownIssuer,
  UnknownKey,
  BadSignature,
  WrongAudience,
  NoExpiry,
  Expired,
  NotYetValid,
  BadTime,
  BadSubject,
  BadGroups,
  BadActor,
  UnknownToken,         // an opaque token that was never issued, or is gone
  UnknownUser,          // the user is no longer in the configuration
  WrongPassword,
  RateLimited,
  BadAgentName,
  BadLifetime,
  KeysUnavailable,
  StateUnavailable,
};

std::string_view to_string(Reason reason);

template <class T>
using Judged = std::expected<T, Reason>;

}  // namespace sallyport::identity
