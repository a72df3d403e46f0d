#include "verify/rules.h"

#include <algorithm>
#include <bit>

namespace sallyport::verify {

namespace {
constexpr std::size_t kMaxFaults = 100;
}

Rules::Rules(Report& report, const Settings& settings)
    : report_(report), without_payloads_(settings.without_payloads), keys_(settings.keys_directory, settings.key.name) {
  report_.origin = settings.key.name;
  if (!settings.keys_directory.empty() && !keys_.why_not().empty()) report_.notes.push_back("payloads cannot be opened: " + keys_.why_not());
}

void Rules::fault(Fault fault) {
  ++report_.fault_count;
  if (report_.faults.size() < kMaxFaults) report_.faults.push_back(std::move(fault));
}

void Rules::say(std::string code, const Entry& entry, std::string what) {
  fault({std::move(code), describe(entry) + ": " + what, *file_, offset_, entry.index});
}

bool Rules::go_on_from(const Pruned& pruned) {
  pruned_ = true;
  for (const auto& one : pruned.open) {
    auto& session = *session_of(one.id);
    session.entries = one.entries, session.commands = one.commands, session.outcomes = one.outcomes, session.chunks = one.chunks;
    for (const auto index : one.commands_open) session.open_commands.add(index, {});
  }
  before_ = Before{pruned.mono, static_cast<Kind>(pruned.kind), pruned.incarnation};
  ++report_.incarnations;
  if (pruned.epoch.empty()) return true;
  Entry entry;
  if (!read_entry(pruned.epoch, entry).empty() || entry.kind != Kind::KeyEpoch || entry.index >= pruned.first) return false;
  epochs_[*entry.epoch] = {*entry.epoch_key, entry.index, entry.index};
  return true;
}

void Rules::entry(const Entry& entry, const std::string& file, std::uint64_t offset, const Id& segment_incarnation) {
  file_ = &file;
  offset_ = offset;
  incarnation(entry, segment_incarnation);
  report_.veiled_fields += static_cast<unsigned>(std::popcount(entry.veiled));
  if (entry.session) session(entry);
  if (entry.kind >= Kind::ApprovalRequested && entry.kind <= Kind::ApprovalUsed) approval(entry);
  if (entry.kind == Kind::KeyEpoch) epoch(entry);
  if (entry.kind == Kind::Prune) prune(entry);
  before_ = Before{entry.mono, entry.kind, entry.incarnation};
}

void Rules::veiled(const Entry& entry, View record, const Hash& hash) {
  if (record.empty()) return say("veil-missing", entry, "the record with what its veiled fields say is missing");
  if (!std::equal(hash.begin(), hash.end(), entry.veiled_digest)) return say("veil-altered", entry, "the record with what its veiled fields say is not the one that was written");
  if (!keys_.usable()) return;
  bool erased = false;
  const auto fields = static_cast<unsigned>(std::popcount(entry.veiled));
  const auto wrong = keys_.open_veils(entry, record, erased);
  if (erased) report_.erased_fields += fields;
  else if (!wrong.empty()) say("veil-content", entry, wrong);
  else report_.opened_fields += fields;
}

void Rules::incarnation(const Entry& entry, const Id& segment_incarnation) {
  if (entry.incarnation != segment_incarnation) say("incarnation", entry, "it bears another incarnation than its segment");
  const bool fresh = !before_ || before_->incarnation != entry.incarnation;
  if (!fresh) {
    if (entry.mono < before_->mono) say("time", entry, "its monotonic time falls");
    if (recovery_pending_ && entry.kind != Kind::NodeStart) say("incarnation", entry, "node.start is due after recovery");
    if (!recovery_pending_ && entry.kind == Kind::NodeStart) say("incarnation", entry, "a second node.start in one incarnation");
    if (before_->kind == Kind::NodeStop) say("incarnation", entry, "it follows node.stop in the same incarnation");
    recovery_pending_ = false;
    return;
  }
  ++report_.incarnations;
  const bool stopped = !before_ || before_->kind == Kind::NodeStop;
  const Kind due = stopped ? Kind::NodeStart : Kind::Recovery;
  if (entry.kind != due) say("incarnation", entry, std::string("an incarnation begins here, and ") + name_of(due) + " is due");
  recovery_pending_ = entry.kind == Kind::Recovery;
  if (before_ && entry.before != before_->incarnation) say("incarnation", entry, "it does not name the incarnation before it");
  if (!before_ && entry.before) say("incarnation", entry, "the log's first entry names an incarnation before it: the log's beginning is missing");
  if (entry.kind == Kind::Recovery) {
    if (!entry.discarded || (*entry.discarded != 0) != entry.discarded_digest.has_value()) say("recovery", entry, "it does not say what was discarded");
    report_.notes.push_back(describe(entry) + ": the node had not stopped in order; " + std::to_string(entry.discarded.value_or(0)) + " bytes of an unfinished write were discarded");
  }
  if (entry.signed_size && *entry.signed_size > entry.index) say("recovery", entry, "it found a signed head beyond itself");
}

/// Null when it was closed.
Rules::Session* Rules::session_of(const Id& id) {
  if (const auto at = open_.find(id); at != ById::kNone) return &sessions_[at];
  if (closed_.find(id) != ById::kNone) return nullptr;
  if (free_.empty()) free_.push_back(static_cast<std::uint32_t>(sessions_.size())), sessions_.emplace_back(), pending_.emplace_back();
  const auto at = free_.back();
  free_.pop_back();
  open_.add(id, at);
  ++report_.sessions;
  return &sessions_[at];
}

void Rules::session(const Entry& entry) {
  auto* found = session_of(*entry.session);
  if (found == nullptr) return say("session", entry, "its session was closed before");
  auto& session = *found;
  if (entry.sequence != session.entries) say("session-density", entry, "its place in the session is " + std::to_string(entry.sequence) + ", due is " + std::to_string(session.entries));
  ++session.entries;
  switch (entry.kind) {
    case Kind::Command:
      ++session.commands;
      ++report_.commands;
      if (entry.decision == 1) session.open_commands.add(entry.index, {});
      if (entry.decision == 1 && !entry.approval.empty()) {
        const auto used = approvals_.find(entry.approval);
        if (used == approvals_.end() && pruned_) ++older_approvals_, approvals_[std::string(entry.approval)] = {.run = true, .last = entry.index, .older = true};
        else if (used == approvals_.end() || (!used->second.used && !used->second.older)) say("approval", entry, "it ran on an approval that was not used before");
        else if (std::exchange(used->second.run, true) && entry.command != used->second.last) say("approval", entry, "it ran on an approval that had let another command run");
        if (used != approvals_.end()) used->second.last = entry.index;  // its next round names this one
      }
      break;
    case Kind::Outcome:
      ++session.outcomes;
      ++report_.outcomes;
      report_.interrupted += entry.result == 5;
      if (!session.open_commands.take(*entry.command)) say("outcome", entry, "it belongs to entry " + std::to_string(*entry.command) + ", which is no command of its session that waits for one");
      break;
    case Kind::SessionClose: {
      const std::array<std::uint64_t, 4> seen = {session.entries, session.commands, session.outcomes, without_payloads_ ? (*entry.totals)[3] : session.chunks};
      if (!session.open_commands.empty()) say("session-outcomes", entry, "entry " + std::to_string(session.open_commands.first()) + " of the session has no outcome");
      if (*entry.totals != seen) {
        static constexpr const char* kWhat[] = {"entries", "commands", "outcomes", "chunks"};
        for (std::size_t i = 0; i < seen.size(); ++i)
          if ((*entry.totals)[i] != seen[i])
            say("session-totals", entry, std::string("it counts ") + std::to_string((*entry.totals)[i]) + " " + kWhat[i] + " in the session, there are " + std::to_string(seen[i]));
      }
      break;
    }
    default: break;
  }
  if (entry.payload && !without_payloads_) payload(entry, pending_of(session));
  if (entry.kind == Kind::SessionClose) close(*entry.session, session);
}

void Rules::close(const Id& id, Session& session) {
  session.entries = session.commands = session.outcomes = session.chunks = 0;
  session.open_commands.clear();
  pending_of(session).clear();
  free_.push_back(open_.find(id));
  open_.remove(id);
  closed_.add(id, static_cast<std::uint32_t>(closed_.size()));
}

void Rules::approval(const Entry& entry) {
  if (entry.approval.empty()) return say("approval", entry, "it names no approval");
  const bool fresh = !approvals_.contains(entry.approval);
  auto& approval = approvals_[std::string(entry.approval)];
  if (entry.kind == Kind::ApprovalRequested) {
    if (!fresh) say("approval", entry, "it was requested before");
    approval.digest = entry.digest;
    approval.quorum = entry.quorum.value_or(1);
    return;
  }
  if (fresh && pruned_) ++older_approvals_, approval.older = true;
  if (approval.older) return;
  if (fresh) return say("approval", entry, "it was never requested");
  if (approval.digest != entry.digest) say("approval", entry, "it is bound to another command than was requested");
  if (entry.kind == Kind::ApprovalGranted) approval.approvers.insert(approver_of(entry));
  if (entry.kind != Kind::ApprovalUsed) return;
  if (std::exchange(approval.used, true)) say("approval", entry, "it was used before");
  if (approval.approvers.size() < approval.quorum)
    say("approval", entry, "it was used with " + std::to_string(approval.approvers.size()) + " of " + std::to_string(approval.quorum) + " approvers");
}

/// Epochs are announced in order; one whose beginning a crash prevented is announced again.
void Rules::epoch(const Entry& entry) {
  const auto due = epochs_.empty() ? 1 : epochs_.rbegin()->first + 1;
  const auto known = epochs_.find(*entry.epoch);
  if (known != epochs_.end() && *entry.epoch + 1 == due && known->second.key == *entry.epoch_key) known->second.last = entry.index;
  else if (*entry.epoch == due) epochs_[due] = {*entry.epoch_key, entry.index, entry.index};
  else say("epoch", entry, "it announces the key of epoch " + std::to_string(*entry.epoch) + ", due is " + std::to_string(due));
}

void Rules::prune(const Entry& entry) {
  if (!entry.first || !entry.root || !entry.digest || *entry.first == 0 || *entry.first > entry.index) return say("pruned", entry, "it does not say what was pruned");
  prunes_.push_back({entry.index, *entry.first, *entry.root, *entry.digest, describe(entry)});
}

void Rules::chunk(const Id& session, std::uint64_t number, View ciphertext, const Hash* digest, const std::string& file, std::uint64_t offset) {
  const auto name = [&] { return "chunk " + std::to_string(number) + " of session " + hex(View(session).first(4)); };
  auto* of = session_of(session);
  if (of == nullptr) return fault({"session", name() + " stands behind the session's close", file, offset, {}});
  ++of->chunks;
  if (!pending_of(*of).add(number, {ciphertext, digest != nullptr ? std::optional(*digest) : std::nullopt})) fault({"chunk", name() + " is there twice", file, offset, {}});
}

void Rules::payload(const Entry& entry, Chunks& pending) {
  const auto& ref = *entry.payload;
  ++report_.payloads;
  std::vector<View> parts;
  std::optional<Hash> digest;
  Sha256 hash;
  for (std::uint64_t i = 0; i < ref.chunks; ++i) {
    const auto chunk = pending.take(ref.first + i);
    if (!chunk) return say("payload-missing", entry, "chunk " + std::to_string(i + 1) + " of its payload's " + std::to_string(ref.chunks) + " is missing");
    if (ref.chunks == 1) digest = chunk->digest;
    if (!digest) hash.add(chunk->ciphertext);
    if (keys_.usable()) parts.push_back(chunk->ciphertext);
  }
  if (!digest) digest = hash.done();
  if (*digest != ref.ciphertext) return say("payload-altered", entry, "its payload is not the one that was recorded");
  if (!keys_.usable()) return;
  bool erased = false;
  const auto wrong = keys_.open(*entry.session, ref, parts, erased);
  if (erased) ++report_.erased_payloads;
  else if (!wrong.empty()) say("payload-content", entry, wrong);
  else ++report_.opened_payloads;
}

/// Ours are in no order. Those of the list are each there once, for they ascend; when each is one of ours and they are as many, they are all.
bool Rules::same_open_sessions(Cbor& reader) const {
  constexpr std::uint64_t kAhead = 8;
  const auto pass = [](Cbor& list) {
    list.array();
    const auto id = list.bytes();
    for (int i = 0; i < 4; ++i) list.uint();
    for (auto n = list.array(); n > 0; --n) list.uint();
    return id.size() == sizeof(Id) ? fixed<sizeof(Id)>(id, 0) : Id{};
  };
  const auto count = reader.array();
  if (count != open_.size()) return false;
  Id before{};
  auto far = reader, near = reader;
  for (std::uint64_t i = 0, f = 0, n = 0; i < count; ++i) {
    for (; f < count && f < i + kAhead; ++f) open_.expect(pass(far));
    for (; n < count && n < i + kAhead / 2; ++n) expect_soon(pass(near));
    if (reader.array() != 6) return false;
    const auto bytes = reader.bytes();
    if (bytes.size() != sizeof(Id)) return false;
    const auto id = fixed<sizeof(Id)>(bytes, 0);
    const auto at = open_.find(id);
    if (at == ById::kNone || (i > 0 && id <= before)) return false;
    before = id;
    const auto& session = sessions_[at];
    if (reader.uint() != session.entries || reader.uint() != session.commands || reader.uint() != session.outcomes || reader.uint() != session.chunks) return false;
    if (reader.array() != session.open_commands.size()) return false;
    bool same = true;
    session.open_commands.each([&](std::uint64_t index) { same = same && reader.uint() == index; });
    if (!same) return false;
  }
  return reader.ok() && reader.at_end();
}

void Rules::finish() {
  report_.open_sessions = open_.size();
  note_veils(report_);
  if (older_approvals_ > 0) report_.notes.push_back(std::to_string(older_approvals_) + " approvals were requested in what is pruned: their rules cannot be judged");
  if (report_.open_sessions > 0) report_.notes.push_back(std::to_string(report_.open_sessions) + " sessions are open at the log's end");
}

}  // namespace sallyport::verify
