#pragma once
// What the entries of a pack say: counts, sessions, and the rows of the report, gathered as they pass by, in log order. Both who
// writes a pack and who checks one feed it, so that both tell the same. Memory grows with sessions and payloads, not with
// entries: of those the first few thousand are kept for the report. Single-threaded.
#include <deque>
#include <map>
#include <set>
#include <unordered_map>

#include "verify/manifest.h"

namespace sallyport::verify {

constexpr std::size_t kMostRows = 5000, kMostEvents = 2000, kMostSessionsShown = 1000, kMostGaps = 1000;
constexpr std::size_t kMostPayloads = 4'194'304;

/// One thing of which a pack can be evidence: "blocked", "masking", … (controls.cpp has the list).
struct Feature {
  std::uint64_t count = 0, first = 0, last = 0;
};

struct SessionStory {
  Id id{};
  std::uint64_t first = 0, last = 0, entries = 0, commands = 0, blocked = 0, held = 0, masked = 0, opened_wall = 0, closed_wall = 0;
  bool opened = false, closed = false, dense = true, known = false;   // known: its session.open was seen
  std::uint64_t next = 0;                                             // sequence due
  std::string subject, issuer, agent, target, peer, protocol, software, reason;  // of the first kMostSessionsShown
  std::uint8_t hidden = 0;                                            // of its session.open: fields that are veiled and not opened (veil.h)
  bool complete() const { return opened && closed && dense; }
};

struct CommandRow {
  std::uint64_t index = 0, wall = 0, decision = 0, result = 0, items = 0, sent = 0, duration = 0, outcome = 0;
  std::size_t session = 0;
  std::string action, object, request, approval, reason, error;
  std::string rules, masked;                    // "a, b" and "rule:detector x2"
  bool payload = false, answer = false;         // there is one
  std::uint8_t hidden = 0;                      // of the command, and the outcome's error
};

struct EventRow {
  std::uint64_t index = 0, wall = 0;
  Kind kind = Kind::NodeStart;
  std::string subject, what;
  std::uint8_t hidden = 0;
};

struct ApprovalStory {
  std::string requester, state, reason;
  bool reason_hidden = false;
  std::vector<std::string> approvers;
};

/// Small, for a pack can have millions.
struct PayloadStory {
  std::uint64_t index = 0, place = 0, bytes = 0;   // place: the first chunk's number, whose low 24 bits are zero, and in these the number of chunks - 1
  std::uint32_t session = 0;                       // place in sessions()
  Hash digest{};                                   // of the ciphertext; in a story that knows its question, of what is opened the commitment
  std::uint64_t first() const { return place >> 24 << 24; }
  std::uint64_t chunks() const { return (place & 0xFFFFFF) + 1; }
};

class PackStory {
 public:
  /// `asked`: the question, where it is known before the entries; must live as long.
  explicit PackStory(const Query* asked = nullptr) : asked_(asked) {}
  void context(const Entry& entry);                // before the first entry
  /// `sealed`: the record with what is veiled of it is in the pack, as it is in the log.
  void disclosed(const Entry& entry, bool sealed = false);
  void withheld() { ++withheld_; }

  std::uint64_t disclosed_count() const { return disclosed_; }
  std::uint64_t withheld_count() const { return withheld_; }
  const std::map<std::string, std::uint64_t>& kinds() const { return kinds_; }
  const std::map<std::string, Feature>& features() const { return features_; }
  const std::vector<SessionStory>& sessions() const { return sessions_; }
  const std::vector<CommandRow>& commands() const { return commands_; }
  const std::vector<EventRow>& events() const { return events_; }
  std::uint64_t event_count() const { return event_count_; }
  const std::map<std::string, ApprovalStory, std::less<>>& approvals() const { return approvals_; }
  const std::vector<std::uint64_t>& gaps() const { return gaps_; }
  const std::set<Hash>& policies() const { return policies_; }
  const std::deque<PayloadStory>& payloads() const { return payloads_; }
  /// Of the payload at that place; in a story that does not know its question.
  const Hash& commitment(std::size_t place) const { return commitments_[place]; }
  /// Contexts that explain nothing that was disclosed, by what they are.
  std::vector<std::string> needless_contexts() const;
  /// Why the veils of what was disclosed are not what the question asks for; "" when they are. `manifest`: after fill().
  std::string misplaced_fields(const Manifest& manifest) const;
  /// The part of a manifest that the entries decide, given the question and whose payload keys were erased.
  void fill(Manifest& manifest) const;

 private:
  struct IdHash {
    std::size_t operator()(const Id& id) const { return static_cast<std::size_t>(little(id, 0, 8)); }
  };
  struct Fields {
    std::array<std::uint64_t, 8> opened{}, sealed{}, hidden{};
  };
  void fields(const Entry& entry, bool sealed);
  /// Calls visit(counts, was the key of that session erased).
  template <class Visit>
  void each_fields(const Manifest& manifest, Visit visit) const;
  SessionStory& session_of(const Entry& entry);
  void command(const Entry& entry, SessionStory& session);
  void outcome(const Entry& entry, SessionStory& session);
  void approval(const Entry& entry);
  void event(const Entry& entry);
  void feature(const char* name, std::uint64_t index);

  const Query* asked_;
  std::uint64_t disclosed_ = 0, withheld_ = 0, event_count_ = 0;
  std::map<std::string, std::uint64_t> kinds_;
  std::map<std::string, Feature> features_;
  std::vector<SessionStory> sessions_;
  std::unordered_map<Id, std::uint32_t, IdHash> place_;
  std::unordered_map<Id, SessionStory, IdHash> before_;  // sessions that began before the range, from their context
  std::vector<CommandRow> commands_;
  std::unordered_map<std::uint64_t, std::size_t> waiting_;  // rows of commands without outcome
  std::vector<EventRow> events_;
  std::map<std::string, ApprovalStory, std::less<>> approvals_;
  std::unordered_map<Id, Fields, IdHash> fields_;        // of sessions with veils
  Fields node_fields_;
  bool veils_ = false;
  std::array<std::optional<std::uint64_t>, 8> clear_;    // the first entry that has a field in clear text which could be veiled
  std::vector<std::uint64_t> gaps_;
  std::set<Hash> policies_, context_policies_;
  std::deque<PayloadStory> payloads_;   // not a vector: of so many, growing would hold them twice
  std::deque<Hash> commitments_;
};

}  // namespace sallyport::verify
