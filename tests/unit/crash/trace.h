#pragma once
// What a log does to its folder, in order: every creation, write, change of length, rename and sync of every file under it.
// The calls are caught where the program meets the C library (trace.cpp), so that nothing the log does can go past it: the
// test compares the folder with what the steps add up to. One recording at a time; any thread may write meanwhile.
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace sallyport::crash {

struct Step {
  enum What { Create, Write, Resize, Sync, Rename, Remove, MakeFolder, SyncFolder, Told, Signed, Opened } what = Sync;
  std::uint32_t file = 0;       // Create, Write, Resize, Sync
  std::string path, to;         // relative to the folder: Create, Rename, Remove, MakeFolder, SyncFolder
  std::uint64_t at = 0;         // Write: offset; Resize: length; Told: index; Signed: size
  Bytes data;                   // Write
  Digest root{};                // Signed
};
/// "write segments/next.tmp 0+4096": for the report of a state that was not survived.
std::string describe(const Step& step);

namespace trace {
/// Files that are there already keep the numbers given.
void start(const std::string& folder, const std::map<std::string, std::uint32_t>& there);
std::vector<Step> stop();
/// What the test itself saw: an answer, a signature, an opened log.
void note(Step step);
}  // namespace trace

}  // namespace sallyport::crash
