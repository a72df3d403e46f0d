#pragma once
// The members of a pack, one by one, as pack.cpp is given them: which are known, how large the small ones may be, and the reading of
// records that are cut anywhere. Used by pack.cpp only.
#include <functional>

#include "verify/bytes.h"

namespace sallyport::verify {

enum class Part { None, Readme, Checkpoint, Proof, Heads, ContextFields, Context, Controls, Entries, Manifest, Names, Payload, Policy, Report, Sealed, Timestamp };

struct PartName {
  Part part = Part::None;
  std::uint64_t number = 0;   // of %020d names
  Hash digest{};              // of policies
};
/// Part::None when no pack has such a member.
PartName part_of(std::string_view name);

/// The most bytes of a member that is read whole; 0 of one that is streamed.
std::uint64_t most_of(Part part);

/// Records of an entries member, put together from pieces.
class Leaves {
 public:
  /// `more`: opened fields, or what is veiled of it as it is in the log (`sealed`); empty where neither stands.
  using Disclosed = std::function<void(View entry, View more, bool sealed)>;
  using Withheld = std::function<void(const Hash& leaf)>;
  Leaves(Disclosed disclosed, Withheld withheld) : disclosed_(std::move(disclosed)), withheld_(std::move(withheld)) {}
  /// False when what comes is no record; nothing more is read then.
  bool feed(View bytes);
  /// True when it ended with a whole record.
  bool ended() const { return ok_ && held_.empty(); }
  void restart() { ok_ = true, held_.clear(); }

 private:
  std::size_t due(View head) const;  // size of the record that begins so; 0 not known yet, SIZE_MAX none
  void take(View record);
  Disclosed disclosed_;
  Withheld withheld_;
  Blob held_;
  bool ok_ = true;
};

}  // namespace sallyport::verify
