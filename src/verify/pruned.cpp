#include "verify/pruned.h"

#include <algorithm>
#include <bit>

#include "verify/cbor.h"

namespace sallyport::verify {
namespace {

template <std::size_t N>
bool exactly(Cbor& reader, std::array<std::uint8_t, N>& out) {
  const auto bytes = reader.bytes();
  if (bytes.size() != N) return false;
  std::ranges::copy(bytes, out.begin());
  return true;
}

bool read_open(Cbor& reader, std::vector<OpenSession>& out) {
  const auto count = reader.array();
  for (std::uint64_t i = 0; reader.ok() && i < count; ++i) {
    auto& one = out.emplace_back();
    if (reader.array() != 6 || !exactly(reader, one.id)) return false;
    for (auto* n : {&one.entries, &one.commands, &one.outcomes, &one.chunks}) *n = reader.uint();
    const auto open = reader.array();
    for (std::uint64_t k = 0; reader.ok() && k < open; ++k) one.commands_open.push_back(reader.uint());
    if (out.size() > 1 && !(out[out.size() - 2].id < one.id)) return false;
  }
  return reader.ok();
}

bool read_footer(View bytes, Pruned& out) {
  Cbor reader(bytes);
  if (reader.map() != 5 || reader.uint() != 1) return false;
  out.first = reader.uint();
  if (reader.uint() != 2 || reader.array() != static_cast<std::uint64_t>(std::popcount(out.first))) return false;
  for (int i = 0; i < std::popcount(out.first); ++i)
    if (!exactly(reader, out.range.emplace_back())) return false;
  for (const std::uint64_t key : {3, 4}) {
    if (reader.uint() != key) return false;
    reader.uint();
  }
  return reader.uint() == 5 && read_open(reader, out.open) && reader.at_end() && out.first != 0;
}

}  // namespace

std::string read_pruned(View bytes, Pruned& out) {
  out = {};
  out.digest = Sha256().add(bytes).done();
  Cbor reader(bytes);
  const auto keys = reader.map();
  std::uint64_t due = 0;
  const auto key = [&] { return reader.uint() == ++due; };
  bool good = (keys == 8 || keys == 9) && key() && reader.uint() == 1;
  good = good && key() && read_footer(reader.bytes(), out);
  good = good && key() && exactly(reader, out.incarnation);
  good = good && key();
  if (good) out.kind = reader.uint();
  good = good && key();
  if (good) out.mono = reader.uint();
  good = good && key();
  if (good) out.segment = reader.uint();
  good = good && key();
  if (good) out.length = reader.uint();
  good = good && key() && exactly(reader, out.last_frame);
  if (good && keys == 9) {
    good = key();
    const auto leaf = reader.bytes();
    out.epoch.assign(leaf.begin(), leaf.end());
  }
  if (!good || !reader.ok() || !reader.at_end()) return "it is not of its format";
  return "";
}

}  // namespace sallyport::verify
