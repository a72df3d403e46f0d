// Which path, and the one that needs nothing of the machine.
#include "verify/sha256_many.h"

#include "verify/sha256_lanes.h"

namespace sallyport::verify {

void lanes::hash_alone(const Message& message) {
  Sha256 hash;
  const auto before = static_cast<std::uint8_t>(message.before);
  if (message.before >= 0) hash.add({&before, 1});
  *message.digest = hash.add(message.bytes).done();
}

namespace {
void one_by_one(std::span<const Message> messages) {
  for (const auto& one : messages) lanes::hash_alone(one);
}
}  // namespace

const std::vector<HashPath>& hash_paths() {
  static const auto kPaths = [] {
    std::vector<HashPath> out;
#if defined(__x86_64__)
    // In the order of what they do on machines that have several of them: AVX-512 1.7 times as much as SHA-NI, that 1.8 times as much as AVX2.
    if (lanes::has_avx512()) out.push_back({"16 lanes of AVX-512", lanes::avx512});
    if (lanes::has_sha()) out.push_back({"2 streams of SHA-NI", lanes::sha_pair});
    if (lanes::has_avx2()) out.push_back({"8 lanes of AVX2", lanes::avx2});
#endif
    out.push_back({"one by one", one_by_one});
    return out;
  }();
  return kPaths;
}

void hash_all(std::span<const Message> messages) {
  // A few of them leave most lanes idle: two streams, or none, are faster then.
  constexpr std::size_t kFew = 16;
  static const auto kBest = hash_paths().front().hash;
#if defined(__x86_64__)
  static const auto kBestOfFew = lanes::has_sha() ? lanes::sha_pair : one_by_one;
#else
  constexpr auto kBestOfFew = one_by_one;
#endif
  (messages.size() < kFew ? kBestOfFew : kBest)(messages);
}

}  // namespace sallyport::verify
