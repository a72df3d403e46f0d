#pragma once
// The rules between entries (docs/formats/entry.md): incarnations, sessions and their totals, commands and outcomes,
// approvals, payloads. Fed in log order by check.cpp; used by it only.
#include <map>
#include <set>

#include "verify/by_number.h"
#include "verify/cbor.h"
#include "verify/check.h"
#include "verify/entry.h"
#include "verify/payload.h"
#include "verify/pruned.h"

namespace sallyport::verify {

class Rules {
 public:
  Rules(Report& report, const Settings& settings);

  void fault(Fault fault);
  /// The log begins behind what was pruned. False: what stands for that is no state of a log. Once, before the first entry.
  bool go_on_from(const Pruned& pruned);
  bool pruned() const { return pruned_; }
  /// Something of this session comes: some records before it, and half as many before it.
  void expect(const Id& session) const { open_.expect(session); }
  void expect_soon(const Id& session) const {
    if (const auto at = open_.expect_place(session); at != ById::kNone) __builtin_prefetch(&sessions_[at]);
  }
  void entry(const Entry& entry, const std::string& file, std::uint64_t offset, const Id& segment_incarnation);
  /// What stands behind an entry with veils; `record` is empty where nothing does.
  void veiled(const Entry& entry, View record, const Hash& hash);
  /// `digest`: of the ciphertext, null where it is not known yet.
  void chunk(const Id& session, std::uint64_t number, View ciphertext, const Hash* digest, const std::string& file, std::uint64_t offset);
  /// Reads the footer's list of open sessions; true when it is ours.
  bool same_open_sessions(Cbor& reader) const;
  void finish();
  /// An epoch's key and where it was announced: the first and the last time.
  struct Epoch {
    Hash key{};
    std::uint64_t first = 0, last = 0;
  };
  const std::map<std::uint64_t, Epoch>& epochs() const { return epochs_; }
  /// A prune that the log tells of.
  struct Prune {
    std::uint64_t index = 0, first = 0;
    Hash root{}, digest{};
    std::string said;                       // the entry in words
  };
  const std::vector<Prune>& prunes() const { return prunes_; }

 private:
  struct Chunk {
    View ciphertext;
    std::optional<Hash> digest;             // of a short one
  };
  struct Command {};
  struct alignas(64) Session {              // what most entries need of theirs is one line of a core's cache
    std::uint64_t entries = 0, commands = 0, outcomes = 0, chunks = 0;
    ByNumber<Command, 2> open_commands;
  };
  using Chunks = ByNumber<Chunk, 1>;
  struct Approval {
    std::optional<Hash> digest;
    std::set<std::string> approvers;
    std::uint64_t quorum = 0;
    bool used = false, run = false;
    std::optional<std::uint64_t> last;      // the command that ran on it last: its next round names it
    bool older = false;                     // it was requested in what is pruned: its rules cannot be judged
  };
  void incarnation(const Entry& entry, const Id& segment_incarnation);
  void session(const Entry& entry);
  void approval(const Entry& entry);
  void epoch(const Entry& entry);
  void prune(const Entry& entry);
  void payload(const Entry& entry, Chunks& pending);
  void close(const Id& id, Session& session);
  void say(std::string code, const Entry& entry, std::string what);

  Report& report_;
  const bool without_payloads_;
  PayloadKeys keys_;
  Session* session_of(const Id& id);
  Chunks& pending_of(const Session& session) { return pending_[static_cast<std::size_t>(&session - sessions_.data())]; }

  ById open_, closed_;                      // places in sessions_; of a closed one only that it was there
  std::vector<Session> sessions_;           // whoever was closed leaves its place, and its memory, to the next
  std::vector<Chunks> pending_;             // by the same places: chunks no entry has referred to yet
  std::vector<std::uint32_t> free_;
  std::map<std::string, Approval, std::less<>> approvals_;
  std::map<std::uint64_t, Epoch> epochs_;
  struct Before {
    std::uint64_t mono = 0;
    Kind kind = Kind::NodeStart;
    Id incarnation{};
  };
  std::optional<Before> before_;            // of the entry before
  const std::string* file_ = nullptr;
  std::uint64_t offset_ = 0;
  bool recovery_pending_ = false, pruned_ = false;
  std::vector<Prune> prunes_;
  std::uint64_t older_approvals_ = 0;
};

}  // namespace sallyport::verify
