#pragma once
// What a gateway's disk holds, as values that can be copied, put back and edited: entries in batches and segments, heads, the alarm.
// It becomes a real evidence directory when recovery or the verifier is to judge it.
#include <string>
#include <vector>

#include "evidence/merkle.h"
#include "evidence/recovery.h"

namespace sallyport::simulation {

constexpr const char* kOrigin = "sim.test/evidence";

/// The leaves of one log; two are the same history up to a size when their marks there are equal.
struct History {
  std::vector<Digest> leaves;
  std::vector<std::uint64_t> marks{0};   // marks[n]: of the first n leaves

  void add(const Digest& leaf);
  void cut(std::size_t size);
  std::uint64_t size() const { return leaves.size(); }
  evidence::CompactRange range(std::uint64_t begin, std::uint64_t end) const;
  Digest root(std::uint64_t size) const { return range(0, size).root(); }
  evidence::NodeSource nodes() const;
};

struct Segment {
  Id16 incarnation{};
  std::uint64_t first = 0;
  std::vector<std::vector<Bytes>> batches;
};

struct Disk {
  std::vector<Segment> segments;
  History history;
  std::vector<std::string> names;      // of `checkpoint`: what the name may be found to stand for, the newest last
  std::string checkpoints, witnessed, all_witnessed, alarm;

  const std::string& checkpoint() const { return names.back(); }
  /// A batch that is durable.
  void append(const std::vector<Bytes>& leaves);
  /// One entry becomes another, and everything that can be mended without the key is.
  void edit(std::uint64_t index, const Bytes& leaf);
  /// Writes it out. `folder` is emptied before.
  void write(const std::string& folder) const;
};

/// A leaf as the writer makes it, without a session.
Bytes leaf_of(const evidence::Entry& entry, std::uint64_t index, std::int64_t wall_ns, std::int64_t mono_ns, const Id16& incarnation);

std::uint64_t size_of(const std::string& note);   // 0 for ""
Digest root_of(const std::string& note);
void write_file(const std::string& path, ByteView bytes);

}  // namespace sallyport::simulation
