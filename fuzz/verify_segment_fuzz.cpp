// A whole directory with one segment of any bytes behind a right header. Checksums are put right first, so that the fuzzer gets
// behind them. Never valid, for nothing is signed; never a crash; every fault has words and lies within the file.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "verify/check.h"
#include "verify/segment.h"

using namespace sallyport::verify;

namespace {

constexpr std::string_view kKey = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

void put(Blob& file, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) file[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
}

struct Place {
  Place() {
    char name[] = "/tmp/sallyport-fuzz-XXXXXX";
    path = ::mkdtemp(name);
    std::filesystem::create_directories(path + "/segments");
    std::string why;
    settings.directory = path;
    settings.key = *parse_key(kKey, why);
  }
  ~Place() { std::filesystem::remove_all(path); }
  std::string path;
  Settings settings;
};

Blob header() {
  Blob file(kHeader, 0);
  std::memcpy(file.data(), "SPEVSEG1", 8);
  put(file, 8, 1, 4), put(file, 12, kHeader, 4), put(file, 56, UINT64_MAX, 8);
  const std::string_view origin = kKey.substr(0, kKey.find('+'));
  put(file, 112, origin.size(), 2);
  std::memcpy(file.data() + 114, origin.data(), origin.size());
  put(file, kHeader - 4, crc32c(0, View(file).first(kHeader - 4)), 4);
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Place place;
  Header ignored;
  (void)read_header({data, size}, ignored);
  Blob file = header();
  file.insert(file.end(), data, data + size);
  for (std::size_t at = kHeader; at + kFrame <= file.size();) {
    const auto length = little(file, at + 4, 4);
    const auto padded = (kFrame + length + 7) / 8 * 8;
    if (padded > file.size() - at) break;
    std::memset(&file[at + 24], 0, 16);
    put(file, at + 40, crc32c(crc32c(0, View(file).subspan(at, 40)), View(file).subspan(at + kFrame, length)), 4);
    at += padded;
  }
  const auto path = place.path + "/segments/00000000000000000000.seg";
  auto* out = std::fopen(path.c_str(), "wb");
  std::fwrite(file.data(), 1, file.size(), out);
  std::fclose(out);
  const auto report = check(place.settings);
  if (report.verdict == Report::Valid) __builtin_trap();
  for (const auto& fault : report.faults)
    if (fault.what.empty() || fault.code.empty() || fault.offset.value_or(0) > file.size()) __builtin_trap();
  for (const unsigned char c : to_json(report))
    if (c < 0x20) __builtin_trap();
  (void)to_text(report);
  return 0;
}
