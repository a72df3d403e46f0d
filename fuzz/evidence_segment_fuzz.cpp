// A segment of any bytes. CRCs are put right first, so that the fuzzer gets behind them.
#include "evidence/crc32c.h"
#include "evidence/little_endian.h"
#include "evidence/segment.h"

namespace {
using namespace sallyport;
using namespace sallyport::evidence;

struct Count : ScanVisitor {
  std::uint64_t entries = 0;
  void entry(const EntryFacts&, ByteView) override { ++entries; }
  void chunk(const Id16&, std::uint64_t, ByteView) override {}
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  SegmentHeader header;
  header.origin = "fuzz/evidence";
  Bytes file = encode_header(header);
  (void)decode_header(ByteView(data, size));
  file.insert(file.end(), data, data + size);
  for (std::size_t at = kSegmentHeader; at + kFrameHeader <= file.size();) {
    const std::uint64_t length = get_le<std::uint32_t>(&file[at + 4]);
    const auto padded = (kFrameHeader + length + 7) & ~std::uint64_t{7};
    if (padded > file.size() - at) break;
    std::memset(&file[at + 24], 0, 16);
    put_le(&file[at + 40], crc32c(ByteView(file).subspan(at + kFrameHeader, length), crc32c(ByteView(file).subspan(at, 40))));
    at += padded;
  }
  Count count;
  const auto scan = scan_segment(file, header, count);
  if (scan.length > file.size() || scan.entries != count.entries || scan.next_index != count.entries) __builtin_trap();
  return 0;
}
