#include "evidence/keeping.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "base/json.h"
#include "evidence/names.h"
#include "evidence/reader.h"
#include "evidence/session_keys.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kLongestBasis = 1024;

/// An entry of this kind with who asked; its setters go on behind Field::Peer.
Entry entry_of(Kind kind, const Keeper& who) {
  Entry entry(kind);
  entry.text(Field::RequestId, who.request_id).text(Field::Subject, who.subject).text(Field::Issuer, who.issuer).text(Field::Agent, who.agent).text(Field::Peer, who.peer);
  return entry;
}

Result<void> check_basis(const std::string& basis) {
  if (basis.empty()) return fail(ErrorKind::Malformed, "a basis is needed: the rule, order or request that this is done for");
  if (basis.size() > kLongestBasis) return fail(ErrorKind::Malformed, "the basis is longer than 1024 bytes");
  return {};
}

Result<void> remove_file(const std::string& path) {
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? Result<void>{} : system_failure("cannot remove " + path, errno);
}

std::string json_of(const Holds::Hold& one) {
  auto out = fmt::format(R"({{"index":{},"since":{},"basis":{})", one.index, json::quote(utc_text(one.wall_ns)), json::quote(one.basis));
  if (one.session) out += fmt::format(R"(,"session":"{}")", hex(*one.session));
  if (one.from_ns != 0) out += ",\"from\":" + json::quote(utc_text(one.from_ns));
  if (one.to_ns != INT64_MAX) out += ",\"to\":" + json::quote(utc_text(one.to_ns));
  return out + "}";
}

std::string json_of(const PrunePlan& plan, bool done) {
  std::string classes, carried, blocks;
  for (const auto& [name, share] : plan.classes)
    classes += fmt::format(R"({}{{"class":{},"sessions":{},"entries":{}}})", classes.empty() ? "" : ",", json::quote(name), share.sessions, share.entries);
  for (const auto& one : plan.carried) carried += fmt::format("{}\"{}\"", carried.empty() ? "" : ",", hex(one.id));
  for (const auto& why : plan.blocks) blocks += (blocks.empty() ? "" : ",") + json::quote(why);
  return fmt::format(R"({{"done":{},"first":{},"segments":{},"entries":{},"bytes":{},"sessions":{},"keys":{},"classes":[{}],"carried":[{}],"blocks":[{}]}})", done,
                     plan.pruned ? plan.pruned->first() : plan.first_now, plan.segments, plan.entries, plan.bytes, plan.sessions, plan.ended.size(), classes, carried, blocks);
}

/// A bound as the entry will have it, or what is wrong with it.
Result<std::string> bound(const std::string& text, const char* name) {
  if (text.empty()) return text;
  const auto ns = held_time(text);
  if (!ns || *ns <= 0) return fail(ErrorKind::Malformed, std::string(name) + " is a time in UTC such as 2026-11-20 or 2026-11-20T10:00:00Z");
  return utc_text(*ns);
}

}  // namespace

std::optional<Id16> session_of(std::string_view text) {
  const auto bytes = from_hex(text);
  Id16 out{};
  if (!bytes || bytes->size() != out.size()) return std::nullopt;
  std::ranges::copy(*bytes, out.begin());
  return out;
}

Keeping::Keeping(Log& log, std::string directory, std::string origin, bool witnessed, Carry carry)
    : log_(log), view_(std::move(directory)), origin_(std::move(origin)), witnessed_(witnessed), carry_(std::move(carry)) {}

void Keeping::terms(RetentionTerms terms) {
  const std::lock_guard lock(mutex_);
  terms_ = std::move(terms);
}

boost::asio::awaitable<Result<std::string>> Keeping::run(Work work) {
  auto task = [](Keeping& self, Work what) -> boost::asio::awaitable<Result<std::string>> { co_return what(self); };
  co_return co_await boost::asio::co_spawn(pool_, task(*this, std::move(work)), boost::asio::use_awaitable);
}

Result<void> Keeping::wait_signed(std::uint64_t index) const {
  // A head is due within 100 ms; nothing tells a thread of it.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (log_.status().signed_size <= index) {
    if (std::chrono::steady_clock::now() > until) return fail(ErrorKind::Unavailable, fmt::format("entry {} is under no signed head yet: {}", index, log_.status().why_not));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return {};
}

Result<void> Keeping::follow() {
  const auto size = log_.status().size;
  return holds_.follow(view_, size);
}

/// From the log's end backwards, up to where the session began.
Result<Keeping::Life> Keeping::life_of(const Id16& session) {
  if (const auto size = log_.status().size; size > 0) TRY_VOID(wait_signed(size - 1));
  Life out;
  TRY_VOID(view_.each_segment_backwards([&](std::uint64_t first, std::uint64_t count) -> Result<bool> {
    bool begun = false;
    TRY_VOID(view_.entries(first, count, [&](std::uint64_t, ByteView leaf) {
      const auto facts = read_entry(leaf);
      if (!facts || !facts->has_session || facts->session != session) return;
      out.any = true;
      begun = begun || facts->sequence == 0;
      out.closed = out.closed || facts->kind == Kind::SessionClose;
      if (!holds_.any_of_time()) return;
      const auto entry = decode_entry(leaf);
      out.held_time = out.held_time || (entry && holds_.of_time(entry->wall_ns));
    }));
    return !begun;
  }));
  return out;
}

Result<std::string> Keeping::erase(const Keeper& who, const Id16& session, const std::string& basis) {
  TRY_VOID(check_basis(basis));
  TRY_VOID(follow());
  TRY(const auto keys, StoredKeys::open(view_.directory(), ""));
  if (!keys.has(session)) return fail(ErrorKind::Denied, "there is no session " + hex(session) + " whose payloads have a key here");
  if (keys.erased(session)) return fail(ErrorKind::Denied, "the key of session " + hex(session) + " was erased before");
  TRY(const auto life, life_of(session));
  if (life.any && !life.closed) return fail(ErrorKind::Denied, "session " + hex(session) + " is open; it can be erased when it has ended");
  if (holds_.of_session(session) || life.held_time) return fail(ErrorKind::Denied, "session " + hex(session) + " is held; sallyport evidence holds shows by what");
  // The entry comes first; should the process end between it and the key's end, this file has the next start do it.
  const auto pending = view_.directory() + "/keys/erasing";
  TRY_VOID(replace_file(pending, as_bytes(fmt::format("{} {}\n", hex(session), log_.status().size))));
  auto entry = entry_of(Kind::Erase, who);
  entry.text(Field::Reason, basis).bytes(Field::RelatedSession, session);
  const auto index = log_.append_wait(std::move(entry));
  // Refused, it can still turn up in the log if the process ends now: the next start looks.
  if (!index) return std::unexpected(index.error());
  TRY([[maybe_unused]] const bool found, erase_session_key(view_.directory(), session));
  TRY_VOID(remove_file(pending));
  return fmt::format(R"({{"session":"{}","index":{}}})", hex(session), *index);
}

Result<std::string> Keeping::erase_person(const Keeper& who, const std::string& name, const std::string& basis) {
  TRY_VOID(check_basis(basis));
  TRY(const auto names, load_names(view_.directory(), origin_));
  const auto kept_as = [&](const std::string& value) { return std::ranges::find(names, value, [](const auto& one) { return one.second.value; }); };
  auto known = kept_as(kept_name(name));
  if (known == names.end()) known = kept_as(name);   // a long one, as entries show it
  if (known == names.end()) return fail(ErrorKind::Denied, "no entry names such a person, or the name was erased before");
  const auto pending = view_.directory() + "/keys/erasing";
  TRY_VOID(replace_file(pending, as_bytes(fmt::format("{} {}\n", known->first, log_.status().size))));
  auto entry = entry_of(Kind::Erase, who);
  entry.text(Field::Reason, basis).text(Field::Name, known->first);
  const auto index = log_.append_wait(std::move(entry));
  if (!index) return std::unexpected(index.error());
  log_.forget(known->second.value);
  TRY([[maybe_unused]] const bool found, erase_pseudonym(view_.directory(), known->first));
  TRY_VOID(remove_file(pending));
  return fmt::format(R"({{"person":"{}","index":{}}})", known->first, *index);
}

/// What a prune was to erase: it was, or is now, when its file came to stand; else the prune did not happen.
Result<void> Keeping::finish_prune() {
  const auto path = view_.directory() + "/keys/pruning";
  if (::access(path.c_str(), F_OK) != 0) return {};
  TRY(const auto bytes, read_file(path));
  const std::string text(as_text(bytes));
  const auto damaged = fail(ErrorKind::Malformed, path + " is damaged: restore it, or remove it; the keys of the sessions in it then stay");
  std::vector<Id16> sessions;
  auto at = text.find('\n');
  if (at == std::string::npos || at == 0 || text.find_first_not_of("0123456789") != at) return damaged;
  const auto first = std::strtoull(text.c_str(), nullptr, 10);
  for (++at; at < text.size(); at += 33) {
    const auto session = text.size() - at >= 33 && text[at + 32] == '\n' ? session_of(std::string_view(text).substr(at, 32)) : std::nullopt;
    if (!session) return damaged;
    sessions.push_back(*session);
  }
  std::ranges::sort(sessions);
  TRY(const auto pruned, read_pruned(view_.directory()));
  if (pruned && pruned->first() >= first) {
    TRY([[maybe_unused]] const bool found, erase_session_keys(view_.directory(), sessions));
  }
  return remove_file(path);
}

Result<void> Keeping::finish() {
  TRY_VOID(finish_prune());
  const auto path = view_.directory() + "/keys/erasing";
  if (::access(path.c_str(), F_OK) != 0) return {};
  TRY(const auto bytes, read_file(path));
  const std::string text(as_text(bytes));
  const auto what = text.substr(0, text.find(' '));
  const auto session = session_of(what);
  if ((!session && !is_pseudonym(what)) || text.back() != '\n') return fail(ErrorKind::Malformed, path + " is damaged: restore it, or remove it and erase again what was to be erased");
  TRY(const auto kept, view_.first());
  const auto from = std::max<std::uint64_t>(kept, std::strtoull(text.c_str() + what.size() + 1, nullptr, 10)), size = log_.status().size;
  bool on_record = false;
  if (from < size) {
    TRY_VOID(view_.entries(from, size - from, [&](std::uint64_t, ByteView leaf) {
      const auto facts = read_entry(leaf);
      if (!facts || facts->kind != Kind::Erase) return;
      const auto entry = decode_entry(leaf);
      if (!entry) return;
      const auto at = entry->fields.find(Field::RelatedSession);
      on_record = on_record || (session ? at != entry->fields.end() && std::ranges::equal(std::get<Bytes>(at->second), *session) : entry->text(Field::Name) == what);
    }));
  }
  if (on_record && session) {
    TRY([[maybe_unused]] const bool found, erase_session_key(view_.directory(), *session));
  } else if (on_record) {
    TRY([[maybe_unused]] const bool found, erase_pseudonym(view_.directory(), what));
  }
  return remove_file(path);
}

Result<std::string> Keeping::hold(const Keeper& who, const HoldBounds& what, const std::string& basis, bool release) {
  TRY_VOID(check_basis(basis));
  if (what.session.has_value() == (!what.from.empty() || !what.to.empty())) return fail(ErrorKind::Malformed, "name a session, or from and to, or one of them");
  TRY(const auto from, bound(what.from, "from"));
  TRY(const auto to, bound(what.to, "to"));
  if (!from.empty() && !to.empty() && from >= to) return fail(ErrorKind::Malformed, "from is not before to");
  TRY_VOID(follow());
  const auto same = [&](const Holds::Hold& one) {
    return one.session == what.session && one.from_ns == (from.empty() ? 0 : *held_time(from)) && one.to_ns == (to.empty() ? INT64_MAX : *held_time(to));
  };
  const bool there = std::ranges::any_of(holds_.all(), same);
  if (release && !there) return fail(ErrorKind::Denied, "there is no such hold; sallyport evidence holds lists them, with the bounds to release");
  if (!release && what.session) {
    TRY(const auto life, life_of(*what.session));
    if (!life.any) return fail(ErrorKind::Denied, "there is no session " + hex(*what.session));
  }
  auto entry = entry_of(Kind::Hold, who);
  std::map<std::string, std::string> facts;
  if (!from.empty()) facts["from"] = from;
  if (!to.empty()) facts["to"] = to;
  if (!facts.empty()) entry.map(Field::Facts, facts);
  entry.text(Field::Reason, basis).text(Field::Name, release ? "release" : "hold");
  if (what.session) entry.bytes(Field::RelatedSession, *what.session);
  TRY(const auto index, log_.append_wait(std::move(entry)));
  return fmt::format(R"({{"index":{}}})", index);
}

Result<std::string> Keeping::holds() {
  TRY_VOID(follow());
  std::string out;
  for (const auto& one : holds_.all()) out += (out.empty() ? "" : ",") + json_of(one);
  return "{\"holds\":[" + out + "]}";
}

Result<std::string> Keeping::prune(const Keeper& who, const std::string& basis, bool dry_run) {
  RetentionTerms terms;
  {
    const std::lock_guard lock(mutex_);
    terms = terms_;
  }
  if (const auto size = log_.status().size; size > 0) TRY_VOID(wait_signed(size - 1));
  TRY_VOID(follow());
  auto covered = log_.status().signed_size;
  if (witnessed_) {
    // What a witness has not seen it could never follow any more.
    const auto head = read_head(view_.directory() + "/checkpoint.witnessed");
    covered = head ? std::min(covered, head->checkpoint.size) : 0;
  }
  TRY(const auto plan, plan_prune(view_.directory(), terms, holds_, covered, system_clock().wall_ns()));
  if (dry_run) return json_of(plan, false);
  TRY_VOID(check_basis(basis));
  if (plan.pruned) TRY_VOID(carry_out(who, basis, plan));
  TRY_VOID(drop_released(plan));
  return json_of(plan, plan.pruned.has_value());
}

Result<void> Keeping::carry_out(const Keeper& who, const std::string& basis, const PrunePlan& plan) {
  for (const auto& session : plan.carried) TRY_VOID(carry_(session));
  for (const auto& hold : plan.again) {
    auto entry = entry_of(Kind::Hold, who);
    std::map<std::string, std::string> facts = {{"again", std::to_string(hold.index)}};
    if (hold.from_ns != 0) facts["from"] = utc_text(hold.from_ns);
    if (hold.to_ns != INT64_MAX) facts["to"] = utc_text(hold.to_ns);
    entry.map(Field::Facts, facts).text(Field::Reason, hold.basis).text(Field::Name, "hold");
    if (hold.session) entry.bytes(Field::RelatedSession, *hold.session);
    TRY([[maybe_unused]] const auto index, log_.append_wait(std::move(entry)));
  }
  const auto bytes = encode_pruned(*plan.pruned);
  const auto digest = sha256(bytes), root = plan.pruned->tree().root();
  auto entry = entry_of(Kind::Prune, who);
  entry.text(Field::Reason, basis).bytes(Field::Digest, digest).uint(Field::First, plan.pruned->first()).bytes(Field::Root, root);
  TRY(const auto index, log_.append_wait(std::move(entry)));
  TRY_VOID(wait_signed(index));
  // Before it counts: should the process end in the middle, the next start erases what is named here.
  auto ended = fmt::format("{}\n", plan.pruned->first());
  for (const auto& session : plan.ended) ended += hex(session) + "\n";
  TRY_VOID(replace_file(view_.directory() + "/keys/pruning", as_bytes(ended)));
  TRY_VOID(replace_file(view_.directory() + "/pruned", bytes));
  TRY_VOID(finish_prune());
  return remove_pruned_segments(view_.directory(), plan.pruned->first());
}

/// What was carried out of the log for a hold goes with it, and the payload key as well when nothing is left in the log.
Result<void> Keeping::drop_released(const PrunePlan& plan) {
  TRY_VOID(follow());
  std::error_code error;
  std::vector<std::string> packs;
  std::vector<Id16> ended;
  for (const auto& item : std::filesystem::directory_iterator(view_.directory() + "/held", error)) {
    const auto id = session_of(item.path().stem().string());
    if (!id || item.path().extension() != ".zip" || holds_.of_session(*id)) continue;
    packs.push_back(item.path().string());
    if (!std::ranges::binary_search(plan.kept, *id)) ended.push_back(*id);
  }
  std::ranges::sort(ended);
  // The keys first: a pack that is still there is found again.
  if (!ended.empty()) {
    TRY([[maybe_unused]] const bool found, erase_session_keys(view_.directory(), ended));
  }
  for (const auto& pack : packs) TRY_VOID(remove_file(pack));
  return {};
}

}  // namespace sallyport::evidence
