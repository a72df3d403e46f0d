#include "notify/outbox.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "notify/send.h"

namespace sallyport::notify {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kFirstPause = 2 * kSecond, kLongestPause = 3600 * kSecond, kGiveUp = 86'400 * kSecond;
constexpr std::int64_t kMaxWaiting = 50'000;   // rows; what is beyond is not sent, and said so

struct Due {
  std::int64_t row = 0, attempts = 0, created = 0;
  std::string id, channel, body;
};

}  // namespace

bool Channel::wants(const Notice& notice) const {
  if (std::ranges::find(events, notice.event) == events.end()) return false;
  return groups.empty() || std::ranges::any_of(notice.groups, [&](const auto& group) { return std::ranges::find(groups, group) != groups.end(); });
}

struct Outbox::State {
  State(state::Store& s, evidence::Log& l, std::vector<Channel> c, const Clock& t) : store(s), log(l), clock(t), channels(std::move(c)) {}
  state::Store& store;
  evidence::Log& log;
  const Clock& clock;
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<Channel> channels;
  bool stopping = false, fresh = false;
  std::atomic<std::uint64_t> sent = 0, failed = 0, given_up = 0;
  std::jthread thread;

  std::vector<Channel> now() {
    const std::lock_guard lock(mutex);
    return channels;
  }
  const Channel* find(const std::vector<Channel>& list, const std::string& name) const {
    const auto at = std::ranges::find(list, name, &Channel::name);
    return at == list.end() ? nullptr : &*at;
  }

  /// On the store's thread.
  Result<void> keep(state::Database& db, const Notice& notice) {
    auto count = db.prepare("SELECT count(*) FROM notices");
    TRY_VOID(count.step());
    if (count.integer(0) >= kMaxWaiting) return fail(ErrorKind::Overloaded, "too many notices wait");
    auto put = db.prepare("INSERT OR IGNORE INTO notices (id, channel, body, attempts, due, created) VALUES (?, ?, ?, 0, ?, ?)");
    for (const auto& channel : now()) {
      if (!channel.wants(notice)) continue;
      // One event of a request is one notice, however often it is told; of votes there are several.
      const auto which = notice.event == "vote" ? std::to_string(notice.at_wall_ns) : std::string();
      const auto id = "msg_" + hex(sha256(as_bytes(notice.request + "\n" + notice.event + which + "\n" + channel.name))).substr(0, 32);
      const auto body = channel.is_mail() ? mail_message(notice, id, channel.from, channel.to) : webhook_body(notice, channel.form);
      put.bind(1, id).bind(2, channel.name).bind(3, body).bind(4, notice.at_wall_ns).bind(5, notice.at_wall_ns);
      TRY_VOID(put.run());
      put.reset();
    }
    return {};
  }

  template <class Work>
  auto on_store(Work work) {
    return boost::asio::co_spawn(store.context(), store.run(std::move(work)), boost::asio::use_future).get();
  }

  Result<std::vector<Due>> due(std::int64_t& next) {
    return on_store([this, &next](state::Database& db) -> Result<std::vector<Due>> {
      const auto now_ns = clock.wall_ns();
      auto select = db.prepare("SELECT rowid, attempts, created, id, channel, body FROM notices WHERE due <= ? ORDER BY due LIMIT 16");
      select.bind(1, now_ns);
      std::vector<Due> out;
      for (;;) {
        TRY(const bool row, select.step());
        if (!row) break;
        out.push_back({select.integer(0), select.integer(1), select.integer(2), select.text(3), select.text(4), select.text(5)});
      }
      auto soonest = db.prepare("SELECT min(due) FROM notices");
      TRY_VOID(soonest.step());
      next = soonest.is_null(0) ? INT64_MAX : soonest.integer(0);
      return out;
    });
  }

  void done(const Due& one) {
    (void)on_store([row = one.row](state::Database& db) { return db.prepare("DELETE FROM notices WHERE rowid = ?").bind(1, row).run(); });
  }
  void later(const Due& one) {
    const auto pause = std::min(kFirstPause << std::min<std::int64_t>(one.attempts, 12), kLongestPause);
    (void)on_store([&](state::Database& db) {
      return db.prepare("UPDATE notices SET attempts = attempts + 1, due = ? WHERE rowid = ?").bind(1, clock.wall_ns() + pause).bind(2, one.row).run();
    });
  }
  void give_up(const Due& one, const std::string& why) {
    ++given_up;
    fmt::print(stderr, "sallyport: the notice {} for {} was given up: {}\n", one.id, one.channel, why);
    evidence::Entry entry(evidence::Kind::AdminAction);
    entry.text(evidence::Field::Action, "notice.given-up").text(evidence::Field::Object, one.id).text(evidence::Field::Reason, (one.channel + ": " + why).substr(0, 1024));
    (void)log.append_wait(std::move(entry));
    done(one);
  }

  void attempt(const Due& one, const std::vector<Channel>& list) {
    const auto* channel = find(list, one.channel);
    if (channel == nullptr) return give_up(one, "the channel is no longer configured");
    const auto result = channel->is_mail() ? send_mail(*channel, one.body) : send_webhook(*channel, one.id, one.body, clock.wall_ns());
    if (result) {
      ++sent;
      return done(one);
    }
    ++failed;
    if (result.error().kind == ErrorKind::Denied || clock.wall_ns() - one.created > kGiveUp) return give_up(one, result.error().what);
    later(one);
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      std::int64_t next = INT64_MAX;
      const auto list = due(next);
      const auto setup = now();
      if (list)
        for (const auto& one : *list) {
          if (stop.stop_requested()) return;
          attempt(one, setup);
        }
      if (list && !list->empty()) continue;
      std::unique_lock lock(mutex);
      const auto pause = next == INT64_MAX ? 3600 * kSecond : std::clamp<std::int64_t>(next - clock.wall_ns(), kSecond / 10, 3600 * kSecond);
      wake.wait_for(lock, std::chrono::nanoseconds(pause), [&] { return fresh || stopping; });
      fresh = false;
    }
  }
};

Outbox::Outbox(state::Store& store, evidence::Log& log, std::vector<Channel> channels, const Clock& clock)
    : state_(std::make_shared<State>(store, log, std::move(channels), clock)) {
  state_->thread = std::jthread([state = state_.get()](const std::stop_token& stop) { state->run(stop); });
}

Outbox::~Outbox() {
  state_->thread.request_stop();
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  state_->thread.join();
}

void Outbox::post(Notice notice) {
  boost::asio::post(state_->store.context(), [state = state_, notice = std::move(notice)] {
    if (auto kept = state->keep(state->store.database(), notice); !kept) {
      ++state->given_up;
      fmt::print(stderr, "sallyport: a notice of request {} is not sent: {}\n", notice.request, kept.error().what);
      return;
    }
    {
      const std::lock_guard lock(state->mutex);
      state->fresh = true;
    }
    state->wake.notify_all();
  });
}

void Outbox::reconfigure(std::vector<Channel> channels) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->channels = std::move(channels);
    state_->fresh = true;
  }
  state_->wake.notify_all();
}

Outbox::Counts Outbox::counts() const { return {state_->sent, state_->failed, state_->given_up}; }

}  // namespace sallyport::notify
