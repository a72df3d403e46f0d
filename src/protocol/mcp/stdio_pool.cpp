#include "protocol/mcp/stdio_pool.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using Pool = target::McpCommand::Pool;

namespace {

constexpr std::int64_t kHealthy = 60'000'000'000;
constexpr std::int64_t kFirstPause = 250'000'000, kLongestPause = 60'000'000'000;
constexpr std::int64_t kEnding = 6'000'000'000;
constexpr std::size_t kMaxTroubles = 4096;

std::string joined(const std::string& a, const std::string& b, const std::string& c = "") { return a + '\0' + b + '\0' + c; }

std::string key_of(const target::Target& target, Pool pool, const Owner& owner) {
  switch (pool) {
    case Pool::Session: return joined(target.name, owner.session);
    case Pool::Principal: return joined(target.name, owner.person, owner.agent);
    case Pool::Shared: break;
  }
  return joined(target.name, "");
}

}  // namespace

Result<std::shared_ptr<Channel>> StdioPool::channel(const target::Target& target, const Owner& owner, std::string_view version, const json::Value& capabilities) {
  const auto& settings = std::get<target::McpTarget>(target.kind);
  if (stopping_) return fail(ErrorKind::Unavailable, "the gateway is stopping");
  ChannelTerms terms{target.name, *settings.command, {}, settings.max_message, settings.timeout_ns, {}};
  TRY(terms.environment, target::environment_of(*settings.command));
  terms.handshake = std::string(version) + " " + (capabilities.valid() ? json::canonical(capabilities) : "{}");
  const auto key = key_of(target, settings.command->pool, owner);
  const auto [first, last] = channels_.equal_range(key);
  for (auto at = first; at != last; ++at)
    if (at->second->usable() && at->second->terms() == terms) return at->second;

  const auto same_target = std::ranges::count_if(channels_, [&](const auto& one) { return one.second->terms().target == target.name; });
  if (static_cast<std::size_t>(same_target) >= settings.command->instances)
    return fail(ErrorKind::Overloaded, "there are " + std::to_string(same_target) + " processes of " + target.name + " already");
  const auto trouble = joined(target.name, settings.command->pool == Pool::Shared ? "" : owner.person);
  if (const auto at = troubles_.find(trouble); at != troubles_.end() && system_clock().mono_ns() < at->second.not_before_ns) {
    const auto left = (at->second.not_before_ns - system_clock().mono_ns()) / 1'000'000;
    return fail(ErrorKind::Unavailable, "the server of " + target.name + " ended " + std::to_string(at->second.deaths) + " times in a row and is started again in " + std::to_string(left) + " ms; last: " + at->second.last);
  }
  auto channel = std::make_shared<Channel>(context_, std::move(terms));
  channels_.emplace(key, channel);
  ++started_;
  boost::asio::co_spawn(context_, run(channel, trouble), boost::asio::detached);
  return channel;
}

awaitable<void> StdioPool::run(std::shared_ptr<Channel> channel, std::string trouble) {
  const auto self = shared_from_this();
  // Who waits for it is told by the channel itself.
  (void)co_await channel->start([weak = weak_from_this(), channel, trouble](std::int64_t ran_ns) {
    if (const auto pool = weak.lock()) pool->over(channel, trouble, ran_ns);
  });
}

void StdioPool::over(const std::shared_ptr<Channel>& channel, const std::string& trouble, std::int64_t ran_ns) {
  std::erase_if(channels_, [&](const auto& one) { return one.second == channel; });
  changed_.changed();
  if (channel->retired()) return;
  ++died_;
  if (troubles_.size() >= kMaxTroubles) std::erase_if(troubles_, [](const auto& one) { return one.second.not_before_ns < system_clock().mono_ns(); });
  auto& one = troubles_[trouble];
  one.deaths = ran_ns >= kHealthy ? 1 : one.deaths + 1;
  // The first death costs nothing: what ended once by mischance is there again at once.
  const auto pause = one.deaths < 2 ? 0 : std::min(kLongestPause, kFirstPause << std::min(one.deaths - 2, 10u));
  one.not_before_ns = net::after(pause);
  one.last = channel->why_dead().what;
}

void StdioPool::left(const std::shared_ptr<Channel>& channel) {
  if (channel->sessions() > 0 || channel->dead()) return;
  const auto& command = channel->terms().command;
  const bool at_once = command.pool == Pool::Session || channel->retired();
  boost::asio::co_spawn(context_, idle(channel, at_once ? 0 : command.idle_ns), boost::asio::detached);
}

awaitable<void> StdioPool::idle(std::shared_ptr<Channel> channel, std::int64_t idle_ns) {
  const auto self = shared_from_this();
  const auto until = net::after(idle_ns);
  const auto visits = channel->visits();
  while (channel->visits() == visits && !channel->dead() && system_clock().mono_ns() < until) (void)co_await changed_.wait(until);
  if (channel->visits() == visits && !channel->dead()) co_await channel->end(net::after(kEnding));
}

awaitable<void> StdioPool::end(net::Deadline deadline) {
  const auto self = shared_from_this();
  stopping_ = true;
  for (const auto& [key, channel] : channels_) boost::asio::co_spawn(context_, channel->end(deadline), boost::asio::detached);
  changed_.changed();
  while (!channels_.empty())
    if (!co_await changed_.wait(net::after(kEnding))) break;
}

}  // namespace sallyport::protocol::mcp
