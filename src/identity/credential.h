#pragma once
// What the gateway issues: sign-ins (a person came through a provider or a password) and tokens derived from them. Plain data.
// A token's text is seen once, by who gets it; what is kept is its SHA-256 and what SCRAM needs.
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "identity/principal.h"

namespace sallyport::identity {

struct TokenTerms {
  std::string issuer, subject;           // whose
  std::string agent;                     // acting for them; "" = the person
  std::string method = "token";          // Principal::method of who comes with it
  std::string sign_in;                   // dies with it; "" = of its own
  std::string label;                     // the person's words for it
  std::string login;                     // the name that a database client gives with it
  std::string peer;                      // who asked for it
  Door door = Door::Any;
  std::string resource;                  // Principal::resource
  bool scoped = false;
  std::vector<std::string> scopes;       // Principal::scopes
  std::int64_t expires_wall_ns = 0;      // cut to the sign-in's end
};

struct IssuedToken {
  std::string token, id;                 // the token is shown once
  PrincipalPtr principal;
};

/// A token as `sallyport tokens ls` shows it.
struct TokenInfo {
  std::string id, issuer, subject, agent, method, sign_in, label, login, peer;
  Door door = Door::Any;
  std::string resource;
  bool scoped = false;
  std::vector<std::string> scopes;
  std::int64_t created_wall_ns = 0, expires_wall_ns = 0, used_wall_ns = 0;  // used: within a minute; 0 = never
};

struct SignInTerms {
  std::string issuer, subject;
  std::string provider;                  // its name in the configuration, "local"
  std::string provider_session;          // OIDC `sid`, SAML SessionIndex; "" when there is none
  std::string peer;
  std::string client;                    // OAuth client_id of the program that it is for; "" = the gateway's own
  bool asks = false;                     // the secrets can ask the provider again
  std::string secrets;                   // JSON with what the provider gave (refresh token, id token); sealed at rest
  std::int64_t expires_wall_ns = 0;
};

struct SignIn : SignInTerms {
  std::string id;                        // "sgn_…"
  std::int64_t created_wall_ns = 0, checked_wall_ns = 0;  // checked: when the provider last confirmed it
};

/// Which sign-ins and tokens are taken back; fields that are set must all fit, and one at least is set.
struct Revocation {
  std::string id;                        // "tok_…" or "sgn_…"
  std::string issuer, subject;           // subject with issuer: everything of a person, tokens of their provider too
  std::string provider, provider_session;
  std::string client;                    // sign-ins for this program, of issuer and subject
  bool sign_ins_only = false;            // of a person: sign-ins with what came from them (a logout)
};

}  // namespace sallyport::identity
