#pragma once
// The load: a log of its own in a folder, with sessions, payloads, batches, chunks ahead of their entry, small segments, and now
// and then a disk that refuses. What it was told and what was signed goes into the trace.
#include <random>
#include <string>
#include <utility>

namespace sallyport::crash {

struct Keys {
  Keys();
  std::string signer, verifier;
};
constexpr const char* kOrigin = "crash.test/evidence";

enum class Truth { Honest, Lying };  // of the disk: a lying one says "synced" and does not

/// Opens the log of the folder, loads it, stops it. Returns how many writes were refused.
std::uint64_t play(const std::string& folder, const Keys& keys, std::mt19937_64& random, Truth truth);

}  // namespace sallyport::crash
