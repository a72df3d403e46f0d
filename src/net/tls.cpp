// TLS settings and handshakes (RFC 8446, RFC 5246 with AEAD suites only).
#include "net/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/bytes.h"
#include "net/stream_state.h"

namespace sallyport::net {

using boost::asio::awaitable;

namespace {

constexpr const char* kSuites12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

std::string openssl_error() {
  const auto code = ERR_peek_last_error();
  char text[256] = "unknown error";
  if (code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return text;
}

std::shared_ptr<SSL_CTX> make_context(const SSL_METHOD* method) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(method), SSL_CTX_free);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context.get(), kSuites12);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  return context;
}

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

Owned<BIO> memory(const std::string& pem) { return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))); }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(length)};
}

bool is_address(const std::string& name) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 || inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

}  // namespace

namespace {

/// The chain's first certificate, once all of it and its key are in the context.
Result<Owned<X509>> use_certificate(SSL_CTX* context, const std::string& certificate_pem, const std::string& key_pem) {
  const auto certificates = memory(certificate_pem);
  Owned<X509> leaf(PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr));
  if (!leaf) return fail(ErrorKind::Malformed, "the TLS certificate is not PEM: " + openssl_error());
  if (SSL_CTX_use_certificate(context, leaf.get()) != 1) return fail(ErrorKind::Malformed, "the TLS certificate cannot be used: " + openssl_error());
  while (X509* next = PEM_read_bio_X509(certificates.get(), nullptr, nullptr, nullptr))
    if (SSL_CTX_add0_chain_cert(context, next) != 1) X509_free(next);
  ERR_clear_error();  // the end of the chain is an error to the reader
  const auto keys = memory(key_pem);
  const Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(keys.get(), nullptr, [](char*, int, int, void*) { return 0; }, nullptr));
  if (!key) return fail(ErrorKind::Malformed, "the TLS key is not an unencrypted PEM key: " + openssl_error());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1)
    return fail(ErrorKind::Malformed, "the TLS key does not belong to the certificate: " + openssl_error());
  return leaf;
}

std::size_t add_anchors(X509_STORE* store, const std::string& pem) {
  const auto anchors = memory(pem);
  std::size_t count = 0;
  while (true) {
    const Owned<X509> one(PEM_read_bio_X509(anchors.get(), nullptr, nullptr, nullptr));
    if (!one) break;
    X509_STORE_add_cert(store, one.get());
    ++count;
  }
  ERR_clear_error();
  return count;
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* length, const unsigned char* offered, unsigned int size, void* wanted) {
  const auto& name = *static_cast<const std::string*>(wanted);
  const auto* ours = reinterpret_cast<const unsigned char*>(name.data());
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, length, ours, static_cast<unsigned>(name.size()), offered, size) != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

std::string certificate_hash(const X509* certificate) {
  // RFC 5929 §4.1: the hash of the certificate's signature, SHA-256 where that is MD5 or SHA-1 or none.
  int digest = NID_undef;
  OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest, nullptr);
  const EVP_MD* method = digest == NID_undef || digest == NID_md5 || digest == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(digest);
  std::array<unsigned char, EVP_MAX_MD_SIZE> out;
  unsigned length = 0;
  if (method == nullptr || X509_digest(certificate, method, out.data(), &length) != 1) return "";
  return {reinterpret_cast<const char*>(out.data()), length};
}

Result<TlsServer> TlsServer::create(const std::string& certificate_pem, const std::string& key_pem) { return create(certificate_pem, key_pem, {}); }

Result<TlsServer> TlsServer::create(const std::string& certificate_pem, const std::string& key_pem, const Options& options) {
  TlsServer out;
  out.context_ = make_context(TLS_server_method());
  TRY(const auto leaf, use_certificate(out.context_.get(), certificate_pem, key_pem));
  out.certificate_hash_ = net::certificate_hash(leaf.get());
  if (!options.alpn.empty()) {
    out.alpn_ = std::make_shared<std::string>(std::string(1, static_cast<char>(options.alpn.size())) + options.alpn);
    SSL_CTX_set_alpn_select_cb(out.context_.get(), choose_alpn, out.alpn_.get());
  }
  if (!options.client_ca.empty()) {
    if (add_anchors(SSL_CTX_get_cert_store(out.context_.get()), options.client_ca) == 0) return fail(ErrorKind::Malformed, "the file of client CAs holds no PEM certificate");
    SSL_CTX_set_verify(out.context_.get(), SSL_VERIFY_PEER, nullptr);
  }
  return out;
}

Result<TlsClient> TlsClient::create(const std::string& ca_pem, const std::string& certificate_pem, const std::string& key_pem) {
  TRY(auto out, create(ca_pem));
  TRY_VOID(use_certificate(out.context_.get(), certificate_pem, key_pem));
  return out;
}

Result<TlsClient> TlsClient::create(const std::string& ca_pem) {
  TlsClient out;
  out.context_ = make_context(TLS_client_method());
  SSL_CTX_set_verify(out.context_.get(), SSL_VERIFY_PEER, nullptr);
  if (ca_pem.empty()) {
    if (SSL_CTX_set_default_verify_paths(out.context_.get()) != 1) return fail(ErrorKind::Unavailable, "the system's trust anchors cannot be read");
    return out;
  }
  if (add_anchors(SSL_CTX_get_cert_store(out.context_.get()), ca_pem) == 0) return fail(ErrorKind::Malformed, "the CA file holds no PEM certificate");
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(out.context_.get()), X509_V_FLAG_PARTIAL_CHAIN);
  return out;
}

std::pair<std::string, std::string> self_signed(const std::vector<std::string>& names) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  std::array<std::uint8_t, 8> serial{};
  random_bytes(serial);
  serial[0] &= 0x7F;
  BIGNUM* number = BN_bin2bn(serial.data(), serial.size(), nullptr);
  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate.get()));
  BN_free(number);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 825L * 86'400);
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Sallyport self-made"), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), subject);
  std::string alternative;
  for (const auto& name : names) alternative += (alternative.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate.get(), certificate.get(), nullptr, nullptr, 0);
  const std::pair<int, std::string> extensions[] = {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
                                                    {NID_key_usage, "critical,digitalSignature,keyCertSign"},
                                                    {NID_ext_key_usage, "serverAuth"},
                                                    {NID_subject_key_identifier, "hash"},
                                                    {NID_subject_alt_name, alternative}};
  for (const auto& [nid, value] : extensions) {
    const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (!extension || X509_add_ext(certificate.get(), extension.get(), -1) != 1) throw std::runtime_error("self-made certificate: " + openssl_error());
  }
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) throw std::runtime_error("self-made certificate: " + openssl_error());
  const Owned<BIO> pem(BIO_new(BIO_s_mem())), key_pem(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(pem.get(), certificate.get());
  PEM_write_bio_PrivateKey(key_pem.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(pem.get()), text_of(key_pem.get())};
}

awaitable<Result<void>> Stream::State::handshake(Deadline deadline, bool server) {
  for (;;) {
    if (!open) co_return fail(ErrorKind::Disconnected, "the connection is closed");
    ERR_clear_error();
    const int done = server ? SSL_accept(ssl) : SSL_connect(ssl);
    if (done == 1) {
      handshaken = true;
      co_return Result<void>{};
    }
    switch (SSL_get_error(ssl, done)) {
      case SSL_ERROR_WANT_READ: CO_TRY_VOID(co_await wait(Wait::Read, deadline)); break;
      case SSL_ERROR_WANT_WRITE: CO_TRY_VOID(co_await wait(Wait::Write, deadline)); break;
      default: {
        broken = true;
        const long verified = SSL_get_verify_result(ssl);
        std::string why = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : openssl_error();
        close();
        co_return fail(ErrorKind::Malformed, "TLS: " + why);
      }
    }
  }
}

bool Stream::is_tls() const { return state_ && state_->ssl != nullptr; }

std::string Stream::alpn() const {
  if (!is_tls()) return "";
  const unsigned char* chosen = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(state_->ssl, &chosen, &length);
  return {reinterpret_cast<const char*>(chosen), length};
}

std::string Stream::peer_certificate_hash() const {
  if (!is_tls()) return "";
  const Owned<X509> certificate(SSL_get1_peer_certificate(state_->ssl));
  return certificate ? certificate_hash(certificate.get()) : "";
}

std::string Stream::peer_common_name() const {
  if (!is_tls() || SSL_get_verify_result(state_->ssl) != X509_V_OK) return "";
  const Owned<X509> certificate(SSL_get1_peer_certificate(state_->ssl));
  if (!certificate) return "";
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return "";  // two names name nobody
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (length < 0) return "";
  std::string name(reinterpret_cast<char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  return name.find('\0') == std::string::npos ? name : "";
}

awaitable<Result<void>> Stream::accept_tls(const TlsServer& tls, Deadline deadline) {
  const auto state = state_;
  state->ssl = SSL_new(tls.context());
  SSL_set_fd(state->ssl, state->descriptor.native_handle());
  co_return co_await state->handshake(deadline, true);
}

awaitable<Result<void>> Stream::connect_tls(const TlsClient& tls, std::string host, Deadline deadline) {
  const auto state = state_;
  state->ssl = SSL_new(tls.context());
  SSL_set_fd(state->ssl, state->descriptor.native_handle());
  auto* parameters = SSL_get0_param(state->ssl);
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str());
  } else {
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(parameters, host.c_str(), host.size()) != 1) co_return fail(ErrorKind::Malformed, "TLS: bad host name");
    SSL_set_tlsext_host_name(state->ssl, host.c_str());
  }
  co_return co_await state->handshake(deadline, false);
}

}  // namespace sallyport::net
