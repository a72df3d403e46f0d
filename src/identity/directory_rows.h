#pragma once
// People, sign-ins and tokens as rows of the embedded database (src/state/schema.cpp). The store's thread only. Errors: Unavailable.
#include <optional>
#include <vector>

#include "identity/credential.h"
#include "identity/person.h"
#include "identity/scram.h"
#include "state/store.h"

namespace sallyport::identity {

Result<std::vector<Person>> load_people(state::Database& database);
Result<void> put_person(state::Database& database, const Person& person, std::int64_t now);

struct StoredToken {
  TokenInfo info;
  bool revoked = false;
};
Result<std::optional<StoredToken>> load_token(state::Database& database, const Digest& token);
/// False when the sign-in that it depends on has ended meanwhile.
Result<bool> insert_token(state::Database& database, const Digest& token, const TokenInfo& info, const ScramVerifier& scram);
Result<void> token_used(state::Database& database, const Digest& token, std::int64_t now);
Result<std::vector<TokenInfo>> list_tokens(state::Database& database, const std::string& issuer, const std::string& subject, std::int64_t now, std::size_t limit);
Result<ScramSet> load_scram(state::Database& database, const std::string& login, std::int64_t now);

/// A sign-in with its sealed secrets.
struct StoredSignIn {
  SignIn sign_in;
  Bytes sealed;
};
Result<void> insert_sign_in(state::Database& database, const SignIn& sign_in, const Bytes& sealed);
Result<void> sign_in_confirmed(state::Database& database, const std::string& id, const Bytes& sealed, std::int64_t now);
Result<void> sign_in_tried(state::Database& database, const std::string& id, std::int64_t now);
Result<std::vector<StoredSignIn>> live_sign_ins(state::Database& database, std::int64_t tried_before, std::int64_t now, std::size_t limit);
Result<std::optional<StoredSignIn>> load_sign_in(state::Database& database, const std::string& id, std::int64_t now);

/// What a revocation takes back.
struct Revoked {
  std::vector<std::pair<Digest, std::int64_t>> tokens;  // with their ends
  std::vector<std::string> ids;                         // of tokens and sign-ins
};
Result<Revoked> find_revoked(state::Database& database, const Revocation& what, std::int64_t now);
Result<void> mark_revoked(state::Database& database, const Revoked& revoked, std::int64_t now);

/// What the person allowed programs, and their accounts at targets.
Result<void> forget_grants(state::Database& database, const Person& person, std::int64_t now);

/// What ended more than a day ago is forgotten.
Result<void> forget_ended(state::Database& database, std::int64_t now);

}  // namespace sallyport::identity
