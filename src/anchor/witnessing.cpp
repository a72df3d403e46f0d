#include "anchor/witnessing.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <charconv>

#include "anchor/http_post.h"
#include "evidence/cosignature.h"
#include "evidence/note_archive.h"

namespace sallyport::anchor {
namespace {

constexpr std::int64_t kArchiveEvery = 60'000'000'000;
constexpr const char* kSilent = "no witness has answered since the gateway's start";

std::int64_t now() { return system_clock().mono_ns(); }

}  // namespace

Witnessing::Witnessing(WitnessPolicy policy, evidence::Log& log, std::string directory)
    : policy_(std::move(policy)), log_(log), view_(std::move(directory)), known_(policy_.witnesses.size()) {
  if (const auto why = evidence::read_file(view_.directory() + "/alarm")) {
    alarmed_ = true;
    log_.refuse_new(std::string(as_text(*why)));
  } else if (policy_.refuse_after_ns != 0) {
    // A node that was rolled back does not know it: it takes nothing before it was told that all is well.
    log_.refuse_new(kSilent);
  }
  if (const auto last = evidence::read_head(view_.directory() + "/checkpoint.witnessed")) witnessed_ = last->checkpoint.size;
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
  Status out{witnessed_, behind_since_ns_ == 0 ? 0 : now() - behind_since_ns_, {}};
  for (std::size_t i = 0; i < known_.size(); ++i) out.witnesses.emplace_back(policy_.witnesses[i].key.name, known_[i].problem);
  return out;
}

void Witnessing::run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    lock.unlock();
    round();
    judge_lag();
    lock.lock();
    wake_.wait_for(lock, std::chrono::nanoseconds(policy_.every_ns), [this] { return stop_; });
  }
}

std::string Witnessing::submission(const evidence::SignedHead& head, std::uint64_t old_size) {
  std::string out = fmt::format("old {}\n", old_size);
  if (old_size != 0 && old_size < head.checkpoint.size) {
    const auto proof = evidence::consistency_proof(old_size, head.checkpoint.size, view_.nodes());
    if (!proof) return "";
    for (const auto& hash : *proof) out += base64(hash) + "\n";
  }
  return out + "\n" + head.note;
}

void Witnessing::round() {
  auto head = view_.head();
  if (!head) return;
  // One that was restarted, or that we never met, first says how far it is.
  std::string lines;
  std::size_t count = 0;
  std::vector<std::size_t> due(policy_.witnesses.size());
  for (std::size_t i = 0; i < due.size(); ++i) due[i] = i;
  for (int tries = 0; tries < 2 && !due.empty(); ++tries) {
    std::vector<Post> posts;
    for (const auto i : due) {
      auto url = policy_.witnesses[i].url;
      if (url.ends_with('/')) url.pop_back();
      posts.push_back({url + "/add-checkpoint", "text/plain; charset=utf-8", submission(*head, std::min(known_[i].size, head->checkpoint.size)), 0, "", ""});
    }
    post_all(posts, policy_.timeout_ns);
    std::vector<std::size_t> again;
    for (std::size_t k = 0; k < due.size(); ++k) {
      const auto before = known_[due[k]].size;
      const auto line = judge(*head, due[k], posts[k].status, posts[k].answer, posts[k].failure);
      if (!line.empty()) lines += line, ++count;
      else if (posts[k].status == 409 && known_[due[k]].size != before && known_[due[k]].problem.empty()) again.push_back(due[k]);
    }
    due = std::move(again);
  }
  if (count >= policy_.quorum && count != 0) keep(*head, lines);
}

std::string Witnessing::judge(const evidence::SignedHead& head, std::size_t i, long status, const std::string& answer, const std::string& failure) {
  const auto& witness = policy_.witnesses[i];
  const auto said = [&](std::string problem) {
    const std::lock_guard lock(mutex_);
    known_[i].problem = std::move(problem);
    return std::string();
  };
  const auto words = [&] { return answer.substr(0, answer.find('\n')).substr(0, 200); };
  if (status == 200) {
    const auto text = std::string_view(head.note).substr(0, head.note.rfind("\n\n") + 1);
    auto rest = std::string_view(answer);
    while (!rest.empty()) {
      const auto line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      const auto at = evidence::cosigned_at(text, line, witness.key);
      if (!at || !*at) continue;
      said("");
      known_[i].size = head.checkpoint.size;
      return std::string(line) + "\n";
    }
    return said("its answer bears no cosignature of its key");
  }
  if (status == 409) {
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(answer.data(), answer.data() + answer.size(), size);
    if (error != std::errc() || std::string_view(end, answer.data() + answer.size()) != "\n") return said("it refuses and does not say how far it is");
    known_[i].size = size;
    said("");
    if (size > head.checkpoint.size) {
      alarm(fmt::format("the witness {} has cosigned {} entries of this log, which now has {} only: the log was rolled back", witness.key.name, size, head.checkpoint.size));
      return said("it has seen more of this log than there is");
    }
    return "";
  }
  if (status == 422) {
    // The proof was made from what is stored: either that is not what the witness saw, or what is stored contradicts itself.
    alarm(fmt::format("the witness {} has cosigned {} entries of this log that are not its first {} now: the log was changed or forked ({})", witness.key.name, known_[i].size, known_[i].size, words()));
    return said("it has seen another log under this name");
  }
  if (status != 0) return said(fmt::format("it answers {}: {}", status, words()));
  return said("it cannot be reached: " + failure);
}

void Witnessing::keep(const evidence::SignedHead& head, const std::string& lines) {
  const auto note = head.note + lines;
  const auto path = view_.directory() + "/checkpoint.witnessed";
  if (!evidence::replace_file(path, as_bytes(note), 0644)) return;
  if (archived_ns_ == 0 || now() - archived_ns_ >= kArchiveEvery) {
    archived_ns_ = now();
    if (auto archive = evidence::NoteArchive::open(view_.directory() + "/checkpoints.witnessed")) (void)archive->append(note);
  }
  const std::lock_guard lock(mutex_);
  witnessed_ = head.checkpoint.size;
}

/// How long entries have been waiting for the quorum.
void Witnessing::judge_lag() {
  const auto size = log_.status().size;
  std::string why;
  bool told = false;
  {
    const std::lock_guard lock(mutex_);
    if (witnessed_ >= size) behind_since_ns_ = 0;
    else if (behind_since_ns_ == 0) behind_since_ns_ = now();
    const bool met = std::ranges::count_if(known_, [](const Known& one) { return one.size != 0 && one.problem.empty(); }) >= static_cast<std::ptrdiff_t>(policy_.quorum);
    // While it is busy there is always something that waits; the clock runs only while no round succeeds.
    if (met) behind_since_ns_ = witnessed_ >= size ? 0 : now();
    if (alarmed_ || policy_.refuse_after_ns == 0) return;
    const bool late = behind_since_ns_ != 0 && now() - behind_since_ns_ > policy_.refuse_after_ns;
    if (!met && !recorded_ && !late) return;
    if (late) {
      why = "the log's heads have not been witnessed for longer than evidence.witnesses.refuse_after allows:";
      for (std::size_t i = 0; i < known_.size(); ++i)
        if (!known_[i].problem.empty()) why += fmt::format(" {}: {};", policy_.witnesses[i].key.name, known_[i].problem);
    }
    told = late != recorded_;
    recorded_ = late;
  }
  log_.refuse_new(why);
  if (!told) return;
  evidence::Entry entry(why.empty() ? evidence::Kind::SinkRecovered : evidence::Kind::SinkFailed);
  entry.text(evidence::Field::Reason, why.substr(0, 2000)).text(evidence::Field::Name, "witnesses");
  (void)log_.append_wait(std::move(entry));
}

void Witnessing::alarm(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(alarmed_, true)) return;
  }
  const auto words = why + "; no new command is taken until an administrator has found out why and opens a new incarnation (sallyport evidence incarnation)";
  (void)evidence::replace_file(view_.directory() + "/alarm", as_bytes(words), 0644);
  log_.refuse_new(words);
  fmt::print(stderr, "sallyport: ALARM: {}\n", words);
  evidence::Entry entry(evidence::Kind::SinkFailed);
  entry.text(evidence::Field::Reason, words.substr(0, 2000)).text(evidence::Field::Name, "witnesses");
  (void)log_.append_wait(std::move(entry));
}

}  // namespace sallyport::anchor
