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
  static Result<TlsServer> create(const std::string& certificate_pem, const std::string& key_pem);
  SSL_CTX* context() const { return context_.get(); }

 private:
  std::shared_ptr<SSL_CTX> context_;
};

class TlsClient {
 public:
  /// Trusts `ca_pem` alone when it is not empty, else the system's anchors.
  static Result<TlsClient> create(const std::string& ca_pem);
  SSL_CTX* context() const { return context_.get(); }

 private:
  std::shared_ptr<SSL_CTX> context_;
};

/// A P-256 key and a self-signed certificate for the names and IP addresses, valid for 825 days: {certificate, key} in PEM.
std::pair<std::string, std::string> self_signed(const std::vector<std::string>& names);

}  // namespace sallyport::net
