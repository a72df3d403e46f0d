#pragma once
// Evidence directories for the verifier's tests: logs that the gateway's own writer made, and forged ones, entry by entry,
// that are signed with the right key all the same: what a gateway with a bug, or an attacker who holds it, could write.
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "evidence/cbor.h"
#include "evidence/crc32c.h"
#include "evidence/note.h"
#include "evidence/session_keys.h"
#include "unit/evidence/log_case.h"
#include "verify/check.h"

namespace sallyport::tamper {

using namespace sallyport::evidence;

inline verify::Report verified(const std::string& directory, const std::string& key, bool with_keys = false, std::vector<std::string> heads = {}) {
  verify::Settings settings;
  settings.directory = directory;
  std::string why;
  const auto parsed = verify::parse_key(key, why);
  EXPECT_TRUE(parsed) << why;
  if (parsed) settings.key = *parsed;
  if (with_keys) settings.keys_directory = directory + "/keys";
  settings.kept_heads = std::move(heads);
  return verify::check(settings);
}
inline bool has(const verify::Report& report, std::string_view code) {
  return std::ranges::any_of(report.faults, [&](const verify::Fault& fault) { return fault.code == code; });
}

inline Bytes bytes_of(const std::string& path) { return *read_file(path); }
inline void write_file(const std::string& path, ByteView bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}
/// Of a log that may be written meanwhile: heads first, or they could be newer than the entries; files in the making left out.
inline void copy(const std::string& from, const std::string& to) {
  for (const std::string part : {"/checkpoint", "/checkpoints", "/signer-head", "/keys/kek", "/keys/session-keys"}) {
    std::filesystem::create_directories(std::filesystem::path(to + part).parent_path());
    if (const auto bytes = read_file(from + part)) write_file(to + part, *bytes);
  }
  std::filesystem::create_directories(to + "/segments");
  for (const auto& item : std::filesystem::directory_iterator(from + "/segments"))
    if (item.path().extension() == ".seg") write_file(to + "/segments/" + item.path().filename().string(), bytes_of(item.path().string()));
}

/// Where the frames of a segment are.
inline std::vector<std::pair<std::size_t, std::size_t>> frames(const Bytes& file) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  for (std::size_t at = kSegmentHeader; at + kFrameHeader <= file.size();) {
    std::uint32_t type = 0, length = 0;
    std::memcpy(&type, &file[at], 4);
    std::memcpy(&length, &file[at + 4], 4);
    if (type == 0) break;
    out.emplace_back(at, (kFrameHeader + length + 7) / 8 * 8);
    at += out.back().second;
  }
  return out;
}
/// Puts the checksum of the frame at `at` right again, as an attacker would.
inline void mend(Bytes& file, std::size_t at) {
  std::uint32_t length = 0;
  std::memcpy(&length, &file[at + 4], 4);
  const auto crc = crc32c(ByteView(file).subspan(at + kFrameHeader, length), crc32c(ByteView(file).subspan(at, 40)));
  std::memcpy(&file[at + 40], &crc, 4);
}

/// Three sessions over three starts, with payloads, a blocked command and an approval: three sealed segments, small ones.
struct Kept : Node {
  /// `fields`: those that are veiled from the second start on.
  explicit Kept(FieldSet fields = 0) {
    for (int i = 0; i < 3; ++i) {
      veil = i == 0 ? FieldSet{0} : fields;
      auto log = open();
      auto s = log->new_session();
      EXPECT_TRUE(log->append_wait(opened(s)));
      EXPECT_TRUE(log->append_wait(command(s, Decision::Blocked)));
      auto asked = Entry(Kind::Command, s);
      const auto ref = Recording::whole(*s, "{\"arguments\":" + std::string(40, 'x') + "}", asked);
      asked.uint(Field::Decision, 1).text(Field::Action, "tools/call").text(Field::Object, "read_ticket").payload(Field::Payload, ref);
      const auto at = log->append_wait(std::move(asked));
      EXPECT_TRUE(at);
      EXPECT_TRUE(log->append_wait(outcome(s, *at)));
      EXPECT_TRUE(log->append_wait(closed(s)));
      log->stop();
    }
  }
  verify::Report verified(bool with_keys = false) const { return tamper::verified(folder.path, keys.second, with_keys); }
  std::string checkpoint() const { return folder.path + "/checkpoint"; }
  std::string checkpoints() const { return folder.path + "/checkpoints"; }
};

/// A log written entry by entry, in one segment or several, one frame an entry, and signed as if all were well.
class Forge {
 public:
  Forge() : key_(signer_from_seed(kOrigin, Digest{1})) {
    verifier = verifier_key_of(key_);
    std::filesystem::create_directories(folder.path + "/segments");
    for (std::size_t i = 0; i < 16; ++i) incarnation[i] = static_cast<std::uint8_t>(i), salt_[i] = 7;
    SegmentHeader header;
    header.incarnation = incarnation;
    header.salt = salt_;
    header.origin = kOrigin;
    file_ = encode_header(header);
  }

  struct Place {
    std::uint64_t index = 0, mono = 0;
    std::optional<std::array<std::uint64_t, 4>> totals;
    std::optional<Id16> session;
    std::uint64_t sequence = 0;
  };
  /// The next entry, at its right place; `bend` may change that.
  std::uint64_t add(const Entry& entry, const std::function<void(Place&)>& bend = {}) {
    Place place;
    place.index = tree_.size();
    place.mono = ++mono_;
    if (const auto& session = entry.session()) {
      auto& s = sessions_[session->id()];
      place.session = session->id();
      place.sequence = s[0]++;
      s[1] += entry.kind() == Kind::Command;
      s[2] += entry.kind() == Kind::Outcome;
      s[3] += const_cast<Entry&>(entry).chunks().size();
      if (entry.kind() == Kind::SessionClose) place.totals = s;
    }
    if (bend) bend(place);
    Bytes leaf = {static_cast<std::uint8_t>(entry.veiled().empty() ? 1 : 2)};
    cbor::put_map(leaf, 5U + (place.session ? 2U : 0U) + (place.totals ? 1U : 0U) + entry.body_fields());
    const auto field = [&](std::uint8_t k, std::uint64_t n) { leaf.push_back(k), cbor::put_uint(leaf, n); };
    field(1, place.index), field(2, 1'700'000'000'000'000'000), field(3, place.mono);
    leaf.push_back(4), cbor::put_bytes(leaf, incarnation);
    if (place.session) leaf.push_back(5), cbor::put_bytes(leaf, *place.session), field(6, place.sequence);
    field(7, static_cast<std::uint64_t>(entry.kind()));
    const auto& body = entry.body();
    leaf.insert(leaf.end(), body.begin(), body.begin() + static_cast<std::ptrdiff_t>(entry.totals_at()));
    if (place.totals) {
      cbor::put_uint(leaf, 32), cbor::put_array(leaf, 4);
      for (const auto n : *place.totals) cbor::put_uint(leaf, n);
    }
    leaf.insert(leaf.end(), body.begin() + static_cast<std::ptrdiff_t>(entry.totals_at()), body.end());
    if (bend_leaf) bend_leaf(leaf);
    return add_leaf(leaf, chunks_of ? *chunks_of : entry.session() ? entry.session()->id() : Id16{}, const_cast<Entry&>(entry).chunks(), record ? *record : entry.veiled());
  }
  std::uint64_t add_leaf(const Bytes& leaf, const Id16& session = {}, const std::vector<Chunk>& chunks = {}, const Bytes& veiled = {}) {
    FrameBuilder frame;
    frame.begin({});
    for (const auto& chunk : chunks) frame.chunk(session, chunk);
    frame.entry(leaf.size());
    frame.payload().insert(frame.payload().end(), leaf.begin(), leaf.end());
    if (!veiled.empty()) frame.veiled(veiled);
    frame.close(FrameType::Batch, tree_.size(), salt_);
    file_.insert(file_.end(), frame.bytes().begin(), frame.bytes().end());
    tree_.append(evidence::leaf_hash(leaf));
    return tree_.size() - 1;
  }
  /// Adds the signed head of what there is to the archive.
  void archive() { archive_ += note() + "\n"; }
  verify::Report verified(bool with_keys = false) {
    write_file(folder.path + "/segments/" + segment_name(0), file_);
    write_file(folder.path + "/checkpoint", as_bytes(note()));
    write_file(folder.path + "/checkpoints", as_bytes(archive_));
    return tamper::verified(folder.path, verifier, with_keys);
  }
  SessionPtr session() {
    Id16 id{};
    id[0] = ++ids_;
    return std::make_shared<SessionRecord>(id, Digest{});
  }
  void start() { add(std::move(Entry(Kind::NodeStart).uint(Field::SignedSize, 0))); }

  static constexpr const char* kOrigin = "forge.test/evidence";
  Folder folder;
  std::string verifier;
  Id16 incarnation{};
  std::function<void(Bytes& leaf)> bend_leaf;
  std::optional<Bytes> record;    // of veiled values, in place of the entry's own; empty: none
  std::optional<Id16> chunks_of;  // the session that the chunks of the next entries say they are of

 private:
  std::string note() const { return sign_note(key_, checkpoint_text({kOrigin, tree_.size(), tree_.root()})); }
  NoteKey key_;
  Id16 salt_{};
  Bytes file_;
  CompactRange tree_;
  std::map<Id16, std::array<std::uint64_t, 4>> sessions_;
  std::string archive_;
  std::uint64_t mono_ = 0;
  std::uint8_t ids_ = 0;
};

}  // namespace sallyport::tamper
