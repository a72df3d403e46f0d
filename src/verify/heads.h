#pragma once
// The signed heads of a log (docs/formats/checkpoint.md): the archive, the newest, and those an auditor kept elsewhere. Which
// of them the entries bear out is judged after the walk. Used by check.cpp only.
#include "verify/check.h"
#include "verify/tree.h"

namespace sallyport::verify {

class Rules;

class Heads {
 public:
  Heads(const Settings& settings, Report& report, Rules& rules) : settings_(settings), report_(report), rules_(rules) {}

  void read();
  /// The largest size that was signed; 0 when none.
  std::uint64_t largest() const { return heads_.empty() ? 0 : heads_.back().head.size; }
  /// To be called at every size of the tree: the roots at signed sizes are kept.
  void pass(const Tree& tree) {
    while (next_ < heads_.size() && heads_[next_].head.size == tree.size()) {
      heads_[next_].computed = tree.root();
      pass_time(heads_[next_++]);
    }
  }
  /// An entry and when it says it was written, in ns: against the times that witnesses and authorities vouch for.
  void entry(std::uint64_t index, std::uint64_t wall) {
    if (wall < earliest_) earliest_ = wall, earliest_index_ = index;
    if (wall > latest_) latest_ = wall, latest_index_ = index;
  }
  /// The tree begins at this size: smaller heads can no longer be compared with entries.
  void begin_at(std::uint64_t size);
  void judge(std::uint64_t entries);

 private:
  struct Known {
    Head head;
    std::string file;
    std::optional<Hash> computed;
    std::uint64_t epoch = 0;                  // 0 = not signed by one
    std::array<std::uint8_t, 64> epoch_signature{};
    std::vector<std::uint64_t> cosigned;      // when, by each witness that did
    std::uint64_t stamped = 0;                // when, by an authority; 0 = not
  };
  void take_others(Known& known);
  void judge_epoch(const Known& known);
  bool seen_elsewhere(const std::string& file) const;
  void read_archive(std::string_view rest, const std::string& file);
  void read_one(const std::string& path);
  void read_timestamps();
  void pass_time(const Known& known);
  void take(std::string_view note, const std::string& file);
  void fault(std::string code, std::string what, const std::string& file, std::optional<std::uint64_t> index = {});

  const Settings& settings_;
  Report& report_;
  Rules& rules_;
  std::vector<Known> heads_;  // ascending by size once read
  std::size_t next_ = 0, begin_ = 0;        // the next to be passed; the first that can be compared
  // Of the entries since the last head with a time, in ns.
  std::uint64_t earliest_ = UINT64_MAX, earliest_index_ = 0, latest_ = 0, latest_index_ = 0;
  std::uint64_t known_time_ = 0;              // of that head, in seconds
};

/// True when `text`, the end of a file from byte `offset` on, can be what a crash in the middle of an append left of a note of
/// this key and its empty line: its beginning, with zeros in place of 512-byte sectors of the file that were not written, if
/// any. What is whole, or is something else, is not.
bool is_torn_note(std::string_view text, const NoteKey& key, std::size_t offset = 0);

}  // namespace sallyport::verify
