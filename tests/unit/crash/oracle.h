#pragma once
// What must hold after a crash: the promises that the trace says were given, against what recovery and the verifier make of a
// folder. One run of the log, any number of its states; one thread.
#include <unordered_map>

#include "disk.h"
#include "evidence/merkle.h"
#include "evidence/recovery.h"
#include "script.h"
#include "verify/check.h"

namespace sallyport::crash {

struct Promise {
  std::size_t step = 0;  // given by the step before
  Digest hash{};
};
/// A crashed folder, and what had been promised by then.
struct Inheritance {
  Found found;
  std::map<std::uint64_t, Digest> told;    // index to leaf hash
  std::map<std::uint64_t, Digest> heads;   // signed size to root
};

class Oracle {
 public:
  Oracle(const Keys& keys, const std::vector<Step>& steps, const Inheritance& before);

  /// "" or what is wrong with the state `found`, after `n` steps, that lies in `folder`.
  std::string judge(std::size_t n, const Found& found, const std::string& folder) const;
  /// The same for a real start and stop on it; the verifier must call the result valid.
  std::string reopen(std::size_t n, const std::string& folder) const;
  Inheritance inherit(std::size_t n, Found found) const;
  /// Number of promises after n steps: the same folder with more of them is another state.
  std::uint64_t promises(std::size_t n) const { return counts_[n]; }

 private:
  struct Head {
    std::uint64_t size = 0;
    Digest root{};
    std::string wrong;
  };
  using Leaves = std::vector<Digest>;
  void learn(const Bytes& frames, std::size_t step);
  std::string entries(std::size_t n, const evidence::Recovered& recovered, const std::string& folder, Leaves& out) const;
  std::string promised(std::size_t n, const Leaves& leaves) const;
  std::string verified(const std::string& folder, bool whole) const;
  const Head& remembered(const Found& found, const std::string& folder) const;
  const Head& published(const Found& found, const std::string& folder) const;

  const Keys& keys_;
  verify::NoteKey key_;
  std::vector<std::vector<Promise>> written_;   // by index: every leaf that was ever written there
  std::map<std::uint64_t, Promise> told_;
  std::vector<std::tuple<std::size_t, std::uint64_t, Digest>> heads_;
  std::vector<std::uint64_t> counts_;
  mutable std::unordered_map<std::uint64_t, Head> memory_, notes_;
};

}  // namespace sallyport::crash
