#pragma once
// What a pack will hold, found in two passes over the log: the range and its proof, what is disclosed, what explains it. After
// that every member's size is known but those of sealed payloads. Memory: a hash for 4,096 entries of the log, about 200 bytes a
// session (400 with veiled fields), 64 a disclosed payload. Errors: Unavailable (files, no signed head), Malformed (a log that is none). Main thread.
#include "cli/pack_selection.h"
#include "evidence/merkle.h"
#include "evidence/note.h"
#include "evidence/session_keys.h"
#include "verify/range_proof.h"
#include "verify/report_html.h"

namespace sallyport::cli {

/// The question with its times read. Bounds by index or by time; none: from the first, to the last under the head.
struct PackQuestion {
  verify::Query query;
  std::optional<std::uint64_t> from_index, to_index;
  std::optional<std::int64_t> from_ns, to_ns;
  bool names = true;                      // pseudonyms in what is disclosed are opened
};

/// Hashes of 4,096 leaves each: proofs of single leaves from these and the leaves of one block.
class BlockHashes {
 public:
  static constexpr std::uint64_t kBlock = 4096;
  void leaf(const Digest& hash);
  void end();
  /// From the leaf's sibling upwards; `block`: all leaf hashes of the index's block.
  Result<std::vector<Digest>> proof(std::uint64_t index, std::span<const Digest> block) const;

 private:
  evidence::CompactRange at_hand_;
  std::vector<Digest> blocks_;
};

struct PackPlan {
  PackQuestion question;
  std::string note;                       // the head that is proven to
  evidence::Checkpoint head;
  verify::RangeProof proof;
  std::string heads, names;               // the members `checkpoints` and `names`; "" none
  verify::Openings openings;              // what is in `names`
  struct Context {
    std::uint64_t index = 0;
    std::string receipt, fields;          // fields: opened ones, "" none
  };
  std::vector<Context> contexts;
  verify::PackStory story;
  verify::Manifest manifest;              // but for `members`
  std::vector<std::uint64_t> part_sizes;  // of the members entries/
  std::vector<std::string> timestamps;    // file names, ascending
  PackSelection selection;
  std::set<std::string, std::less<>> pseudonyms;   // in what is disclosed

  explicit PackPlan(PackQuestion q) : question(std::move(q)), story(&question.query), selection(question.query) {}
  PackPlan(const PackPlan&) = delete;     // `story` and `selection` look into `question`
  PackPlan& operator=(const PackPlan&) = delete;
};

/// Errors also: Denied (a payload is to be disclosed that is none of the disclosed entries').
/// `note`: the head to prove to. `tool`: for the manifest.
Result<std::unique_ptr<PackPlan>> plan_pack(const evidence::Reader& reader, PackQuestion question, std::string note, evidence::StoredKeys& keys, std::string tool);

}  // namespace sallyport::cli
