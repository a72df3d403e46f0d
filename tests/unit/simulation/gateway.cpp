#include "gateway.h"

#include <algorithm>

#include "evidence/file_ops.h"
#include "evidence/recovery.h"

namespace sallyport::simulation {

using namespace evidence;

Gateway::Gateway(Setup setup, std::mt19937_64& random, Truth& truth)
    : setup_(std::move(setup)), random_(random), truth_(truth), notary_(setup_.folder + "-notary", setup_.signer_key, truth, disk_.history, setup_.defect) {
  disk_.names = {""};
}

void Gateway::put_back(const State& state, bool live, std::int64_t now) {
  put_back_disk(state);
  notary_.put_back(state.notary);
  if (!live || !state.process) return;
  process_ = state.process;
  process_->exposed_since = now;   // it cannot know
}

void Gateway::put_back_disk(const State& state) {
  process_.reset();
  disk_ = state.disk;
  malicious_ = state.malicious;
  edited_ = state.edited;
  refused_ = false;
}

void Gateway::refuse_start(const std::string& why) {
  refused_ = true;
  truth_.is_alarmed(why);
}

void Gateway::start(std::int64_t now, std::int64_t wall) {
  if (process_ || refused_) return;
  const auto last = notary_.last();
  if (!last) return;
  // As compare_with_checkpoint in evidence/log.cpp.
  const auto named = size_of(disk_.checkpoint());
  if (named > last->size() || (named == last->size() && named != 0 && root_of(disk_.checkpoint()) != last->root())) {
    return refuse_start("the checkpoint is not what the notary remembers");
  }
  disk_.write(setup_.folder);
  FileOps ops;
  auto found = recover(setup_.folder + "/segments", kOrigin, last->size(), last->root(), std::nullopt, ops);
  if (!found) return refuse_start(found.error().what);
  if (found->tree.size() != disk_.history.size() || (found->any && found->tree.root() != disk_.history.root(disk_.history.size()))) {
    return truth_.violated("recovery does not find the entries that are durable");
  }
  if (edited_) return truth_.violated("a log that was edited below its signed head starts");
  process_.emplace(found->unsigned_range, anchor::Judgement(setup_.policy, disk_.alarm, size_of(disk_.witnessed)));
  auto& p = *process_;
  for (auto& byte : p.incarnation) byte = static_cast<std::uint8_t>(random_());
  if (setup_.defect != Defect::TakesBeforeAsked || !disk_.alarm.empty()) p.refusal = p.judgement.at_start();
  p.unsigned_since = now;
  const auto signed_size = last->size();
  disk_.segments.push_back({p.incarnation, disk_.history.size(), {}});
  if (found->any && !found->clean) {
    append(std::move(Entry(Kind::Recovery).text(Field::Reason, "the node ended without node.stop").uint(Field::Discarded, 0).uint(Field::SignedSize, signed_size)
           .bytes(Field::Incarnation, found->incarnation)), now, wall);
  }
  Entry start(Kind::NodeStart);
  start.text(Field::Name, "sim").uint(Field::SignedSize, signed_size);
  if (found->any) start.bytes(Field::Incarnation, found->incarnation);
  append(start, now, wall);
  sync(now);
}

void Gateway::append(const Entry& entry, std::int64_t now, std::int64_t wall) {
  process_->batch.push_back(leaf_of(entry, disk_.history.size() + process_->batch.size(), wall, now, process_->incarnation));
}

bool Gateway::command(std::int64_t now, std::int64_t wall, const std::string& name) {
  if (!process_ || !process_->refusal.empty() || process_->broken) return false;
  if (!malicious_ && !disk_.alarm.empty()) truth_.violated("a command is taken after an alarm");
  // A round may have begun before the last one that was good was over, and takes two steps.
  constexpr auto kSlack = 6 * kTickMost;
  if (!malicious_ && setup_.policy.refuse_after_ns != 0 && now - process_->exposed_since > setup_.policy.refuse_after_ns + setup_.policy.every_ns + kSlack) {
    truth_.violated("a command is taken by a gateway whose log the witnesses do not know");
  }
  append(Entry(Kind::AdminAction).text(Field::Name, name), now, wall);
  return true;
}

void Gateway::sync(std::int64_t now) {
  if (!process_ || process_->batch.empty()) return;
  auto& p = *process_;
  if (p.queue.empty()) p.unsigned_since = now;
  auto at = disk_.history.size();
  disk_.append(p.batch);
  Added added{CompactRange(at), {}};
  for (const auto& leaf : p.batch) {
    const bool announces = read_entry(leaf).value().kind == Kind::KeyEpoch;
    if (announces) p.queue.add(std::exchange(added, {CompactRange(at), leaf}));
    added.range.append(leaf_hash(leaf));
    ++at;
    if (announces) p.queue.add(std::exchange(added, {CompactRange(at), {}}));
  }
  p.queue.add(added);
  p.batch.clear();
}

void Gateway::sign(std::int64_t now) {
  if (!process_ || process_->queue.empty() || now < process_->sign_at) return;
  auto& p = *process_;
  const bool announces = !p.queue.ask().announcement.empty();
  const auto head = sign_added(notary_, p.queue.ask(), p.again);
  if (!head) {
    const bool denied = head.error().kind == ErrorKind::Denied;
    if (denied && !truth_.tampered) truth_.violated("the notary denies what an honest gateway asks: " + head.error().what);
    p.again = true;
    p.broken = denied || now - p.unsigned_since > 2000 * kMillisecond;
    p.sign_at = now + 500 * kMillisecond;
    if (setup_.defect == Defect::JoinsWhatWasAsked) p.queue = SigningQueue(disk_.history.range(p.queue.signed_size(), disk_.history.size()));
    return;
  }
  if (size_of(head->note) < size_of(disk_.checkpoint())) truth_.violated("the size under the newest head falls");
  disk_.names.push_back(head->note);
  disk_.checkpoints += head->note + "\n";
  p.again = p.broken = false;
  p.queue.answered();
  if (announces && !head->begun && setup_.defect != Defect::AnnouncesOnce) p.epoch_at = now + 500 * kMillisecond;
  p.unsigned_since = now;
}

void Gateway::announce(std::int64_t now, std::int64_t wall) {
  if (!process_ || process_->queue.announces() || now < process_->epoch_at) return;
  const auto next = notary_.next_epoch();
  const bool soon = !next && setup_.defect != Defect::AnnouncesOnce;
  process_->epoch_at = now + (soon ? 500 * kMillisecond : setup_.epoch_ns);
  if (!next) return;
  append(Entry(Kind::KeyEpoch).bytes(Field::EpochKey, next->key).uint(Field::Epoch, next->number), now, wall);
  sync(now);
}

void Gateway::round(std::int64_t now, std::int64_t wall, const std::function<Answer(std::size_t, const std::string&)>& post) {
  if (!process_) return;
  auto& p = *process_;
  if (!p.asking) {
    if (now < p.round_at) return;
    p.round_at = now + setup_.policy.every_ns;
    const auto& note = disk_.checkpoint();
    const auto signed_size = setup_.defect == Defect::TrustsOldName ? 0 : p.queue.signed_size();
    if (note.empty() || !p.judgement.begin({note, parse_checkpoint(note.substr(0, note.find("\n\n") + 1)).value()}, signed_size)) return judge_lag(now, wall);
    p.asking = true;
  }
  const auto due = p.judgement.due();
  for (const auto i : due) {
    const auto body = p.judgement.submission(i, disk_.history.nodes());
    auto answer = post(i, body);
    if (setup_.defect == Defect::DeafToSize && answer.status == 409) {
      const auto asked = size_of(body.substr(body.find("\n\n") + 2));
      answer.body = std::to_string(std::min<std::uint64_t>(std::stoull(answer.body), asked)) + "\n";
    }
    p.judgement.answer(i, answer.status, answer.body, "lost");
    if (const auto raised = p.judgement.raised()) alarm(*raised, now, wall);
  }
  if (!due.empty()) return;
  p.asking = false;
  if (const auto head = p.judgement.end()) keep(*head);
  warn(now, wall);
  judge_lag(now, wall);
}

void Gateway::keep(const SignedHead& head) {
  if (!malicious_) truth_.is_witnessed(head.note, disk_.history);
  disk_.witnessed = head.note;
  disk_.all_witnessed += head.note + "\n";
  disk_.names = {disk_.checkpoint()};   // replacing the file syncs the folder
  process_->judgement.witnessed(head.checkpoint.size);
}

void Gateway::alarm(const std::string& words, std::int64_t now, std::int64_t wall) {
  truth_.is_alarmed(words);
  if (malicious_) return;
  disk_.alarm = words;
  disk_.names = {disk_.checkpoint()};
  process_->refusal = words;
  if (process_->closing) return;
  append(Entry(Kind::SinkFailed).text(Field::Reason, words).text(Field::Name, "witnesses"), now, wall);
  sync(now);
}

void Gateway::warn(std::int64_t now, std::int64_t wall) {
  for (const auto& one : process_->judgement.warnings(now)) {
    if (one.words.empty()) continue;
    if (truth_.liar != one.witness) truth_.is_alarmed(one.words);   // a warning has a cause as well
    warned_.insert(one.witness);
    if (malicious_ || process_->closing) continue;
    append(Entry(Kind::SinkFailed).text(Field::Reason, one.words).text(Field::Name, setup_.policy.witnesses[one.witness].key.name), now, wall);
    sync(now);
  }
}

void Gateway::judge_lag(std::int64_t now, std::int64_t wall) {
  const auto lag = process_->judgement.lag(disk_.history.size(), now);
  if (!lag || malicious_ || process_->closing) return;
  process_->refusal = lag->refusal;
  if (!lag->changed) return;
  append(Entry(lag->refusal.empty() ? Kind::SinkRecovered : Kind::SinkFailed).text(Field::Reason, lag->refusal).text(Field::Name, "witnesses"), now, wall);
  sync(now);
}

void Gateway::crash(bool power) {
  if (!process_) return;
  // What was written and not synced may be there or not; nobody was told.
  if (!process_->batch.empty() && random_() % 3 == 0) disk_.append(process_->batch);
  if (power) disk_.names = {disk_.names[random_() % disk_.names.size()]};
  process_.reset();
}

void Gateway::stop(std::int64_t now, std::int64_t wall) {
  if (!process_) return;
  append(Entry(Kind::NodeStop), now, wall);
  sync(now);
  process_->closing = true;
  for (int tries = 0; tries < 4 && !process_->queue.empty(); ++tries) process_->sign_at = 0, sign(now);
}

void Gateway::look(std::int64_t now) {
  if (!process_) return;
  std::size_t good = 0;
  for (std::size_t i = 0; i < setup_.policy.witnesses.size(); ++i) good += truth_.has_cosigned(i) && truth_.is_prefix(i, disk_.history);
  const bool nothing_waits = process_->judgement.witnessed_size() >= disk_.history.size();
  if (good >= setup_.policy.quorum || nothing_waits) process_->exposed_since = now;
}

bool Gateway::edit_below(std::uint64_t size) {
  if (size < 3) return false;
  const auto index = random_() % (size - 1);
  std::uint64_t at = 0;
  for (const auto& segment : disk_.segments)
    for (const auto& batch : segment.batches)
      for (const auto& leaf : batch) {
        if (at++ != index) continue;
        if (read_entry(leaf).value().kind != Kind::AdminAction) return false;
        auto other = leaf;
        other.back() ^= 1;   // of its name
        disk_.edit(index, other);
        return true;
      }
  return false;
}

void Gateway::edit_alive() {
  if (process_ && edit_below(process_->queue.signed_size())) truth_.tampered = malicious_ = true;
}

void Gateway::edit_asleep() {
  if (!process_ && !refused_ && edit_below(notary_.state().history.size())) truth_.tampered = edited_ = true;
}

void Gateway::forge() {
  if (process_ || refused_ || edited_ || !edit_below(disk_.history.size())) return;
  truth_.tampered = truth_.rolled_back = true;
  disk_.names = {notary_.forge()};
  disk_.checkpoints.clear();
  disk_.witnessed.clear();
  disk_.all_witnessed.clear();
}

bool Gateway::settled() const {
  if (!process_) return false;
  const auto size = disk_.history.size();
  return process_->batch.empty() && process_->queue.empty() && process_->judgement.witnessed_size() == size && process_->refusal.empty();
}

}  // namespace sallyport::simulation
