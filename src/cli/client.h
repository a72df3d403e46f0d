#pragma once
// The command line's side of the admin API: one blocking HTTPS request (libcurl) to a running gateway.
// SALLYPORT_URL is the admin address, SALLYPORT_CA a PEM file to trust instead of the system's anchors, the token comes from
// SALLYPORT_TOKEN or the file named by SALLYPORT_TOKEN_FILE: never from the command line, where others could read it.
#include <string>

#include "base/json.h"
#include "base/result.h"

namespace sallyport::cli {

struct ClientOptions {
  std::string url;          // --url, else SALLYPORT_URL
  std::string ca;           // --ca, else SALLYPORT_CA
  std::string token_file;   // --token-file, else SALLYPORT_TOKEN_FILE
};

struct Reply {
  long status = 0;
  json::Document body;      // `null` when the answer was no JSON
};

class Client {
 public:
  explicit Client(ClientOptions options) : options_(std::move(options)) {}

  /// `body` is JSON, "" for none. Errors: Unavailable (unreachable, TLS, or no address given), Denied (no token where one is
  /// needed), Malformed (the answer is no JSON).
  Result<Reply> request(const std::string& method, const std::string& path, const std::string& body, bool with_token, long timeout_seconds = 30);
  /// The bytes at a path, with the token. Errors also: Denied (401, 403, or gone), with what the gateway says.
  Result<std::string> fetch(const std::string& path, long timeout_seconds = 30);

 private:
  struct Raw {
    long status = 0;
    std::string url, body;
  };
  Result<Raw> send(const std::string& method, const std::string& path, const std::string& body, bool with_token, long timeout_seconds);
  ClientOptions options_;
};

/// Says on stderr what went wrong and returns the exit code for it; kDone when the status is a success.
int explain(const Result<Reply>& reply);

/// The text with control characters made visible: what comes from elsewhere must not drive the terminal.
std::string printable(std::string_view text);

}  // namespace sallyport::cli
