#pragma once
// The command line's side of the admin API: one blocking HTTPS request (libcurl) to a running gateway.
// SALLYPORT_URL is the admin address, SALLYPORT_CA a PEM file to trust instead of the system's anchors, the token comes from
// SALLYPORT_TOKEN, the file named by SALLYPORT_TOKEN_FILE, or the one that `sallyport login` wrote: never from the command line, where others
// could read it.
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

/// Where `sallyport login` keeps its token: $XDG_STATE_HOME/sallyport/token, mode 0600. "" without a home.
std::string login_token_path();

class Client {
 public:
  explicit Client(ClientOptions options) : options_(std::move(options)) {}

  /// `body` is JSON, "" for none. Errors: Unavailable (unreachable, TLS, or no address given), Denied (no token where one is
  /// needed), Malformed (the answer is no JSON).
  Result<Reply> request(const std::string& method, const std::string& path, const std::string& body, bool with_token, long timeout_seconds = 30);
  /// POST of a form without a token: the OAuth endpoints.
  Result<Reply> post_form(const std::string& path, const std::string& form);
  /// The admin address without a slash at its end; "" when none is known.
  std::string url() const;
  /// The caller's token. Errors: Denied, there is none.
  Result<std::string> token() const;
  /// The bytes at a path, with the token. Errors also: Denied (401, 403, or gone), with what the gateway says.
  Result<std::string> fetch(const std::string& path, long timeout_seconds = 30);

 private:
  struct Raw {
    long status = 0;
    std::string url, body;
  };
  Result<Raw> send(const std::string& method, const std::string& path, const std::string& body, const char* type, bool with_token, long timeout_seconds);
  Result<Reply> reply(Result<Raw> raw);
  ClientOptions options_;
};

/// Says on stderr what went wrong and returns the exit code for it; kDone when the status is a success.
int explain(const Result<Reply>& reply);

/// The text with control characters made visible: what comes from elsewhere must not drive the terminal.
std::string printable(std::string_view text);

}  // namespace sallyport::cli
