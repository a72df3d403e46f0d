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
  UnknownUser,          // the user is no longer in the configuration, or was never known
  WrongNonce,           // an ID token that was made for another sign-in
  WrongState,           // a callback without the browser, the provider or the sign-in that it claims to belong to
  Replayed,             // seen before
  WrongCode,            // one-time codes: TOTP, authorization and device codes
  RefusedByProvider,    // the provider answered with an error
  Deactivated,          // the person is known and may not come any more
  Revoked,              // the credential, or the sign-in that it came from, was taken back
  WrongDoor,            // a credential for another protocol than the one it was shown to
  InsufficientScope,    // OAuth scopes that the operation needs and the token does not have
  UnknownClient,        // an OAuth client that is not registered, or shows no proof of being it
  WrongRedirect,        // a redirect address that the OAuth client did not register
  UnknownAgent,         // an agent that the configuration does not register, or not for this person
  WrongPassword,
  RateLimited,
  BadAgentName,
  BadLifetime,
  KeysUnavailable,
  StateUnavailable,
  // SAML (docs/identity.md)
  ForbiddenMarkup,      // DTD, comment, CDATA, or larger and deeper than messages are
  DuplicateId,
  NotSigned,
  BadSignatureForm,     // more than an enveloped signature with exclusive canonicalisation
  SignatureElsewhere,   // it covers something else than what it stands in
  Undecryptable,
  NotOneAssertion,
  WrongDestination,
  WrongRecipient,
  WrongRequest,         // InResponseTo names no request of this browser
  BadConfirmation,
  BadConditions,
  BadAttributes,
};

std::string_view to_string(Reason reason);

template <class T>
using Judged = std::expected<T, Reason>;

}  // namespace sallyport::identity
