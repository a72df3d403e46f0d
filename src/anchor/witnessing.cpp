#include "anchor/witnessing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "anchor/http_post.h"
#include "evidence/note_archive.h"

namespace sallyport::anchor {
namespace {

constexpr std::int64_t kArchiveEvery = 60'000'000'000;

std::int64_t now() { return system_clock().mono_ns(); }

std::string alarm_of(const std::string& directory) {
  const auto why = evidence::read_file(directory + "/alarm");
  return why ? std::string(as_text(*why)) : "";
}

std::uint64_t witnessed_size_of(const std::string& directory) {
  const auto last = evidence::read_head(directory + "/checkpoint.witnessed");
  return last ? last->checkpoint.size : 0;
}

}  // namespace

Witnessing::Witnessing(WitnessPolicy policy, evidence::Log& log, std::string directory)
    : log_(log), view_(std::move(directory)), judgement_(std::move(policy), alarm_of(view_.directory()), witnessed_size_of(view_.directory())) {
  if (const auto why = judgement_.at_start(); !why.empty()) log_.refuse_new(why);
  thread_ = std::thread([this] { run(); });
}

Witnessing::~Witnessing() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  round();  // the last head of a log that was stopped
}

Witnessing::Status Witnessing::status() const {
  const std::lock_guard lock(mutex_);
  const auto since = judgement_.behind_since_ns();
  Status out{judgement_.witnessed_size(), since == 0 ? 0 : now() - since, {}};
  const auto& witnesses = judgement_.policy().witnesses;
  for (std::size_t i = 0; i < witnesses.size(); ++i) out.witnesses.emplace_back(witnesses[i].key.name, judgement_.problem(i));
  return out;
}

void Witnessing::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    round();
    judge_lag();
    lock.lock();
    wake_.wait_for(lock, std::chrono::nanoseconds(judgement_.policy().every_ns), [this] { return stop_; });
  }
}

void Witnessing::round() {
  const auto& policy = judgement_.policy();
  const auto signed_size = log_.status().signed_size;
  auto head = view_.head();
  if (!head) return;
  const auto locked = [this](auto change) {
    const std::lock_guard lock(mutex_);
    return change();
  };
  if (!locked([&] { return judgement_.begin(std::move(*head), signed_size); })) return;
  for (;;) {
    const auto due = locked([&] { return judgement_.due(); });
    if (due.empty()) break;
    std::vector<Post> posts;
    for (const auto i : due) {
      auto url = policy.witnesses[i].url;
      if (url.ends_with('/')) url.pop_back();
      posts.push_back({url + "/add-checkpoint", "text/plain; charset=utf-8", judgement_.submission(i, view_.nodes()), 0, "", ""});
    }
    post_all(posts, policy.timeout_ns);
    for (std::size_t k = 0; k < due.size(); ++k) {
      const auto raised = locked([&] {
        judgement_.answer(due[k], posts[k].status, posts[k].answer, posts[k].failure);
        return judgement_.raised();
      });
      if (raised) alarm(*raised);
    }
  }
  if (const auto witnessed = judgement_.end()) keep(*witnessed);
}

void Witnessing::keep(const evidence::SignedHead& head) {
  const auto path = view_.directory() + "/checkpoint.witnessed";
  if (!evidence::replace_file(path, as_bytes(head.note), 0644)) return;
  if (archived_ns_ == 0 || now() - archived_ns_ >= kArchiveEvery) {
    archived_ns_ = now();
    if (auto archive = evidence::NoteArchive::open(view_.directory() + "/checkpoints.witnessed")) (void)archive->append(head.note);
  }
  const std::lock_guard lock(mutex_);
  judgement_.witnessed(head.checkpoint.size);
}

void Witnessing::judge_lag() {
  const auto size = log_.status().size;
  std::optional<Judgement::Lag> lag;
  {
    const std::lock_guard lock(mutex_);
    lag = judgement_.lag(size, now());
  }
  if (!lag) return;
  log_.refuse_new(lag->refusal);
  if (!lag->changed) return;
  evidence::Entry entry(lag->refusal.empty() ? evidence::Kind::SinkRecovered : evidence::Kind::SinkFailed);
  entry.text(evidence::Field::Reason, lag->refusal.substr(0, 2000)).text(evidence::Field::Name, "witnesses");
  (void)log_.append_wait(std::move(entry));
}

void Witnessing::alarm(const std::string& words) {
  (void)evidence::replace_file(view_.directory() + "/alarm", as_bytes(words), 0644);
  log_.refuse_new(words);
  fmt::print(stderr, "sallyport: ALARM: {}\n", words);
  evidence::Entry entry(evidence::Kind::SinkFailed);
  entry.text(evidence::Field::Reason, words.substr(0, 2000)).text(evidence::Field::Name, "witnesses");
  (void)log_.append_wait(std::move(entry));
}

}  // namespace sallyport::anchor
