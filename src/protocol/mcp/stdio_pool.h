#pragma once
// The server processes of one worker, by whom they are for (`pool:` of the target): a session alone, the sessions of one person
// and agent, or everybody. A process that nobody uses ends after a time; one that ends by itself is not started again at
// once, but later and later, until one has run for a minute. Owned by the endpoint and by its sessions' Backs.
#include <map>
#include <memory>
#include <string>

#include "protocol/mcp/stdio_channel.h"

namespace sallyport::protocol::mcp {

/// Whose conversation it is.
struct Owner {
  std::string person, agent, session;
};

class StdioPool : public std::enable_shared_from_this<StdioPool> {
 public:
  explicit StdioPool(boost::asio::io_context& context) : context_(context), changed_(context) {}

  /// The channel for a session of a client with this revision and these capabilities; started when there is none. The caller
  /// joins it before anything else happens, and calls left() when it has left. Errors: Unavailable, Overloaded.
  Result<std::shared_ptr<Channel>> channel(const target::Target& target, const Owner& owner, std::string_view version, const json::Value& capabilities);
  void left(const std::shared_ptr<Channel>& channel);
  /// Ends every process, and starts none any more. Resumes when all are reaped.
  boost::asio::awaitable<void> end(net::Deadline deadline);

  struct Counts { std::size_t processes = 0; std::uint64_t started = 0, died = 0; };
  Counts counts() const { return {channels_.size(), started_, died_}; }

 private:
  struct Trouble { std::uint32_t deaths = 0; std::int64_t not_before_ns = 0; std::string last; };
  boost::asio::awaitable<void> run(std::shared_ptr<Channel> channel, std::string trouble);
  boost::asio::awaitable<void> idle(std::shared_ptr<Channel> channel, std::int64_t idle_ns);
  void over(const std::shared_ptr<Channel>& channel, const std::string& trouble, std::int64_t ran_ns);

  boost::asio::io_context& context_;
  net::Condition changed_;                                        // a channel has gone, or is used again
  std::multimap<std::string, std::shared_ptr<Channel>> channels_; // by target and owner
  std::map<std::string, Trouble> troubles_;                       // by target and person
  std::uint64_t started_ = 0, died_ = 0;
  bool stopping_ = false;
};

}  // namespace sallyport::protocol::mcp
