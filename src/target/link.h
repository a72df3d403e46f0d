#pragma once
// Fifth station of the data path: the only door to a target. send() takes a Permit and nothing else decides what is
// sent; the credential is added here and nowhere else, and the client's own token has no way in. One Links a worker,
// used on its thread only. Errors: Unavailable (credential, connection, deadline), Disconnected.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <string>

#include "identity/upstream_tokens.h"
#include "net/http.h"
#include "target/aws_keys.h"
#include "target/permit.h"

namespace sallyport::target {

class Link : public std::enable_shared_from_this<Link> {
 public:
  /// Reads the credential now: a secret that is missing is an error at the first command, with its reference named.
  static Result<std::shared_ptr<Link>> open(boost::asio::io_context& context, const Target& target, identity::UpstreamTokens& tokens);

  /// Sends the permitted bytes as the body of one HTTP request (no body for GET and DELETE) and resumes with the
  /// answer's head, or with Disconnected when `recall` is pulled before. `headers` are the protocol's own; names that carry credentials or identity are refused, and so is a
  /// permit for another target (Internal). A token that the target's server gave and the target refuses (401) is got anew, once: what is
  /// refused so has not run.
  boost::asio::awaitable<Result<net::HttpExchange>> send(Permit permit, std::string method, net::Headers headers, net::Recall* recall = nullptr);
  /// A POST like send(), to another path of the same server: what path_of() gave for what the server named.
  boost::asio::awaitable<Result<net::HttpExchange>> send_to(std::string path, Permit permit, net::Headers headers, net::Recall* recall = nullptr);
  /// A POST whose permit stays with the caller when the server did not take the message (status 400, 404 or 405): it may go another way.
  boost::asio::awaitable<Result<net::HttpExchange>> offer(Permit& permit, net::Headers headers);
  /// A GET without a message: the stream on which the answer to what is permitted will come. The permit is not used up.
  boost::asio::awaitable<Result<net::HttpExchange>> open_stream(const Permit& permit, net::Headers headers);
  /// The path and query of a URL or relative reference (RFC 3986 §4.2) on this server. Errors: Malformed, it is on another one.
  Result<std::string> path_of(std::string_view reference) const;

 private:
  boost::asio::awaitable<Result<net::HttpExchange>> exchange(const Permit& permit, std::string method, std::string path, net::Headers headers, net::Recall* recall = nullptr);

  Link(boost::asio::io_context& context, const Target& configured, net::Url url, std::shared_ptr<const net::TlsClient> tls,
       net::Headers credential, identity::UpstreamTokens& tokens);
  boost::asio::awaitable<Result<net::Headers>> signed_with(net::Headers headers, const std::string& method, const std::string& path, std::string_view body, const std::string& token);

  std::string name_;
  net::Url url_;
  net::HttpClient client_;
  net::Headers credential_;                      // what stands in the configuration
  identity::UpstreamTokens& tokens_;
  identity::UpstreamClientPtr oauth_;            // null: no token of a server
  std::unique_ptr<AwsKeySource> aws_;            // null: no signature
  std::int64_t timeout_ns_ = 0;
};

/// The links of one worker by target; dropped on reload, so that changed credentials are read anew.
class Links {
 public:
  Links(boost::asio::io_context& context, identity::UpstreamTokens& tokens) : context_(context), tokens_(tokens) {}
  Result<std::shared_ptr<Link>> get(const Target& target);
  void clear() { links_.clear(); }

 private:
  boost::asio::io_context& context_;
  identity::UpstreamTokens& tokens_;
  std::map<std::string, std::shared_ptr<Link>> links_;
};

}  // namespace sallyport::target
