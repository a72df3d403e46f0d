#pragma once
// The rules between entries (docs/formats/entry.md) as far as a part of the log lets them be judged: what is withheld, or lies outside
// the range, is not held against it. rules.h judges whole logs. Fed in log order by pack.cpp.
#include <functional>
#include <map>
#include <set>
#include <unordered_map>

#include "verify/check.h"
#include "verify/entry.h"

namespace sallyport::verify {

class PackRules {
 public:
  using Say = std::function<void(Fault)>;
  PackRules(std::uint64_t first, Say say) : first_(first), say_(std::move(say)) {}
  void entry(const Entry& entry);
  /// `whole`: the question was for whole sessions, so that what misses of one is a fault.
  void finish(bool whole);

 private:
  struct Session {
    std::uint64_t entries = 0, commands = 0, outcomes = 0, next = 0;
    bool from_start = false, closed = false, dense = true;
    std::set<std::uint64_t> open_commands;
  };
  struct Approval {
    std::optional<Hash> digest;
    std::set<std::string> approvers;
    std::optional<std::uint64_t> quorum;  // known when it was requested here
    bool used = false, run = false;
    std::optional<std::uint64_t> last;    // the command that ran on it last
  };
  struct IdHash {
    std::size_t operator()(const Id& id) const { return static_cast<std::size_t>(little(id, 0, 8)); }
  };
  void session(const Entry& entry);
  void command(const Entry& entry, Session& session);
  void outcome(const Entry& entry, Session& session);
  void close(const Entry& entry, Session& session);
  void approval(const Entry& entry);
  void say(const char* code, const Entry& entry, const std::string& what);
  void later(const char* code, const Entry& entry, const std::string& what);

  std::uint64_t first_;
  Say say_;
  std::unordered_map<Id, Session, IdHash> sessions_;
  std::map<std::string, Approval, std::less<>> approvals_;
  std::optional<Id> incarnation_;
  std::uint64_t mono_ = 0;
  std::vector<Fault> later_;   // faults only if whole sessions were asked for
};

}  // namespace sallyport::verify
