#pragma once
// When the entries of a pack say they were written, against the times that an authority vouches for. Its stamps come behind all entries, so
// enough of each entry's time is kept to judge them then: to the second, and more coarsely before it takes more than some megabytes;
// what is coarse lets an entry pass, never the other way. Used by pack.cpp only. Pure.
#include "verify/bytes.h"

namespace sallyport::verify {

class PackTimes {
 public:
  struct Entry {
    std::uint64_t index = 0, wall = 0;   // wall in ns since 1970
  };
  void entry(std::uint64_t index, std::uint64_t wall);
  /// One of the first `size` entries that says it was written after `limit`, in ns.
  std::optional<Entry> later(std::uint64_t size, std::uint64_t limit) const;
  /// One from entry `from` on that says it was written before `limit`, in ns.
  std::optional<Entry> earlier(std::uint64_t from, std::uint64_t limit) const;

 private:
  static constexpr std::size_t kMost = 1u << 18;
  void thin();
  std::vector<Entry> latest_;    // each is later than all before it
  std::vector<Entry> earliest_;  // each is no later than all behind it, and later than those before it in this list
  std::uint64_t step_ = 1'000'000'000;
};

}  // namespace sallyport::verify
