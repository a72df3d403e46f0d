#pragma once
// What happened in sessions, in a line each, and one session's own entries: one pass over a log, in memory that grows with the sessions
// that are open at a time and with what is asked for, never with the log. For the command line and the admin API. Any one thread.
#include <set>

#include "evidence/reader.h"

namespace sallyport::evidence {

struct SessionSummary {
  Id16 id{};
  std::uint64_t first = 0;                  // index of its first entry: the place in the list
  std::string user, agent, target, peer, software, state = "open";
  std::int64_t begun = 0, last = 0;
  std::uint64_t commands = 0, blocked = 0, held = 0, masked = 0;
};
/// One JSON object.
std::string to_json(const SessionSummary& session);

struct SessionFilter {
  std::string user, target;                 // "" = any
  std::int64_t from = 0;                    // with something since then
  std::int64_t to = INT64_MAX;              // begun before
  std::uint64_t before = UINT64_MAX;        // only those whose `first` is less: where the page before ended
  std::size_t limit = SIZE_MAX;             // the last so many
  std::function<bool()> stop = {};          // asked now and then; true ends the reading with Unavailable
};
struct SessionPage {
  std::vector<SessionSummary> sessions;     // oldest first
  bool more = false;                        // older ones fit, too
};
Result<SessionPage> sessions_of(const Reader& reader, const SessionFilter& filter);

/// The one session whose id begins with `prefix`. Errors also: Denied (none, or several).
Result<Id16> find_session(const Reader& reader, const std::string& prefix, const std::function<bool()>& stop = {});

/// Calls `visit` for the entries of a session and those of the approvals its commands waited for or ran on, in order, until it returns
/// false; `own` is false for the latter.
Result<void> each_of_session(const Reader& reader, const Id16& session, const std::function<bool(const StoredEntry&, bool own)>& visit, const std::function<bool()>& stop = {});

/// "2026-11-20T10:00:00.000Z", and back; 0 when it is none.
std::string utc_milliseconds(std::int64_t wall_ns);
std::int64_t utc_from_milliseconds(std::string_view text);

}  // namespace sallyport::evidence
