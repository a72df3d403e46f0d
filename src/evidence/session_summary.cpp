#include "evidence/session_summary.h"

#include <ctime>

#include "base/json.h"

namespace sallyport::evidence {
namespace {

constexpr std::uint64_t kAskEvery = 4096;

std::uint64_t masked_in(const StoredEntry& entry) {
  const auto at = entry.fields.find(Field::Masked);
  std::uint64_t total = 0;
  if (at != entry.fields.end())
    if (const auto* counts = std::get_if<std::map<std::string, std::uint64_t>>(&at->second))
      for (const auto& [key, count] : *counts) total += count;
  return total;
}

/// What happens in a session; of one that is over, holds and erasures speak later.
bool within(Kind kind) { return kind == Kind::SessionOpen || kind == Kind::SessionClose || kind == Kind::Command || kind == Kind::Outcome || kind == Kind::Gap; }
bool is_approval(Kind kind) { return kind >= Kind::ApprovalRequested && kind <= Kind::ApprovalUsed; }

void take(SessionSummary& session, const StoredEntry& entry) {
  session.last = entry.wall_ns;
  session.masked += masked_in(entry);
  if (entry.kind == Kind::SessionOpen) {
    session.user = entry.text(Field::Subject);
    session.agent = entry.text(Field::Agent);
    session.target = entry.text(Field::Target);
    session.peer = entry.text(Field::Peer);
    session.software = entry.text(Field::Software);
  } else if (entry.kind == Kind::Command) {
    ++session.commands;
    if (entry.uint(Field::Decision) == static_cast<std::uint64_t>(Decision::Blocked)) ++session.blocked;
    if (entry.uint(Field::Decision) == static_cast<std::uint64_t>(Decision::Held)) ++session.held;
  } else if (entry.kind == Kind::SessionClose) {
    session.state = entry.text(Field::Reason).empty() ? "closed" : entry.text(Field::Reason);
  }
}

bool fits(const SessionSummary& session, const SessionFilter& filter) {
  return session.last >= filter.from && session.begun < filter.to && session.first < filter.before && (filter.user.empty() || session.user == filter.user) &&
         (filter.target.empty() || session.target == filter.target);
}

/// Reads on until the visitor has enough or whoever asked has gone.
Result<void> read(const Reader& reader, const std::function<bool()>& stop, const std::function<bool(const StoredEntry&)>& visit) {
  std::uint64_t seen = 0;
  bool stopped = false;
  TRY_VOID(reader.each([&](const StoredEntry& entry) {
    stopped = stop && ++seen % kAskEvery == 0 && stop();
    return !stopped && visit(entry);
  }));
  if (stopped) return fail(ErrorKind::Unavailable, "reading the log took too long; ask for less, or read the directory");
  return {};
}

}  // namespace

std::string utc_milliseconds(std::int64_t wall_ns) {
  const std::time_t seconds = wall_ns / 1'000'000'000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, wall_ns / 1'000'000 % 1000);
}

std::int64_t utc_from_milliseconds(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* end = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  int milliseconds = 0;
  if (end == nullptr || std::sscanf(end, ".%3dZ", &milliseconds) != 1) return 0;
  return (std::int64_t{::timegm(&parts)} * 1000 + milliseconds) * 1'000'000;
}

std::string to_json(const SessionSummary& one) {
  return fmt::format(R"({{"session":"{}","begun":"{}","last":"{}","user":{},"agent":{},"target":{},"peer":{},"software":{},"commands":{},"blocked":{},"held":{},"masked":{},"state":{}}})",
                     hex(one.id), utc_milliseconds(one.begun), utc_milliseconds(one.last), json::quote(one.user), json::quote(one.agent), json::quote(one.target), json::quote(one.peer),
                     json::quote(one.software), one.commands, one.blocked, one.held, one.masked, json::quote(one.state));
}

Result<SessionPage> sessions_of(const Reader& reader, const SessionFilter& filter) {
  std::map<Id16, SessionSummary> open;               // those without an end so far
  std::map<std::uint64_t, SessionSummary> page;      // by first: the last `limit` that fit
  SessionPage out;
  const auto settle = [&](SessionSummary&& session) {
    if (!fits(session, filter)) return;
    page.emplace(session.first, std::move(session));
    if (page.size() <= filter.limit) return;
    page.erase(page.begin());
    out.more = true;
  };
  TRY_VOID(read(reader, filter.stop, [&](const StoredEntry& entry) {
    if (!entry.session || !within(entry.kind)) return true;
    const auto [at, fresh] = open.try_emplace(*entry.session);
    if (fresh) {
      at->second.id = *entry.session;
      at->second.first = entry.index;
      at->second.begun = entry.wall_ns;
    }
    take(at->second, entry);
    if (entry.kind == Kind::SessionClose) {
      settle(std::move(at->second));
      open.erase(at);
    }
    return true;
  }));
  for (auto& [id, session] : open) settle(std::move(session));
  for (auto& [first, session] : page) out.sessions.push_back(std::move(session));
  return out;
}

Result<Id16> find_session(const Reader& reader, const std::string& prefix, const std::function<bool()>& stop) {
  std::optional<Id16> found;
  bool several = false;
  TRY_VOID(read(reader, stop, [&](const StoredEntry& entry) {
    if (!entry.session || (found && *found == *entry.session) || !hex(*entry.session).starts_with(prefix)) return true;
    several = found.has_value();
    found = entry.session;
    return !several;
  }));
  if (several) return fail(ErrorKind::Denied, "several sessions begin with " + prefix + "; give more of the id");
  if (!found || prefix.empty()) return fail(ErrorKind::Denied, "there is no session " + prefix + "; sallyport sessions ls lists them");
  return *found;
}

Result<void> each_of_session(const Reader& reader, const Id16& session, const std::function<bool(const StoredEntry&, bool own)>& visit, const std::function<bool()>& stop) {
  // What a request for approval says stands before the command that ran on it: the ids are known after a first pass only.
  std::set<std::string> approvals;
  TRY_VOID(read(reader, stop, [&](const StoredEntry& entry) {
    if (entry.kind == Kind::Command && entry.session == session && !entry.text(Field::Approval).empty()) approvals.insert(entry.text(Field::Approval));
    return true;
  }));
  return read(reader, stop, [&](const StoredEntry& entry) {
    const bool own = entry.session == session;
    if (!own && !(is_approval(entry.kind) && approvals.contains(entry.text(Field::Approval)))) return true;
    return visit(entry, own);
  });
}

}  // namespace sallyport::evidence
