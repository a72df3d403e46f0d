#pragma once
// MCP's door on one worker: HTTP requests to /mcp/TARGET become messages of sessions. Checks Host and Origin (DNS
// rebinding), the bearer token, protocol version and media types before anything is parsed. A connection whose request
// names a session of another worker is handed to it. Used on its worker's thread only; sessions are found by their id
// and by nobody but the principal that began them.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "protocol/mcp/resource_server.h"
#include "protocol/mcp/session.h"

namespace sallyport::protocol::mcp {

struct EndpointOptions {
  std::vector<std::string> hosts;    // accepted Host values, lower case; empty accepts none
  std::vector<std::string> origins;  // accepted Origin values beside the absent one
  std::size_t workers = 1;
  std::size_t max_sessions = 20'000;               // of this worker
  std::int64_t idle_ns = 3'600'000'000'000;        // a session without use ends after this
  std::int64_t modern_idle_ns = 300'000'000'000;   // a conversation of a modern client, which knows of none
  net::HttpLimits http;
};

class Endpoint {
 public:
  /// Hands a connection and the request it has read to another worker's Endpoint.
  using Handoff = std::function<void(std::size_t worker, net::HttpServerConnection, net::HttpRequest)>;

  Endpoint(Services services, Sights& sights, EndpointOptions options, Handoff handoff);

  /// One more accepted Host value, known only once a port is taken. Before the worker's thread runs.
  void accept_host(std::string host) { options_.hosts.push_back(std::move(host)); }

  /// What it says of itself as an OAuth resource. On this worker's thread, or before it runs.
  void describe(ResourceServerOptions options) { resource_.reconfigure(std::move(options)); }

  /// Serves one connection to its end. `first` is a request already read by another worker.
  boost::asio::awaitable<void> serve(net::HttpServerConnection http, std::optional<net::HttpRequest> first);

  /// Ends idle sessions now and then; runs until stop().
  boost::asio::awaitable<void> sweep();
  /// Looks after modern clients that went away; runs until stop().
  boost::asio::awaitable<void> tend();
  /// Forgets what targets were like: the configuration has changed.
  void forget_targets() { observed_.targets.clear(), observed_.sights.forget(); }
  /// No new sessions and requests; running ones get until the deadline; then every session is closed in the record
  /// and every connection is closed.
  boost::asio::awaitable<void> drain(net::Deadline deadline);

  struct Counts { std::size_t sessions = 0, connections = 0; std::uint64_t requests = 0, refused = 0; };
  Counts counts() const { return {sessions_.size(), connections_.size(), requests_, refused_}; }
  StdioPool::Counts processes() const { return pool_->counts(); }

 private:
  static constexpr std::size_t kMostSaidOfItself = 64u << 10;  // what a client says of itself is kept as long as its conversation is
  static constexpr std::string_view kPrefix = "/mcp/", kSseStream = "/sse", kSseMessages = "/message";
  struct SseFront;
  /// Keeps a connection in the set while it is served here.
  struct Registered {
    Registered(std::set<net::HttpServerConnection*>& all, net::HttpServerConnection& one) : all_(all), one_(&one) { all_.insert(one_); }
    ~Registered() { all_.erase(one_); }
    Registered(const Registered&) = delete;
    std::set<net::HttpServerConnection*>& all_;
    net::HttpServerConnection* one_;
  };
  boost::asio::awaitable<bool> handle(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target);
  boost::asio::awaitable<bool> handle_post(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target);
  /// The media types an Accept header names, parameters dropped; `*/*` stands for all.
  static bool accepts(std::string_view header, std::string_view type);
  /// Why a body is not read, with the HTTP status; 0 when it is.
  static std::pair<unsigned, std::string> unreadable(const net::HttpRequest& request);
  boost::asio::awaitable<void> handle_sse_stream(net::HttpServerConnection& http, const net::HttpRequest& request, identity::PrincipalPtr who, std::string target);
  boost::asio::awaitable<void> handle_sse_message(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target);
  boost::asio::awaitable<void> begin_sse(std::shared_ptr<SseFront> front, Message message);
  boost::asio::awaitable<void> keep_sse(std::shared_ptr<SseFront> front);
  void close_sse(const std::string& id);
  /// The session that a message of this transport names in its address; "" when it is none.
  static std::string sse_session_of(const net::HttpRequest& request);
  boost::asio::awaitable<void> begin_session(net::HttpServerConnection& http, Message message, identity::PrincipalPtr who, std::string target);
  boost::asio::awaitable<void> continue_session(net::HttpServerConnection& http, net::HttpRequest request, identity::PrincipalPtr who, std::string target, bool may_stream);
  static bool says_modern(const net::HttpRequest& request);
  boost::asio::awaitable<bool> handle_modern(net::HttpServerConnection& http, net::HttpRequest request, Message message, identity::PrincipalPtr who, std::string target, bool may_stream);
  boost::asio::awaitable<std::shared_ptr<Conversation>> conversation(net::HttpServerConnection& http, identity::PrincipalPtr who, std::string target, const Message& message);
  boost::asio::awaitable<void> refuse_modern(net::HttpServerConnection& http, const Refusal& why, std::string_view id);
  boost::asio::awaitable<void> handle_batch(HttpClientStream& client, std::shared_ptr<Conversation> session, std::vector<std::string> texts, std::size_t max);
  boost::asio::awaitable<std::shared_ptr<Conversation>> find(net::HttpServerConnection& http, const net::HttpRequest& request,
                                                        identity::PrincipalPtr who, std::string target);
  void watch(const std::shared_ptr<Conversation>& session);
  boost::asio::awaitable<void> retire(std::shared_ptr<Conversation> session, std::string reason);
  boost::asio::awaitable<void> refuse(net::HttpServerConnection& http, unsigned status, int code, std::string what, std::string challenge = {});
  boost::asio::awaitable<Result<identity::PrincipalPtr>> authenticate(net::HttpServerConnection& http, const net::HttpRequest& request, const std::string& target);
  boost::asio::awaitable<bool> may_by_scope(net::HttpServerConnection& http, const identity::Principal& who, const std::string& target, const Message& message);
  std::string why_not(const net::HttpRequest& request, unsigned& status) const;
  std::size_t worker_of(std::string_view session_id) const;
  std::string new_session_id() const;
  /// With one target, or with several behind one name.
  std::shared_ptr<Conversation> conversation_with(const std::string& target, std::string id, Front front);

  Services services_;
  std::shared_ptr<StdioPool> pool_;
  EndpointOptions options_;
  ResourceServer resource_{{}};
  Handoff handoff_;
  std::map<std::string, std::shared_ptr<Conversation>, std::less<>> sessions_;
  std::map<std::string, std::weak_ptr<Conversation>> conversations_;  // of modern clients, by who asks and with what
  Observed observed_;
  HeldCalls held_;
  std::map<std::string, std::shared_ptr<SseFront>> fronts_;      // open streams of 2024-11-05, by session id
  std::set<std::string> resuming_;
  std::uint64_t requests_ = 0, refused_ = 0;
  boost::asio::steady_timer sweep_timer_, tend_timer_;
  std::set<net::HttpServerConnection*> connections_;  // being served, to be closed at the end of drain()
  bool draining_ = false;
};

}  // namespace sallyport::protocol::mcp
