#include "verify/pack_story.h"

#include <algorithm>

#include "verify/cbor.h"
#include "verify/veil.h"

namespace sallyport::verify {
namespace {

constexpr std::size_t kMostApprovals = 5000;

/// Long texts would make a report of megabytes out of a few entries.
std::string cut(std::string_view text, std::size_t most) {
  if (text.size() <= most) return std::string(text);
  auto n = most;
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0) == 0x80) --n;
  return std::string(text.substr(0, n)) + "\xE2\x80\xA6";
}

std::string texts_of(View cbor) {
  std::string out;
  Cbor reader(cbor);
  if (cbor.empty()) return out;
  const auto n = reader.array();
  for (std::uint64_t i = 0; reader.ok() && i < n; ++i) out += (i == 0 ? "" : ", ") + std::string(reader.text());
  return cut(out, 400);
}

std::string counts_of(View cbor, std::uint64_t& sum) {
  std::string out;
  Cbor reader(cbor);
  if (cbor.empty()) return out;
  const auto n = reader.map();
  for (std::uint64_t i = 0; reader.ok() && i < n; ++i) {
    const std::string key(reader.text());
    const auto count = reader.uint();
    sum += count;
    out += (i == 0 ? "" : ", ") + key + " x" + std::to_string(count);
  }
  return cut(out, 400);
}

void introduce(SessionStory& session, const Entry& entry) {
  session.known = true;
  session.opened_wall = entry.wall;
  session.subject = cut(entry.subject, 200);
  session.issuer = cut(entry.issuer, 200);
  session.agent = cut(entry.agent, 200);
  session.target = cut(entry.target, 200);
  session.peer = cut(entry.peer, 100);
  session.protocol = cut(entry.protocol, 60);
  session.software = cut(entry.software, 200);
  session.hidden = entry.hidden;
}

}  // namespace

void PackStory::feature(const char* name, std::uint64_t index) {
  auto& one = features_[name];
  if (one.count++ == 0) one.first = index;
  one.last = index;
}

void PackStory::fields(const Entry& entry, bool sealed) {
  for (std::size_t i = 0, clear = clear_fields(entry); clear != 0; ++i, clear >>= 1)
    if ((clear & 1) != 0 && !clear_[i]) clear_[i] = entry.index;
  if (entry.veiled == 0) return;
  veils_ = true;
  auto& counts = entry.session ? fields_[*entry.session] : node_fields_;
  for (std::size_t i = 0; i < kVeilable.size(); ++i)
    if ((entry.veiled >> i & 1) != 0) ++(sealed ? counts.sealed : (entry.hidden >> i & 1) != 0 ? counts.hidden : counts.opened)[i];
}

void PackStory::context(const Entry& entry) {
  fields(entry, false);
  if (entry.kind == Kind::SessionOpen) introduce(before_[*entry.session], entry);
  else if (entry.policy) context_policies_.insert(*entry.policy);
}

SessionStory& PackStory::session_of(const Entry& entry) {
  const auto [at, fresh] = place_.try_emplace(*entry.session, static_cast<std::uint32_t>(sessions_.size()));
  if (!fresh) return sessions_[at->second];
  auto& session = sessions_.emplace_back();
  if (const auto known = before_.find(*entry.session); known != before_.end() && entry.sequence != 0) session = known->second;
  session.id = *entry.session;
  session.first = entry.index;
  session.next = entry.sequence;
  if (sessions_.size() > kMostSessionsShown) session.subject = session.issuer = session.agent = session.target = session.peer = session.protocol = session.software = "";
  return session;
}

void PackStory::disclosed(const Entry& entry, bool sealed) {
  ++disclosed_;
  fields(entry, sealed);
  ++kinds_[name_of(entry.kind)];
  feature(name_of(entry.kind), entry.index);
  if (entry.policy) policies_.insert(*entry.policy);
  if (entry.kind == Kind::Recovery || entry.kind == Kind::Gap)
    if (gaps_.size() < kMostGaps) gaps_.push_back(entry.index);
  if (entry.payload) feature("payload", entry.index);
  if (!entry.session) {
    if (entry.kind >= Kind::ApprovalRequested && entry.kind <= Kind::ApprovalUsed) approval(entry);
    else if (entry.kind != Kind::Heartbeat) event(entry);
    return;
  }
  auto& session = session_of(entry);
  if (entry.payload && payloads_.size() <= kMostPayloads) {
    const auto& ref = *entry.payload;
    const bool opened = asked_ != nullptr && disposition_of(*asked_, entry.index, false) == Disposition::Opened;
    payloads_.push_back({entry.index, ref.first | (ref.chunks - 1), ref.bytes, static_cast<std::uint32_t>(&session - sessions_.data()), opened ? ref.commitment : ref.ciphertext});
    if (asked_ == nullptr) commitments_.push_back(ref.commitment);
  }
  session.last = entry.index;
  ++session.entries;
  if (entry.sequence != session.next) session.dense = false;
  session.next = entry.sequence + 1;
  switch (entry.kind) {
    case Kind::SessionOpen:
      session.opened = entry.sequence == 0;
      introduce(session, entry);
      if (sessions_.size() > kMostSessionsShown) session.subject = session.issuer = session.agent = session.target = session.peer = session.protocol = session.software = "";
      break;
    case Kind::SessionClose:
      session.closed = true;
      session.closed_wall = entry.wall;
      if (sessions_.size() <= kMostSessionsShown) session.reason = cut(entry.reason, 200);
      break;
    case Kind::Command: command(entry, session); break;
    case Kind::Outcome: outcome(entry, session); break;
    default: event(entry);
  }
}

void PackStory::command(const Entry& entry, SessionStory& session) {
  ++session.commands;
  if (entry.decision == 2) ++session.blocked, feature("blocked", entry.index);
  if (entry.decision == 3) ++session.held, feature("held", entry.index);
  std::uint64_t masked = 0;
  const auto words = counts_of(entry.masked, masked);
  if (masked > 0) session.masked += masked, feature("masking", entry.index);
  if (commands_.size() >= kMostRows) return;
  auto& row = commands_.emplace_back();
  row.index = entry.index;
  row.wall = entry.wall;
  row.decision = entry.decision;
  row.session = static_cast<std::size_t>(&session - sessions_.data());
  row.action = cut(entry.action, 120);
  row.object = cut(entry.object, 300);
  row.request = cut(entry.request, 80);
  row.approval = cut(entry.approval, 80);
  row.reason = cut(entry.reason, 300);
  row.rules = texts_of(entry.rules);
  row.masked = words;
  row.payload = entry.payload.has_value();
  row.hidden = entry.hidden & static_cast<std::uint8_t>(~kErrorField);
  if (entry.decision == 1) waiting_[entry.index] = commands_.size() - 1;
}

void PackStory::outcome(const Entry& entry, SessionStory& session) {
  std::uint64_t masked = 0;
  const auto words = counts_of(entry.masked, masked);
  if (masked > 0) session.masked += masked, feature("masking", entry.index);
  const auto at = waiting_.find(*entry.command);
  if (at == waiting_.end() || sessions_[commands_[at->second].session].id != session.id) return;
  auto& row = commands_[at->second];
  waiting_.erase(at);
  row.outcome = entry.index;
  row.result = entry.result;
  row.items = entry.items;
  row.sent = entry.sent;
  row.duration = entry.duration;
  row.error = cut(entry.error, 300);
  row.hidden |= entry.hidden & kErrorField;
  row.answer = entry.payload.has_value();
  if (!words.empty()) row.masked += (row.masked.empty() ? "" : ", ") + words;
}

void PackStory::approval(const Entry& entry) {
  feature("approval", entry.index);
  if (approvals_.size() >= kMostApprovals && approvals_.find(entry.approval) == approvals_.end()) return;
  auto& one = approvals_[std::string(entry.approval)];
  one.state = name_of(entry.kind) + std::string_view("approval.").size();
  if (entry.kind == Kind::ApprovalRequested) {
    one.requester = cut(entry.subject, 200);
    one.reason = cut(entry.reason, 300);
    one.reason_hidden = (entry.hidden & kReasonField) != 0;
  }
  // A refusal without an approver is a withdrawal, and access by break-glass was granted by nobody.
  if ((entry.kind == Kind::ApprovalGranted || entry.kind == Kind::ApprovalDenied) && !entry.approver.empty())
    if (one.approvers.size() < 20) one.approvers.push_back(cut(entry.approver, 200));
}

void PackStory::event(const Entry& entry) {
  ++event_count_;
  if (events_.size() >= kMostEvents) return;
  auto& row = events_.emplace_back();
  row.index = entry.index;
  row.wall = entry.wall;
  row.kind = entry.kind;
  row.subject = cut(entry.subject, 200);
  row.hidden = entry.hidden;
  for (const auto part : {entry.action, entry.object, entry.name, entry.reason, entry.peer})
    if (!part.empty()) row.what += (row.what.empty() ? "" : ", ") + cut(part, 200);
  if (entry.policy) row.what += (row.what.empty() ? "policy " : ", policy ") + hex(View(*entry.policy).first(8));
  if (entry.kind == Kind::Recovery) row.what += (row.what.empty() ? "" : ", ") + std::to_string(entry.discarded.value_or(0)) + " bytes of an unfinished write discarded";
}

std::vector<std::string> PackStory::needless_contexts() const {
  std::vector<std::string> out;
  for (const auto& [id, session] : before_) {
    const auto at = place_.find(id);
    if (at == place_.end() || sessions_[at->second].opened) out.push_back("session.open of session " + hex(View(id).first(4)));
  }
  for (const auto& policy : context_policies_)
    if (policies_.count(policy) == 0) out.push_back("config.applied of policy " + hex(View(policy).first(8)));
  std::sort(out.begin(), out.end());
  return out;
}

template <class Visit>
void PackStory::each_fields(const Manifest& manifest, Visit visit) const {
  std::set<Id> erased;
  for (const auto& one : manifest.sessions)
    if (one.erased) erased.insert(one.id);
  visit(node_fields_, false);
  for (const auto& [id, counts] : fields_) visit(counts, erased.count(id) != 0);
}

std::string PackStory::misplaced_fields(const Manifest& m) const {
  const auto withheld = withheld_of(m.query);
  const bool sealed = m.query.fields == "sealed";
  for (std::size_t i = 0; i < kVeilable.size(); ++i)
    if ((withheld >> i & 1) != 0 && clear_[i]) return "the question withholds " + std::string(field_name(i)) + ", and entry " + std::to_string(*clear_[i]) + " has it in clear text";
  std::string why;
  each_fields(m, [&](const Fields& one, bool erased) {
    for (std::size_t i = 0; i < kVeilable.size() && why.empty(); ++i) {
      const bool kept = (withheld >> i & 1) != 0;
      if (one.opened[i] != 0 && (kept || sealed)) why = std::string(field_name(i)) + " is opened, and the question withholds it";
      else if (one.sealed[i] != 0 && !sealed) why = std::string(field_name(i)) + " is sealed, and the question did not ask for that";
      else if (one.hidden[i] != 0 && (sealed || (!kept && !erased))) why = std::string(field_name(i)) + " is hidden, and neither withheld by the question nor of a session that was erased";
    }
  });
  return why;
}

void PackStory::fill(Manifest& m) const {
  const auto count = [&](const char* kind) { const auto at = kinds_.find(kind); return at == kinds_.end() ? 0 : at->second; };
  m.commands = count("command");
  m.outcomes = count("outcome");
  m.disclosed = disclosed_;
  m.withheld = withheld_;
  m.kinds = kinds_;
  m.gaps = gaps_;
  std::set<Id> erased;
  for (const auto& one : m.sessions)
    if (one.erased) erased.insert(one.id);
  m.format = veils_ || !m.query.withhold.empty() ? kPackFormatVeiled : kPackFormat;
  m.fields_erased = m.fields_opened = m.fields_sealed = m.fields_withheld = 0;
  each_fields(m, [&, kept = withheld_of(m.query)](const Fields& one, bool) {
    for (std::size_t i = 0; i < kVeilable.size(); ++i) {
      m.fields_opened += one.opened[i];
      m.fields_sealed += one.sealed[i];
      ((kept >> i & 1) != 0 ? m.fields_withheld : m.fields_erased) += one.hidden[i];
    }
  });
  m.sessions.clear();
  for (const auto& one : sessions_) m.sessions.push_back({one.id, one.entries, one.complete(), erased.count(one.id) != 0});
  m.erased = m.none = m.opened = m.sealed = 0;
  for (const auto& one : payloads_) {
    switch (disposition_of(m.query, one.index, m.sessions[one.session].erased)) {
      case Disposition::None: ++m.none; break;
      case Disposition::Sealed: ++m.sealed; break;
      case Disposition::Opened: ++m.opened; break;
      case Disposition::Erased: ++m.erased; break;
    }
  }
}

}  // namespace sallyport::verify
