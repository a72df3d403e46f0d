#include "identity/reason.h"

namespace sallyport::identity {

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::Malformed: return "malformed";
    case Reason::UnsupportedHeader: return "unsupported_header";
    case Reason::AlgorithmNotAllowed: return "algorithm_not_allowed";
    case Reason::UnknownIssuer: return "unknown_issuer";
    case Reason::UnknownKey: return "unknown_key";
    case Reason::BadSignature: return "bad_signature";
    case Reason::WrongAudience: return "wrong_audience";
    case Reason::NoExpiry: return "no_expiry";
    case Reason::Expired: return "expired";
    case Reason::NotYetValid: return "not_yet_valid";
    case Reason::BadTime: return "bad_time";
    case Reason::BadSubject: return "bad_subject";
    case Reason::BadGroups: return "bad_groups";
    case Reason::BadActor: return "bad_actor";
    case Reason::UnknownToken: return "unknown_token";
    case Reason::UnknownUser: return "unknown_user";
    case Reason::WrongNonce: return "wrong_nonce";
    case Reason::WrongState: return "wrong_state";
    case Reason::Replayed: return "replayed";
    case Reason::WrongCode: return "wrong_code";
    case Reason::RefusedByProvider: return "refused_by_provider";
    case Reason::Deactivated: return "deactivated";
    case Reason::Revoked: return "revoked";
    case Reason::WrongDoor: return "wrong_door";
    case Reason::InsufficientScope: return "insufficient_scope";
    case Reason::UnknownClient: return "unknown_client";
    case Reason::WrongRedirect: return "wrong_redirect";
    case Reason::UnknownAgent: return "unknown_agent";
    case Reason::WrongPassword: return "wrong_password";
    case Reason::RateLimited: return "rate_limited";
    case Reason::BadAgentName: return "bad_agent_name";
    case Reason::BadLifetime: return "bad_lifetime";
    case Reason::KeysUnavailable: return "keys_unavailable";
    case Reason::StateUnavailable: return "state_unavailable";
    case Reason::ForbiddenMarkup: return "forbidden_markup";
    case Reason::DuplicateId: return "duplicate_id";
    case Reason::NotSigned: return "not_signed";
    case Reason::BadSignatureForm: return "bad_signature_form";
    case Reason::SignatureElsewhere: return "signature_elsewhere";
    case Reason::Undecryptable: return "undecryptable";
    case Reason::NotOneAssertion: return "not_one_assertion";
    case Reason::WrongDestination: return "wrong_destination";
    case Reason::WrongRecipient: return "wrong_recipient";
    case Reason::WrongRequest: return "wrong_request";
    case Reason::BadConfirmation: return "bad_confirmation";
    case Reason::BadConditions: return "bad_conditions";
    case Reason::BadAttributes: return "bad_attributes";
  }
  return "unknown";
}

}  // namespace sallyport::identity
