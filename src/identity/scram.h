#pragma once
// What is kept of an issued token so that its holder can prove it without sending it (RFC 5802, SCRAM-SHA-256; database
// clients). A token has 256 random bits: the salt is there for the protocol's form, not against guessing. Pure, any thread.
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace sallyport::identity {

inline constexpr int kScramIterations = 4096;

/// Enough to check a proof, too little to make one.
struct ScramVerifier {
  Digest stored_key{}, server_key{};
};
ScramVerifier scram_verifier(std::string_view password, std::string_view salt, int iterations);

/// One for all tokens of a user: which of them a client holds shows only in its proof.
std::string scram_salt(std::string_view user);

/// The live tokens of a user.
struct ScramSet {
  std::string salt;
  int iterations = kScramIterations;
  std::vector<ScramVerifier> verifiers;
  std::vector<Digest> tokens;     // SHA-256, by the same index
};

}  // namespace sallyport::identity
