#pragma once
// How long entries are kept, what is held, and which segments may therefore go: whole ones from the log's beginning. A plan
// changes nothing. Everything is read from the log, for a file beside it could be lost or changed. The keeping thread. Errors:
// Unavailable (files), Malformed (a log that is none: run sallyport-verify).
#include <map>
#include <set>
#include <unordered_map>

#include "evidence/log_view.h"
#include "evidence/pruned.h"

namespace sallyport::evidence {

/// A retention class: "default", "env=dev".
struct Keep {
  std::string name = "default";
  std::int64_t ns = 0;
};
struct RetentionTerms {
  std::optional<Keep> otherwise;           // nullopt: nothing is ever pruned
  std::map<std::string, Keep> targets;     // those that a class of its own fits
  /// Of sessions whose target is not known any more: the longest that there is.
  Keep longest() const;
};

/// The holds in force: each by the entry that says so, minus releases. Follows the log from where it last was.
class Holds {
 public:
  struct Hold {
    std::uint64_t index = 0;
    std::optional<Id16> session;                // else a range of time:
    std::int64_t from_ns = 0, to_ns = INT64_MAX;
    std::string basis;
    std::int64_t wall_ns = 0;
  };
  Result<void> follow(LogView& view, std::uint64_t size);
  const std::vector<Hold>& all() const { return holds_; }
  bool of_session(const Id16& session) const;
  bool of_time(std::int64_t wall_ns) const;
  bool any_of_time() const;

 private:
  std::uint64_t next_ = 0;
  std::vector<Hold> holds_;
};
/// The bounds of a held range as they stand in an entry: UTC seconds; "" for none.
std::optional<std::int64_t> held_time(const std::string& text);

struct PrunePlan {
  struct Session {
    Id16 id{};
    std::uint64_t first = 0, last = 0;          // its entries, of those that are kept now
  };
  struct Share {
    std::uint64_t sessions = 0, entries = 0;
  };
  std::uint64_t first_now = 0;
  std::optional<Pruned> pruned;                 // nullopt: nothing may go
  std::uint64_t segments = 0, entries = 0, bytes = 0, sessions = 0;
  std::map<std::string, Share> classes;
  std::vector<Session> carried;                 // held ones with entries among those that go
  std::vector<Id16> ended;                      // those of which nothing is left and that nobody holds: their payload keys go
  std::vector<Id16> kept;                       // those of which something is, ascending
  std::vector<Holds::Hold> again;               // whose entries go: to be written once more
  std::vector<std::string> blocks;              // why no more may go
};
/// `covered`: no entry beyond may be the first one: the newest head, or the newest that witnesses cosigned.
Result<PrunePlan> plan_prune(const std::string& directory, const RetentionTerms& terms, const Holds& holds, std::uint64_t covered, std::int64_t now_ns);

}  // namespace sallyport::evidence
