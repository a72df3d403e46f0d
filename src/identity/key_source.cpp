#include "identity/key_source.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <algorithm>
#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

#include "identity/authenticator.h"

namespace sallyport::identity {

namespace asio = boost::asio;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kTimeout = 10 * kSecond;
constexpr std::int64_t kAskAgain = 10 * kSecond;
constexpr std::int64_t kMinLife = 300 * kSecond, kDefaultLife = 3600 * kSecond, kMaxLife = 86'400 * kSecond;
constexpr std::int64_t kMaxBackOff = 300 * kSecond;

using KeysPtr = std::shared_ptr<const Keys>;
using Timer = std::shared_ptr<asio::steady_timer>;

struct Issuer {
  OidcConfig config;
  KeysPtr keys;
  std::shared_ptr<const ProviderMetadata> metadata;
  std::string error = "not fetched yet";
  std::int64_t fetched = 0, refresh = 0;  // monotonic
  std::int64_t next_attempt = 0;          // not before
  int failures = 0;
  bool wanted = true;                     // the thread shall fetch; the first time at start
  std::list<Timer> waiting;
};

struct Answer {
  Keys keys;
  ProviderMetadata metadata;
  std::int64_t life = 0;
};

}  // namespace

struct KeySource::State {
  const Clock& clock;
  Fetch fetch;
  std::mutex mutex;
  std::condition_variable wake;
  std::map<std::string, Issuer> issuers;
  bool stopping = false;
  std::thread thread;

  State(const Clock& c, Fetch f) : clock(c), fetch(std::move(f)) {}

  bool is_stopping() {
    std::lock_guard lock(mutex);
    return stopping;
  }

  Result<Answer> ask(const OidcConfig& config) {
    const auto stop = [this] { return is_stopping(); };
    const auto deadline = clock.mono_ns() + kTimeout;
    auto base = config.issuer;
    if (base.ends_with('/')) base.pop_back();  // Discovery 1.0 §4.1
    TRY(auto discovery, fetch(base + "/.well-known/openid-configuration", config.ca_file, kTimeout, stop));
    TRY(const auto document, json::Document::parse(std::move(discovery.body), {.max_bytes = 1u << 20, .max_depth = 32, .max_nodes = 50'000}));
    const auto root = document.root();
    // §4.3: else another provider's keys could be slipped in under this one's name.
    if (!root["issuer"].is_string() || root["issuer"].as_string() != config.issuer) {
      return fail(ErrorKind::Unavailable, fmt::format("the discovery document of {} names another issuer; write the issuer "
                                                      "exactly as the provider does (a slash at the end counts)", config.issuer));
    }
    const std::string uri(root["jwks_uri"].as_string());
    if (!is_safe_url(uri) || (config.issuer.starts_with("https:") && !uri.starts_with("https:"))) {
      return fail(ErrorKind::Unavailable, fmt::format("the discovery document of {} has no usable jwks_uri: https is needed", config.issuer));
    }
    TRY(auto set, fetch(uri, config.ca_file, std::max<std::int64_t>(deadline - clock.mono_ns(), 1), stop));
    Answer answer;
    answer.metadata = read_provider_metadata(root, config);
    TRY(answer.keys, parse_jwks(std::move(set.body)));
    if (answer.keys.empty()) {
      return fail(ErrorKind::Unavailable, fmt::format("{} publishes no key that can verify a token", uri));
    }
    answer.life = std::clamp(set.max_age_ns < 0 ? kDefaultLife : set.max_age_ns, kMinLife, kMaxLife);
    return answer;
  }

  // With the lock held, as everything that touches `issuers`; posting under it keeps a waiter's context alive: a waiter
  // leaves the list before its context ends.
  void settle(Issuer& issuer, Result<Answer> answer) {
    const auto now = clock.mono_ns();
    if (answer) {
      issuer.keys = std::make_shared<const Keys>(std::move(answer->keys));
      issuer.metadata = std::make_shared<const ProviderMetadata>(std::move(answer->metadata));
      issuer.error.clear();
      // The first unknown key after the start is asked for at once: the provider may be changing keys just then.
      issuer.next_attempt = issuer.fetched == 0 ? now : now + kAskAgain;
      issuer.fetched = now;
      issuer.refresh = now + answer->life / 5 * 4;
      issuer.failures = 0;
    } else {
      issuer.error = std::move(answer.error().what);
      issuer.failures = std::min(issuer.failures + 1, 16);
      // Without any key the road is closed, so the first attempts come sooner than with keys that still work.
      const auto step = issuer.keys ? kAskAgain : kSecond;
      issuer.next_attempt = now + std::min(step << (issuer.failures - 1), kMaxBackOff);
      issuer.refresh = issuer.next_attempt;
    }
    issuer.wanted = false;
    for (auto& timer : issuer.waiting) {
      asio::post(timer->get_executor(), [timer] { timer->expires_at(asio::steady_timer::time_point::min()); });
    }
    issuer.waiting.clear();
  }

  void run() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      auto soonest = clock.mono_ns() + 30 * kSecond;
      bool fetched = false;
      for (auto& [name, issuer] : issuers) {
        const auto now = clock.mono_ns();
        const bool due = issuer.keys ? now >= issuer.refresh : false;
        if (!issuer.wanted && !(due && now >= issuer.next_attempt)) {
          if (issuer.keys) soonest = std::min(soonest, std::max(issuer.refresh, issuer.next_attempt));
          continue;
        }
        issuer.wanted = true;
        lock.unlock();
        auto answer = ask(issuer.config);  // the map and the configurations in it never change
        lock.lock();
        settle(issuer, std::move(answer));
        fetched = true;
        if (stopping) return;
      }
      // While a fetch ran without the lock, an issuer that was looked at before may have been asked for.
      if (fetched) continue;
      wake.wait_for(lock, std::chrono::nanoseconds(std::max<std::int64_t>(soonest - clock.mono_ns(), kSecond / 10)));
    }
  }
};

KeySource::KeySource(const std::vector<OidcConfig>& issuers, const Clock& clock, Fetch fetch)
    : state_(std::make_unique<State>(clock, std::move(fetch))) {
  for (const auto& config : issuers) state_->issuers[config.issuer].config = config;
  if (!issuers.empty()) state_->thread = std::thread([this] { state_->run(); });
}

KeySource::~KeySource() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  if (state_->thread.joinable()) state_->thread.join();
}

namespace {

bool has_kid(const KeysPtr& keys, const std::string& kid) {
  return kid.empty() ? !keys->empty() : std::ranges::any_of(*keys, [&](const Jwk& jwk) { return jwk.kid == kid; });
}

/// Takes a waiter off the list however its coroutine ends.
struct Waiting {
  std::mutex& mutex;
  std::list<Timer>& list;
  Timer timer;
  ~Waiting() {
    std::lock_guard lock(mutex);
    list.remove(timer);
  }
};

}  // namespace

asio::awaitable<Result<std::shared_ptr<const Keys>>> KeySource::keys(std::string issuer_name, std::string kid) {
  const auto found = state_->issuers.find(issuer_name);
  if (found == state_->issuers.end()) co_return fail(ErrorKind::Unavailable, "no such issuer is configured");
  auto& issuer = found->second;
  auto timer = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor);
  bool wait = false;
  {
    std::lock_guard lock(state_->mutex);
    const auto now = state_->clock.mono_ns();
    if (issuer.keys && now - issuer.fetched > kMaxLife) issuer.keys = nullptr;
    const bool known = issuer.keys && has_kid(issuer.keys, kid);
    if (known) co_return issuer.keys;
    if (issuer.wanted || now >= issuer.next_attempt) {
      issuer.wanted = true;
      issuer.waiting.push_back(timer);
      wait = true;
    }
  }
  if (wait) {
    const Waiting waiting{state_->mutex, issuer.waiting, timer};
    state_->wake.notify_all();
    timer->expires_after(std::chrono::nanoseconds(kTimeout));
    boost::system::error_code ignored;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  std::lock_guard lock(state_->mutex);
  if (issuer.keys) co_return issuer.keys;
  co_return fail(ErrorKind::Unavailable, fmt::format("the keys of {} are not there: {}", issuer_name, issuer.error));
}

asio::awaitable<Result<std::shared_ptr<const ProviderMetadata>>> KeySource::metadata(std::string issuer) {
  CO_TRY([[maybe_unused]] const auto any, co_await keys(issuer, ""));
  std::lock_guard lock(state_->mutex);
  co_return state_->issuers.at(issuer).metadata;
}

std::vector<OidcConfig> issuers_of(const IdentityConfig& config) {
  auto out = config.oidc;
  for (const auto& one : config.federation) out.push_back(one.oidc);
  return out;
}

std::shared_ptr<KeySource> make_key_source(const std::vector<OidcConfig>& issuers, const Clock& clock) {
  return std::make_shared<KeySource>(issuers, clock, curl_fetch());
}

}  // namespace sallyport::identity
