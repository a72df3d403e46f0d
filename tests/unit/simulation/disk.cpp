#include "disk.h"

#include <cstring>
#include <filesystem>
#include <fstream>

#include "evidence/cbor.h"
#include "evidence/note.h"

namespace sallyport::simulation {

using namespace evidence;

void History::add(const Digest& leaf) {
  std::uint64_t word = 0;
  std::memcpy(&word, leaf.data(), sizeof word);
  leaves.push_back(leaf);
  marks.push_back((marks.back() ^ word) * 0x9E3779B97F4A7C15u + 1);
}

void History::cut(std::size_t size) {
  leaves.resize(size);
  marks.resize(size + 1);
}

CompactRange History::range(std::uint64_t begin, std::uint64_t end) const {
  CompactRange out(begin);
  for (auto i = begin; i < end; ++i) out.append(leaves[i]);
  return out;
}

NodeSource History::nodes() const {
  return [this](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> {
    if (level != 0) return std::nullopt;
    if (number >= leaves.size()) return fail(ErrorKind::Malformed, "no such leaf");
    return leaves[number];
  };
}

void Disk::append(const std::vector<Bytes>& leaves) {
  segments.back().batches.push_back(leaves);
  for (const auto& leaf : leaves) history.add(leaf_hash(leaf));
}

void Disk::edit(std::uint64_t index, const Bytes& leaf) {
  std::uint64_t at = 0;
  History changed;
  for (auto& segment : segments)
    for (auto& batch : segment.batches)
      for (auto& one : batch) {
        if (at++ == index) one = leaf;
        changed.add(leaf_hash(one));
      }
  history = std::move(changed);
}

void Disk::write(const std::string& folder) const {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder + "/segments");
  SegmentLink link;
  for (const auto& segment : segments) {
    SegmentHeader header;
    header.incarnation = segment.incarnation;
    header.salt = segment.incarnation;
    header.first_index = segment.first;
    header.previous = link.number;
    header.previous_length = link.length;
    header.previous_digest = link.digest;
    header.origin = kOrigin;
    auto file = encode_header(header);
    auto index = segment.first;
    for (const auto& batch : segment.batches) {
      FrameBuilder frame;
      frame.begin({});
      for (const auto& leaf : batch) {
        frame.entry(leaf.size());
        frame.payload().insert(frame.payload().end(), leaf.begin(), leaf.end());
      }
      frame.close(FrameType::Batch, index, header.salt);
      index += batch.size();
      file.insert(file.end(), frame.bytes().begin(), frame.bytes().end());
      link.digest = sha256(frame.bytes());
    }
    link.number = segment.first;
    link.length = file.size();
    write_file(folder + "/segments/" + segment_name(segment.first), file);
  }
  const auto put = [&](const char* name, const std::string& text) {
    if (!text.empty()) write_file(folder + name, as_bytes(text));
  };
  if (!names.empty()) put("/checkpoint", checkpoint());
  put("/checkpoints", checkpoints);
  put("/checkpoint.witnessed", witnessed);
  put("/checkpoints.witnessed", all_witnessed);
}

Bytes leaf_of(const Entry& entry, std::uint64_t index, std::int64_t wall_ns, std::int64_t mono_ns, const Id16& incarnation) {
  Bytes leaf = {1};
  cbor::put_map(leaf, 5U + entry.body_fields());
  const auto field = [&](std::uint8_t key, std::uint64_t n) { leaf.push_back(key), cbor::put_uint(leaf, n); };
  field(1, index), field(2, static_cast<std::uint64_t>(wall_ns)), field(3, static_cast<std::uint64_t>(mono_ns));
  leaf.push_back(4), cbor::put_bytes(leaf, incarnation);
  field(7, static_cast<std::uint64_t>(entry.kind()));
  leaf.insert(leaf.end(), entry.body().begin(), entry.body().end());
  return leaf;
}

namespace {
Checkpoint head_of(std::string_view note) { return parse_checkpoint(note.substr(0, note.find("\n\n") + 1)).value(); }
}  // namespace

std::uint64_t size_of(const std::string& note) { return note.empty() ? 0 : head_of(note).size; }
Digest root_of(const std::string& note) { return head_of(note).root; }

void write_file(const std::string& path, ByteView bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace sallyport::simulation
