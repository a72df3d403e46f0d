#include "verify/pack_rules.h"

#include <utility>

namespace sallyport::verify {
namespace {
constexpr std::size_t kMostLater = 100;
}

void PackRules::say(const char* code, const Entry& entry, const std::string& what) { say_({code, describe(entry) + ": " + what, "", {}, entry.index}); }

void PackRules::later(const char* code, const Entry& entry, const std::string& what) {
  if (later_.size() < kMostLater) later_.push_back({code, describe(entry) + ": " + what, "", {}, entry.index});
}

void PackRules::entry(const Entry& entry) {
  if (incarnation_ == entry.incarnation && entry.mono < mono_) say("time", entry, "its monotonic time falls");
  incarnation_ = entry.incarnation;
  mono_ = entry.mono;
  if (entry.session) session(entry);
  if (entry.kind >= Kind::ApprovalRequested && entry.kind <= Kind::ApprovalUsed) approval(entry);
}

void PackRules::session(const Entry& entry) {
  const auto [at, fresh] = sessions_.try_emplace(*entry.session);
  auto& session = at->second;
  if (fresh) {
    session.from_start = entry.sequence == 0;
    session.next = entry.sequence;
  }
  if (session.closed) return say("session", entry, "its session was closed before");
  if (entry.sequence < session.next) say("session-density", entry, "its place in the session is " + std::to_string(entry.sequence) + ", due is " + std::to_string(session.next));
  if (entry.sequence > session.next) {
    session.dense = false;
    later("session-incomplete", entry, "its place in the session is " + std::to_string(entry.sequence) + ", due is " + std::to_string(session.next) + ": what lies between is withheld");
  }
  session.next = entry.sequence + 1;
  ++session.entries;
  if (entry.kind == Kind::Command) command(entry, session);
  if (entry.kind == Kind::Outcome) outcome(entry, session);
  if (entry.kind == Kind::SessionClose) close(entry, session);
}

void PackRules::command(const Entry& entry, Session& session) {
  ++session.commands;
  if (entry.decision != 1) return;
  session.open_commands.insert(entry.index);
  if (entry.approval.empty()) return;
  const auto known = approvals_.find(entry.approval);
  if (known == approvals_.end()) return;  // requested and used where we cannot look
  if (!known->second.used && known->second.quorum) later("approval", entry, "it ran on an approval that was not used before");
  // Another round of a command names the one before.
  if (std::exchange(known->second.run, true) && entry.command != known->second.last) say("approval", entry, "it ran on an approval that had let another command run");
  known->second.last = entry.index;
}

void PackRules::outcome(const Entry& entry, Session& session) {
  ++session.outcomes;
  const auto command = *entry.command;
  if (command >= entry.index) return say("outcome", entry, "it belongs to entry " + std::to_string(command) + ", which does not come before it");
  if (session.open_commands.erase(command) != 0 || command < first_) return;
  later("outcome", entry, "it belongs to entry " + std::to_string(command) + ", which is no command of its session that waits for one");
}

void PackRules::close(const Entry& entry, Session& session) {
  session.closed = true;
  if (session.dense && session.from_start) {
    const std::array<std::uint64_t, 3> seen = {session.entries, session.commands, session.outcomes};
    static constexpr const char* kWhat[] = {"entries", "commands", "outcomes"};
    for (std::size_t i = 0; i < seen.size(); ++i)
      if ((*entry.totals)[i] != seen[i])
        say("session-totals", entry, "it counts " + std::to_string((*entry.totals)[i]) + " " + kWhat[i] + " in the session, there are " + std::to_string(seen[i]));
    if (!session.open_commands.empty()) say("session-outcomes", entry, "entry " + std::to_string(*session.open_commands.begin()) + " of the session has no outcome");
  } else if ((*entry.totals)[0] != entry.sequence + 1) {
    say("session-totals", entry, "it counts " + std::to_string((*entry.totals)[0]) + " entries and is itself number " + std::to_string(entry.sequence));
  }
  session.open_commands.clear();
}

void PackRules::approval(const Entry& entry) {
  if (entry.approval.empty()) return say("approval", entry, "it names no approval");
  const auto [at, fresh] = approvals_.try_emplace(std::string(entry.approval));
  auto& approval = at->second;
  if (entry.kind == Kind::ApprovalRequested) {
    if (!fresh) say("approval", entry, "it was requested before");
    approval.quorum = entry.quorum.value_or(1);
  }
  if (fresh) approval.digest = entry.digest;
  else if (approval.digest != entry.digest) say("approval", entry, "it is bound to another command than before");
  if (entry.kind == Kind::ApprovalGranted) approval.approvers.insert(approver_of(entry));
  if (entry.kind != Kind::ApprovalUsed) return;
  if (std::exchange(approval.used, true)) say("approval", entry, "it was used before");
  if (approval.quorum && approval.approvers.size() < *approval.quorum)
    later("approval", entry, "it was used with " + std::to_string(approval.approvers.size()) + " of " + std::to_string(*approval.quorum) + " approvers");
}

void PackRules::finish(bool whole) {
  if (!whole) return;
  for (auto& one : later_) say_(std::move(one));
}

}  // namespace sallyport::verify
