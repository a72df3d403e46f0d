#include "anchor/witnessing.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "anchor/http_post.h"
#include "evidence/cosignature.h"
#include "evidence/note_archive.h"

namespace sallyport::anchor {
namespace {

constexpr std::int64_t kArchiveEvery = 60'000'000'000;

std::int64_t now() { return system_clock().mono_ns(); }

std::string alarm_of(const std::string& directory) {
  const auto why = evidence::read_file(directory + "/alarm");
  return why ? std::string(as_text(*why)) : "";
}

void archive(const std::string& directory, const std::string& note) {
  if (auto archive = evidence::NoteArchive::open(directory + "/checkpoints.witnessed")) (void)archive->append(note);
}

/// Of the newest head with the quorum of these witnesses. One that has it not any more, for they were changed, would be used as if
/// it had: it goes into the archive. Not after an alarm: then it is what the next incarnation begins with.
std::uint64_t witnessed_size_of(const std::string& directory, const WitnessPolicy& policy, bool alarmed) {
  const auto path = directory + "/checkpoint.witnessed";
  const auto last = evidence::read_head(path);
  if (!last) return 0;
  std::size_t count = 0;
  for (const auto& one : policy.witnesses) {
    const auto at = evidence::cosigned_at(last->note, one.key);
    if (at && *at) ++count;
  }
  if (alarmed || (count != 0 && count >= policy.quorum)) return last->checkpoint.size;
  archive(directory, last->note);
  (void)::unlink(path.c_str());
  (void)evidence::sync_folder(directory);
  return 0;
}

Judgement judgement_of(WitnessPolicy policy, const std::string& directory) {
  auto alarm = alarm_of(directory);
  const auto size = witnessed_size_of(directory, policy, !alarm.empty());
  return {std::move(policy), std::move(alarm), size};
}

evidence::Entry about(const std::string& name, bool failed, const std::string& words) {
  evidence::Entry entry(failed ? evidence::Kind::SinkFailed : evidence::Kind::SinkRecovered);
  entry.text(evidence::Field::Reason, words.substr(0, 2000)).text(evidence::Field::Name, name);
  return entry;
}

}  // namespace

std::string standing_alarm(const std::string& directory) {
  auto alarm = alarm_of(directory);
  (void)witnessed_size_of(directory, {}, !alarm.empty());
  return alarm;
}

Witnessing::Witnessing(WitnessPolicy policy, evidence::Log& log, std::string directory)
    : log_(log), view_(std::move(directory)), judgement_(judgement_of(std::move(policy), view_.directory())) {
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
  const auto& policy = judgement_.policy();
  Status out{judgement_.witnessed_size(), since == 0 ? 0 : now() - since, policy.quorum, judgement_.alarm(), {}};
  for (std::size_t i = 0; i < policy.witnesses.size(); ++i) {
    const auto& known = judgement_.known(i);
    out.witnesses.push_back({policy.witnesses[i].key.name, known.problem, !known.contradiction.empty(), known.cosigned, known.refusals, known.silences});
  }
  return out;
}

void Witnessing::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    round();
    warn();
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
    archive(view_.directory(), head.note);
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
  if (lag->changed) (void)log_.append_wait(about("witnesses", !lag->refusal.empty(), lag->refusal));
}

void Witnessing::warn() {
  std::vector<Judgement::Warning> warnings;
  {
    const std::lock_guard lock(mutex_);
    warnings = judgement_.warnings(now());
  }
  for (const auto& one : warnings) {
    const auto& name = judgement_.policy().witnesses[one.witness].key.name;
    if (!one.words.empty()) fmt::print(stderr, "sallyport: WARNING: {}; the others are asked on\n", one.words);
    (void)log_.append_wait(about("witness " + name, !one.words.empty(), one.words));
  }
}

void Witnessing::alarm(const std::string& words) {
  (void)evidence::replace_file(view_.directory() + "/alarm", as_bytes(words), 0644);
  log_.refuse_new(words);
  fmt::print(stderr, "sallyport: ALARM: {}\n", words);
  (void)log_.append_wait(about("witnesses", true, words));
}

}  // namespace sallyport::anchor
