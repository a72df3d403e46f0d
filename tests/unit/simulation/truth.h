#pragma once
// Who knows everything: each head that was ever signed, cosigned or witnessed, and the history it stands for. It says what must never
// happen. The first violation ends a run.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "disk.h"

namespace sallyport::simulation {

class Truth {
 public:
  /// What was done to the log that no honest machine does; without any of it no alarm may be raised and nothing may be refused.
  bool rolled_back = false;     // states of a whole machine were put back, run twice, or its key was stolen: two roots may be signed
  bool tampered = false;        // any of that, or parts put back, or entries edited
  bool epochs_began_anew = false;
  std::optional<std::size_t> liar;  // a witness that says now and then, falsely, that the log was rolled back or forked

  std::string violation;        // "" as long as all is well
  void violated(const std::string& what) { if (violation.empty()) violation = what; }

  /// The notary's key signed this head of this history.
  void is_signed(const std::string& note, const History& history);
  void is_cosigned(std::size_t witness, const std::string& note);
  /// An alarm, or a start that was refused.
  void is_alarmed(const std::string& why);
  /// A quorum cosigned it and the gateway keeps that.
  void is_witnessed(const std::string& note, const History& history);

  /// The witness's last head is the beginning of this history.
  bool is_prefix(std::size_t witness, const History& history) const;
  bool is_prefix(const std::string& note, const History& history) const;
  bool has_cosigned(std::size_t witness) const { return cosigned_.contains(witness); }
  /// What was witnessed is in this history.
  bool holds_witnessed(const History& history) const;
  /// Every head that was signed, whether or not anybody got it; ascending by size.
  std::vector<std::string> notes() const;
  std::uint64_t heads() const { return notes_.size(); }
  std::uint64_t forks() const { return forks_; }

 private:
  struct Head {
    std::uint64_t size = 0, mark = 0;
  };
  const Head* of(const std::string& note) const;
  std::map<std::string, Head> heads_;                 // by the text that is signed
  std::map<std::uint64_t, std::string> first_;        // the first head that was signed of a size
  std::map<std::size_t, Head> cosigned_;
  std::vector<Head> witnessed_;
  std::multimap<std::uint64_t, std::string> notes_;
  std::map<std::string, std::vector<std::uint64_t>> marks_;  // the history of each head
  std::uint64_t forks_ = 0;
};

}  // namespace sallyport::simulation
