#include "protocol/postgres/scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>

namespace sallyport::protocol::postgres {
namespace {

constexpr std::size_t kMaxMessage = 4096, kMaxNonce = 512;
constexpr int kMostIterations = 1'000'000;  // a hostile target must not make us count for ever

Digest hmac(ByteView key, std::string_view text) {
  Digest out;
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()), text.size(), out.data(), &length);
  return out;
}

Digest salted(std::string_view password, std::string_view salt, int iterations) {
  Digest out;
  PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), reinterpret_cast<const unsigned char*>(salt.data()), static_cast<int>(salt.size()),
                    iterations, EVP_sha256(), static_cast<int>(out.size()), out.data());
  return out;
}

Digest mixed(const Digest& a, const Digest& b) {
  Digest out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = a[i] ^ b[i];
  return out;
}

std::string text_of(const Bytes& bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// The value of `name=` at the head of `rest`, which is cut behind the comma.
Result<std::string_view> attribute(std::string_view& rest, char name) {
  if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return fail(ErrorKind::Malformed, std::string("malformed SCRAM message: expected attribute ") + name);
  rest.remove_prefix(2);
  const auto comma = rest.find(',');
  const auto value = rest.substr(0, comma);
  rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  return value;
}

bool is_nonce(std::string_view text) {
  return !text.empty() && text.size() <= kMaxNonce && std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7E && c != ','; });
}

std::string new_nonce() {
  std::array<std::uint8_t, 18> random;
  random_bytes(random);
  return base64(random);
}

}  // namespace

Result<std::string> ScramServer::first(std::string_view mechanism, std::string_view message) {
  if (message.size() > kMaxMessage) return fail(ErrorKind::Malformed, "the SCRAM message is too long");
  plus_ = mechanism == "SCRAM-SHA-256-PLUS";
  const auto comma = message.find(',');
  const auto second = comma == std::string_view::npos ? comma : message.find(',', comma + 1);
  if (second == std::string_view::npos) return fail(ErrorKind::Malformed, "malformed SCRAM message: no GS2 header");
  const auto flag = message.substr(0, comma);
  if (plus_ ? flag != "p=tls-server-end-point" : flag != "n" && flag != "y") return fail(ErrorKind::Malformed, "the SCRAM channel binding is not one that was offered");
  // "y": the client could bind and believes that we cannot. We offered it, so somebody in between took the offer away.
  if (flag == "y" && !binding_.empty()) return fail(ErrorKind::Denied, "SCRAM channel binding negotiation error: somebody between us removed the offer");
  if (second != comma + 1) return fail(ErrorKind::Malformed, "SCRAM with an authorization identity is not supported");
  gs2_ = message.substr(0, second + 1);
  client_first_bare_ = message.substr(second + 1);
  std::string_view rest = client_first_bare_;
  TRY([[maybe_unused]] const auto name, attribute(rest, 'n'));  // empty or anything: the startup packet has the user
  TRY(const auto nonce, attribute(rest, 'r'));
  if (!is_nonce(nonce)) return fail(ErrorKind::Malformed, "malformed SCRAM message: the nonce has other characters than it may have");
  nonce_ = std::string(nonce) + new_nonce();
  server_first_ = "r=" + nonce_ + ",s=" + base64(as_bytes(salt_)) + ",i=" + std::to_string(iterations_);
  return server_first_;
}

Result<std::size_t> ScramServer::final(std::string_view message, const std::vector<ScramVerifier>& verifiers) {
  if (message.size() > kMaxMessage) return fail(ErrorKind::Malformed, "the SCRAM message is too long");
  const auto proof_at = message.rfind(",p=");
  if (proof_at == std::string_view::npos) return fail(ErrorKind::Malformed, "malformed SCRAM message: no proof");
  const auto without_proof = message.substr(0, proof_at);
  std::string_view rest = without_proof;
  TRY(const auto binding, attribute(rest, 'c'));
  TRY(const auto nonce, attribute(rest, 'r'));
  if (nonce != nonce_) return fail(ErrorKind::Malformed, "malformed SCRAM message: another nonce");
  if (binding != base64(as_bytes(gs2_ + (plus_ ? binding_ : "")))) return fail(ErrorKind::Denied, "SCRAM channel binding check failed");
  TRY(const auto proof, from_base64(message.substr(proof_at + 3)));
  if (proof.size() != 32) return fail(ErrorKind::Malformed, "malformed SCRAM message: a proof of another length");
  const std::string signed_text = client_first_bare_ + "," + server_first_ + "," + std::string(without_proof);
  Digest given;
  std::ranges::copy(proof, given.begin());
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < verifiers.size(); ++i) {  // all of them: how long it takes says nothing of which
    const auto client_key = mixed(given, hmac(verifiers[i].stored_key, signed_text));
    if (equal_constant_time(sha256(client_key), verifiers[i].stored_key)) found = i;
  }
  if (!found) return fail(ErrorKind::Denied, "password authentication failed");
  server_final_ = "v=" + base64(hmac(verifiers[*found].server_key, signed_text));
  return *found;
}

ScramClient::ScramClient(std::string password, bool plus, std::string binding, bool tls)
    : password_(std::move(password)), binding_(plus ? std::move(binding) : ""), gs2_(plus ? "p=tls-server-end-point,," : tls ? "y,," : "n,,") {}

std::string ScramClient::first() {
  nonce_ = new_nonce();
  client_first_bare_ = "n=,r=" + nonce_;
  return gs2_ + client_first_bare_;
}

Result<std::string> ScramClient::final(std::string_view server_first) {
  if (server_first.size() > kMaxMessage) return fail(ErrorKind::Malformed, "the target's SCRAM message is too long");
  std::string_view rest = server_first;
  TRY(const auto nonce, attribute(rest, 'r'));
  TRY(const auto salt, attribute(rest, 's'));
  TRY(const auto iterations, attribute(rest, 'i'));
  if (!nonce.starts_with(nonce_) || nonce.size() == nonce_.size() || !is_nonce(nonce)) return fail(ErrorKind::Malformed, "the target's SCRAM nonce does not continue ours");
  int count = 0;
  const auto [end, failed] = std::from_chars(iterations.data(), iterations.data() + iterations.size(), count);
  if (failed != std::errc() || end != iterations.data() + iterations.size() || count < 1 || count > kMostIterations)
    return fail(ErrorKind::Malformed, "the target's SCRAM iteration count is not from 1 to 1000000");
  TRY(const auto salt_bytes, from_base64(salt));
  const auto key = salted(password_, text_of(salt_bytes), count);
  const auto client_key = hmac(key, "Client Key");
  const std::string without_proof = "c=" + base64(as_bytes(gs2_ + binding_)) + ",r=" + std::string(nonce);
  const std::string signed_text = client_first_bare_ + "," + std::string(server_first) + "," + without_proof;
  server_signature_ = hmac(hmac(key, "Server Key"), signed_text);
  return without_proof + ",p=" + base64(mixed(client_key, hmac(sha256(client_key), signed_text)));
}

Result<void> ScramClient::verify(std::string_view server_final) const {
  std::string_view rest = server_final;
  if (server_final.starts_with("e=")) return fail(ErrorKind::Denied, "the target refused the password: " + std::string(server_final.substr(2, 200)));
  TRY(const auto signature, attribute(rest, 'v'));
  if (signature != base64(server_signature_)) return fail(ErrorKind::Denied, "the target does not know the password's verifier: it is not the server it should be");
  return {};
}

std::string md5_answer(std::string_view user, std::string_view password, std::string_view salt) {
  const auto md5 = [](const std::string& text) {
    std::array<unsigned char, 16> out;
    unsigned length = 0;
    EVP_Digest(text.data(), text.size(), out.data(), &length, EVP_md5(), nullptr);
    return hex(out);
  };
  return "md5" + md5(md5(std::string(password) + std::string(user)) + std::string(salt));
}

}  // namespace sallyport::protocol::postgres
