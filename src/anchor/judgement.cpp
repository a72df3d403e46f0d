#include "anchor/judgement.h"

#include <algorithm>
#include <charconv>

#include "evidence/cosignature.h"

namespace sallyport::anchor {

Judgement::Judgement(WitnessPolicy policy, std::string alarm, std::uint64_t witnessed)
    : policy_(std::move(policy)), known_(policy_.witnesses.size()), alarm_(std::move(alarm)), witnessed_(witnessed) {}

std::string Judgement::at_start() const {
  if (!alarm_.empty()) return alarm_;
  // A node that was rolled back does not know it: it takes nothing before it was told that all is well.
  return policy_.refuse_after_ns != 0 ? "no witness has answered since the gateway's start" : "";
}

bool Judgement::begin(evidence::SignedHead head, std::uint64_t signed_size) {
  if (head.checkpoint.size < signed_size) return false;
  head_ = std::move(head);
  lines_.clear();
  count_ = 0;
  for (auto& one : known_) one.due = true, one.asked = 0;
  return true;
}

std::vector<std::size_t> Judgement::due() {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < known_.size(); ++i) {
    if (!std::exchange(known_[i].due, false)) continue;
    ++known_[i].asked;
    out.push_back(i);
  }
  return out;
}

std::string Judgement::submission(std::size_t witness, const evidence::NodeSource& nodes) const {
  const auto size = head_.checkpoint.size, old_size = std::min(known_[witness].size, size);
  std::string out = fmt::format("old {}\n", old_size);
  if (old_size != 0 && old_size < size) {
    const auto proof = evidence::consistency_proof(old_size, size, nodes);
    if (!proof) return "";
    for (const auto& hash : *proof) out += base64(hash) + "\n";
  }
  return out + "\n" + head_.note;
}

void Judgement::answer(std::size_t witness, long status, const std::string& body, const std::string& failure) {
  auto& known = known_[witness];
  const auto words = body.substr(0, body.find('\n')).substr(0, 200);
  if (status == 200) return cosigned(witness, body);
  if (status == 409) return is_elsewhere(witness, body);
  if (status == 422) {
    // The proof was made from what is stored: either that is not what the witness saw, or what is stored contradicts itself.
    ++known.refusals;
    known.problem = "it has seen another log under this name";
    contradicted(witness, fmt::format("the witness {} has cosigned {} entries of this log that are not its first {} now: the log was changed or forked ({})",
                                      policy_.witnesses[witness].key.name, known.size, known.size, words));
  } else if (status != 0) {
    ++known.refusals;
    known.problem = fmt::format("it answers {}: {}", status, words);
  } else {
    ++known.silences;
    known.problem = "it cannot be reached: " + failure;
  }
}

void Judgement::cosigned(std::size_t witness, const std::string& body) {
  auto& known = known_[witness];
  const auto text = std::string_view(head_.note).substr(0, head_.note.rfind("\n\n") + 1);
  auto rest = std::string_view(body);
  while (!rest.empty()) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto at = evidence::cosigned_at(text, line, policy_.witnesses[witness].key);
    if (!at || !*at) continue;
    known.problem.clear();
    known.contradiction.clear();
    known.size = known.cosigned = head_.checkpoint.size;
    lines_ += std::string(line) + "\n";
    ++count_;
    return;
  }
  ++known.refusals;
  known.problem = "its answer bears no cosignature of its key";
}

void Judgement::is_elsewhere(std::size_t witness, const std::string& body) {
  auto& known = known_[witness];
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(body.data(), body.data() + body.size(), size);
  if (error != std::errc() || std::string_view(end, body.data() + body.size()) != "\n") {
    ++known.refusals;
    known.problem = "it refuses and does not say how far it is";
    return;
  }
  const bool news = std::exchange(known.size, size) != size;
  if (size > head_.checkpoint.size) {
    ++known.refusals;
    known.problem = "it has seen more of this log than there is";
    contradicted(witness, fmt::format("the witness {} has cosigned {} entries of this log, which now has {} only: the log was rolled back",
                                      policy_.witnesses[witness].key.name, size, head_.checkpoint.size));
  } else {
    // A size is no word on the log: until it cosigned, it is not one of those that know it.
    known.problem = fmt::format("it has cosigned {} entries of this log, and not this head", size);
    known.due = news && known.asked < 2;
    if (!known.due) ++known.refusals;   // else it only said how far it is
  }
}

std::optional<evidence::SignedHead> Judgement::end() const {
  if (count_ < policy_.quorum || count_ == 0) return std::nullopt;
  return evidence::SignedHead{head_.note + lines_, head_.checkpoint};
}

/// It stands until this witness cosigns a head, also while it cannot be reached: an honest one never will, for what it has seen is no
/// beginning of this log; and which of them answers in one round must not decide.
void Judgement::contradicted(std::size_t witness, const std::string& why) {
  known_[witness].contradiction = why;
  std::string all;
  std::size_t count = 0;
  for (const auto& one : known_)
    if (!one.contradiction.empty()) ++count, all += (all.empty() ? "" : "; ") + one.contradiction;
  if (count >= policy_.halting()) alarm(all);
}

std::vector<Judgement::Warning> Judgement::warnings(std::int64_t now_ns) {
  constexpr std::int64_t kApart = 60'000'000'000;
  std::vector<Warning> out;
  if (!alarm_.empty()) return out;   // which names them all
  for (std::size_t i = 0; i < known_.size(); ++i) {
    auto& one = known_[i];
    if (one.warned == !one.contradiction.empty()) continue;
    // One that says now this, now that, must not fill the log.
    if (!one.warned && one.warned_ns != 0 && now_ns - one.warned_ns < kApart) continue;
    one.warned = !one.warned;
    if (one.warned) one.warned_ns = now_ns;
    out.push_back({i, one.contradiction});
  }
  return out;
}

void Judgement::alarm(const std::string& why) {
  if (!alarm_.empty()) return;
  alarm_ = why + "; no new command is taken until an administrator has found out why and opens a new incarnation (sallyport evidence incarnation)";
  new_alarm_ = alarm_;
}

std::optional<std::string> Judgement::raised() {
  if (new_alarm_.empty()) return std::nullopt;
  return std::exchange(new_alarm_, {});
}

std::optional<Judgement::Lag> Judgement::lag(std::uint64_t size, std::int64_t now_ns) {
  if (witnessed_ >= size) behind_since_ns_ = 0;
  else if (behind_since_ns_ == 0) behind_since_ns_ = now_ns;
  const auto well = std::ranges::count_if(known_, [](const Known& one) { return one.size != 0 && one.problem.empty(); });
  const bool met = static_cast<std::size_t>(well) >= policy_.quorum;
  // While it is busy there is always something that waits; the clock runs only while no round succeeds.
  if (met) behind_since_ns_ = witnessed_ >= size ? 0 : now_ns;
  if (!alarm_.empty() || policy_.refuse_after_ns == 0) return std::nullopt;
  const bool late = behind_since_ns_ != 0 && now_ns - behind_since_ns_ > policy_.refuse_after_ns;
  if (!met && !recorded_ && !late) return std::nullopt;
  Lag out{"", late != recorded_};
  recorded_ = late;
  if (!late) return out;
  out.refusal = "the log's heads have not been witnessed for longer than evidence.witnesses.refuse_after allows:";
  for (std::size_t i = 0; i < known_.size(); ++i)
    if (!known_[i].problem.empty()) out.refusal += fmt::format(" {}: {};", policy_.witnesses[i].key.name, known_[i].problem);
  return out;
}

}  // namespace sallyport::anchor
