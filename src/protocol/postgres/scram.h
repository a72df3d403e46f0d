#pragma once
// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) as PostgreSQL uses them: both sides of the exchange, message
// by message. A codec: pure but for randomness; any thread. The peer's messages are bounded and checked field by field;
// what does not fit is Malformed, a wrong proof is Denied.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "identity/scram.h"

namespace sallyport::protocol::postgres {

using identity::ScramVerifier;

/// The server's side, for a client that proves it knows one of several passwords of a user (issued tokens): they share
/// salt and iterations, and the proof tells which.
class ScramServer {
 public:
  /// `binding`: tls-server-end-point of our certificate when the exchange runs in TLS, else empty.
  ScramServer(std::string salt, int iterations, std::string binding) : salt_(std::move(salt)), iterations_(iterations), binding_(std::move(binding)) {}
  /// client-first-message -> server-first-message.
  Result<std::string> first(std::string_view mechanism, std::string_view message);
  /// client-final-message: the number of the verifier that fits; server_final() is then the answer. Errors: Denied.
  Result<std::size_t> final(std::string_view message, const std::vector<ScramVerifier>& verifiers);
  const std::string& server_final() const { return server_final_; }

 private:
  std::string salt_;
  int iterations_;
  std::string binding_, gs2_, client_first_bare_, server_first_, nonce_, server_final_;
  bool plus_ = false;
};

/// The client's side, towards a target that may lie.
class ScramClient {
 public:
  /// `binding`: of the server's certificate when PLUS is used.
  ScramClient(std::string password, bool plus, std::string binding, bool tls);
  std::string first();
  Result<std::string> final(std::string_view server_first);
  /// Checks that the server knows the verifier. Errors: Malformed, Denied.
  Result<void> verify(std::string_view server_final) const;

 private:
  std::string password_, binding_, gs2_, nonce_, client_first_bare_;
  Digest server_signature_{};
};

/// md5 authentication: "md5" + md5(md5(password + user) + salt).
std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt);

}  // namespace sallyport::protocol::postgres
