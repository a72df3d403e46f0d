#pragma once
// TLS settings: 1.2 and 1.3, AEAD suites only, session tickets off, renegotiation and compression off. Immutable
// after creation, shared by all workers; a reload makes a new one.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

typedef struct ssl_ctx_st SSL_CTX;

namespace sallyport::net {

class TlsServer {
 public:
  /// PEM texts. Errors: Malformed naming what is wrong (certificate, key, or that they do not belong together).
  struct Options {
    std::string alpn;        // the one protocol that is chosen when a client offers it; "" for none
    std::string client_ca;   // PEM: certificates of clients are asked for and verified against it; "" = not asked for
  };
  static Result<TlsServer> create(const std::string& certificate_pem, const std::string& key_pem);
  static Result<TlsServer> create(const std::string& certificate_pem, const std::string& key_pem, const Options& options);
  SSL_CTX* context() const { return context_.get(); }
  /// Of our certificate, for channel binding tls-server-end-point (RFC 5929 §4).
  const std::string& certificate_hash() const { return certificate_hash_; }

 private:
  std::shared_ptr<SSL_CTX> context_;
  std::shared_ptr<std::string> alpn_;  // as the callback compares it
  std::string certificate_hash_;
};

class TlsClient {
 public:
  /// Trusts `ca_pem` alone when it is not empty, else the system's anchors.
  static Result<TlsClient> create(const std::string& ca_pem);
  /// Presents a certificate of its own.
  static Result<TlsClient> create(const std::string& ca_pem, const std::string& certificate_pem, const std::string& key_pem);
  SSL_CTX* context() const { return context_.get(); }

 private:
  std::shared_ptr<SSL_CTX> context_;
};

/// A P-256 key and a self-signed certificate for the names and IP addresses, valid for 825 days: {certificate, key} in PEM.
std::pair<std::string, std::string> self_signed(const std::vector<std::string>& names);

}  // namespace sallyport::net
