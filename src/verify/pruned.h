#pragma once
// What stands for the beginning of a log that was pruned (docs/formats/directory.md): read here, believed only when a prune entry under a
// signed head names it. Pure but for opening the file.
#include "verify/bytes.h"

namespace sallyport::verify {

struct OpenSession {
  Id id{};
  std::uint64_t entries = 0, commands = 0, outcomes = 0, chunks = 0;
  std::vector<std::uint64_t> commands_open;
};

struct Pruned {
  std::uint64_t first = 0;            // the first kept entry
  std::vector<Hash> range;            // of the tree before it
  std::vector<OpenSession> open;      // the sessions that were open there
  Id incarnation{};                   // of the last pruned entry, and
  std::uint64_t kind = 0, mono = 0;
  std::uint64_t segment = 0, length = 0;
  Hash last_frame{};
  Blob epoch;                         // an entry; empty: none
  Hash digest{};                      // of the file
};

/// "" and a filled value, or what is wrong with the bytes.
std::string read_pruned(View bytes, Pruned& out);

}  // namespace sallyport::verify
