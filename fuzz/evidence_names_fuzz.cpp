// keys/names of any bytes. Checksums are put right first, so that the fuzzer gets behind them. Whatever lies there, a new name is kept
// behind the valid beginning, opens, and can be erased; no record opens under a pseudonym that is not its name's.
#include <fcntl.h>
#include <stdlib.h>

#include <cstring>
#include <filesystem>

#include "evidence/crc32c.h"
#include "evidence/little_endian.h"
#include "evidence/names.h"

namespace {
using namespace sallyport;
using namespace sallyport::evidence;

/// Nothing here is about what a power cut leaves.
struct QuickDisk : FileOps {
  int sync(int) override { return 0; }
};

struct Place {
  Place() {
    char shm[] = "/dev/shm/sallyport-fuzz-XXXXXX", tmp[] = "/tmp/sallyport-fuzz-XXXXXX";
    const char* made = ::mkdtemp(shm);
    path = made != nullptr ? made : ::mkdtemp(tmp);
    std::filesystem::create_directories(path + "/keys");
    (void)replace_file(path + "/keys/kek", Digest{});
  }
  ~Place() { std::filesystem::remove_all(path); }
  std::string path;
  QuickDisk disk;
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Place place;
  Bytes bytes(data, data + size);
  for (std::size_t at = 0; at + 48 <= bytes.size();) {
    const std::size_t length = get_le<std::uint32_t>(&bytes[at + 40]);
    if (length > bytes.size() - at - 48) break;
    put_le<std::uint32_t>(&bytes[at + 44], crc32c({&bytes[at + 48], length}, crc32c({&bytes[at], 44})));
    at += (48 + length + 63) / 64 * 64;
  }
  {
    const auto file = File::open(place.path + "/keys/names", O_WRONLY | O_CREAT | O_TRUNC);
    if (!file || !write_all(place.disk, *file, bytes, 0, "names")) __builtin_trap();
  }
  const auto before = load_names(place.path, "fuzz");
  if (!before) __builtin_trap();
  for (const auto& [pseudonym, name] : *before)
    if (pseudonym_of(name.salt, name.value) != pseudonym) __builtin_trap();
  auto names = Names::open(place.path, "fuzz", place.disk);
  if (!names) __builtin_trap();
  const std::string who = "somebody who is new", pseudonym = names->pseudonym(who);
  if (!names->store() || resolve(*load_names(place.path, "fuzz"), pseudonym) != who) __builtin_trap();
  if (!erase_pseudonym(place.path, pseudonym).value_or(false) || resolve(*load_names(place.path, "fuzz"), pseudonym) != pseudonym) __builtin_trap();
  return 0;
}
