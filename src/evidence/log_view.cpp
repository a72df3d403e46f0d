#include "evidence/log_view.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "evidence/crc32c.h"
#include "evidence/little_endian.h"
#include "evidence/reader.h"
#include "evidence/segment.h"
#include "evidence/tile_files.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kWindow = 64u << 10, kPlacesApart = 256u << 10, kMostSegments = 64;

std::unexpected<Error> missing(std::uint64_t index) {
  return fail(ErrorKind::Malformed, fmt::format("entry {} is not where it should be; run sallyport-verify", index));
}

/// Frame headers come in quick succession where batches are small: they are read through a window.
class Window {
 public:
  explicit Window(const File& file) : file_(file) {}
  /// nullopt at the file's end.
  std::optional<ByteView> at(std::uint64_t offset, std::size_t size) {
    if (offset < from_ || offset + size > from_ + bytes_.size()) {
      bytes_.resize(std::max(kWindow, size));
      const auto n = read_some(file_, bytes_, offset);
      bytes_.resize(n);
      from_ = offset;
      if (n < size) return std::nullopt;
    }
    return ByteView(bytes_).subspan(static_cast<std::size_t>(offset - from_), size);
  }

 private:
  const File& file_;
  std::uint64_t from_ = 0;
  Bytes bytes_;
};

}  // namespace

Result<SignedHead> read_head(const std::string& path) {
  TRY(const auto bytes, read_file(path));
  SignedHead out{std::string(as_text(bytes)), {}};
  const auto split = out.note.find("\n\n");
  if (split == std::string::npos) return fail(ErrorKind::Malformed, path + " is no signed head");
  TRY(out.checkpoint, parse_checkpoint(std::string_view(out.note).substr(0, split + 1)));
  return out;
}

bool receipt_is_of(std::string_view receipts, std::string_view subject, const NameTable& names) {
  bool named = false;
  const auto own = kept_name(subject);
  constexpr std::string_view kExtra = "\nextra ";
  for (auto at = receipts.find(kExtra); at != std::string_view::npos; at = receipts.find(kExtra, at + 1)) {
    const auto text = receipts.substr(at + kExtra.size());
    const auto leaf = from_base64(text.substr(0, text.find('\n')));
    const auto entry = leaf ? decode_entry(*leaf) : Result<StoredEntry>(fail(ErrorKind::Malformed, ""));
    if (!entry) return false;
    const auto who = resolve(names, entry->text(Field::Subject));
    if (!who.empty() && who != own) return false;
    named = named || !who.empty();
  }
  return named;
}

Result<SignedHead> LogView::head(std::uint64_t index) const {
  if (index != UINT64_MAX) {
    auto witnessed = read_head(directory_ + "/checkpoint.witnessed");
    if (witnessed && witnessed->checkpoint.size > index) return witnessed;
  }
  return read_head(directory_ + "/checkpoint");
}

/// A prune can have come in between: its file is another one then.
Result<void> LogView::look_for_pruned() {
  struct stat info {};
  std::array<std::uint64_t, 3> now{};
  if (::stat((directory_ + "/pruned").c_str(), &info) == 0)
    now = {info.st_ino, static_cast<std::uint64_t>(info.st_mtim.tv_sec), static_cast<std::uint64_t>(info.st_mtim.tv_nsec)};
  if (now == pruned_) return {};
  TRY(const auto pruned, read_pruned(directory_));
  before_ = pruned ? pruned->tree() : CompactRange();
  pruned_ = now;
  cached_ = UINT64_MAX;
  segments_.clear();
  return {};
}

Result<std::uint64_t> LogView::first() {
  TRY_VOID(look_for_pruned());
  return before_.size();
}

Result<void> LogView::list() {
  std::error_code error;
  std::map<std::uint64_t, Segment> found;
  for (const auto& item : std::filesystem::directory_iterator(directory_ + "/segments", error)) {
    const auto name = item.path().filename().string();
    if (name.size() != 24 || !name.ends_with(".seg") || name.find_first_not_of("0123456789") != 20) continue;
    const auto number = std::stoull(name);
    if (number < before_.size()) continue;
    const auto known = segments_.find(number);
    found[number] = known != segments_.end() && segments_.size() < kMostSegments ? std::move(known->second) : Segment{item.path(), {}};
  }
  if (error) return fail(ErrorKind::Unavailable, "cannot list " + directory_ + "/segments: " + error.message());
  segments_ = std::move(found);
  return {};
}

Result<void> LogView::read_frames(Segment& segment, std::uint64_t bound, std::uint64_t& next, std::uint64_t end,
                                  const std::function<void(std::uint64_t, ByteView)>& visit) {
  TRY(const auto file, File::open(segment.path, O_RDONLY));
  Window window(file);
  const auto head = window.at(0, kSegmentHeader);
  const auto header = head ? decode_header(*head) : fail(ErrorKind::Malformed, "no header");
  if (!header) return {};  // being prepared
  auto near = segment.places.upper_bound(next);
  auto offset = near == segment.places.begin() ? std::uint64_t{kSegmentHeader} : std::prev(near)->second;
  while (next < end && offset < bound) {
    const auto bytes = window.at(offset, kFrameHeader);
    if (!bytes || get_le<std::uint32_t>(bytes->data()) != static_cast<std::uint32_t>(FrameType::Batch)) return {};
    if (!std::equal(header->salt.begin(), header->salt.end(), bytes->begin() + 24)) return {};
    const auto length = get_le<std::uint32_t>(bytes->data() + 4), count = get_le<std::uint32_t>(bytes->data() + 16);
    const auto first = get_le<std::uint64_t>(bytes->data() + 8);
    if (segment.places.empty() || offset >= segment.places.rbegin()->second + kPlacesApart) segment.places[first] = offset;
    if (first <= next && next < first + count) {
      const auto frame = window.at(offset, kFrameHeader + length);
      if (!frame || crc32c(frame->subspan(kFrameHeader), crc32c(frame->first(40))) != get_le<std::uint32_t>(frame->data() + 40)) return {};
      auto index = first;
      for (std::size_t at = kFrameHeader; at + 5 <= frame->size();) {
        const auto size = get_le<std::uint32_t>(frame->data() + at + 1);
        if (size > frame->size() - at - 5) return missing(next);
        if ((*frame)[at] == static_cast<std::uint8_t>(RecordType::Entry)) {
          if (index == next && next < end) visit(next++, frame->subspan(at + 5, size));
          ++index;
        }
        at += 5 + size;
      }
    }
    offset += (kFrameHeader + length + 7) / 8 * 8;
  }
  return {};
}

Result<void> LogView::entries(std::uint64_t first, std::uint64_t count, const std::function<void(std::uint64_t, ByteView)>& visit) {
  TRY_VOID(look_for_pruned());
  if (first < before_.size()) return fail(ErrorKind::Denied, fmt::format("entry {} was pruned; the log keeps entries from {} on", first, before_.size()));
  auto next = first;
  for (bool listed = false; next < first + count;) {
    auto at = segments_.upper_bound(next);
    const auto before = next;
    if (at != segments_.begin()) {
      auto bound = UINT64_MAX;
      if (at != segments_.end()) {
        TRY(const auto file, File::open(at->second.path, O_RDONLY));
        Bytes bytes(kSegmentHeader);
        bytes.resize(read_some(file, bytes, 0));
        if (const auto header = decode_header(bytes)) bound = header->previous_length;
      }
      TRY_VOID(read_frames(std::prev(at)->second, bound, next, first + count, visit));
    }
    if (next != before) listed = false;
    else if (listed) return missing(next);
    if (next < first + count && !listed) {
      listed = true;
      TRY_VOID(list());
    }
  }
  return {};
}

Result<void> LogView::each_segment_backwards(const std::function<Result<bool>(std::uint64_t, std::uint64_t)>& visit) {
  TRY_VOID(look_for_pruned());
  TRY_VOID(list());
  TRY(const auto newest, head());
  auto end = newest.checkpoint.size;
  std::vector<std::uint64_t> firsts;
  for (const auto& [first, segment] : segments_)
    if (first < end) firsts.push_back(first);
  for (auto first = firsts.rbegin(); first != firsts.rend(); ++first) {
    TRY(const auto more, visit(*first, end - *first));
    if (!more) return {};
    end = *first;
  }
  return {};
}

NodeSource LogView::nodes() {
  return [this](unsigned level, std::uint64_t number) -> Result<std::optional<Digest>> {
    TRY_VOID(look_for_pruned());
    if (number << level < before_.size()) {
      TRY(const auto found, source_of({&before_})(level, number));
      if (found) return found;
    }
    if (level != 0 && level % 8 == 0) {
      if (const auto hash = read_tile_hashes(directory_, level / 8, number, 1)) return hash->front();
    }
    if (level != 0) return std::nullopt;
    const auto bundle = number / 256, from = std::max(bundle * 256, before_.size());
    if (number < from) return fail(ErrorKind::Denied, fmt::format("entry {} was pruned; the log keeps entries from {} on", number, from));
    if (cached_ != bundle || leaves_.size() <= number - from) {
      TRY(const auto newest, head());
      const auto end = std::min((bundle + 1) * 256, std::max(newest.checkpoint.size, number + 1));
      leaves_.clear();
      cached_ = UINT64_MAX;
      TRY_VOID(entries(from, end - from, [&](std::uint64_t, ByteView leaf) { leaves_.push_back(leaf_hash(leaf)); }));
      cached_ = bundle;
    }
    return leaves_[number - from];
  };
}

Result<Bytes> LogView::tile(unsigned level, std::uint64_t number, std::size_t width) {
  Bytes out;
  const auto source = nodes();
  for (std::size_t i = 0; i < width; ++i) {
    TRY(const auto hash, hash_of((number * 256 + i) << (8 * level), (number * 256 + i + 1) << (8 * level), source));
    out.insert(out.end(), hash.begin(), hash.end());
  }
  return out;
}

Result<Bytes> LogView::bundle(std::uint64_t number, std::size_t width) {
  Bytes out;
  TRY_VOID(entries(number * 256, width, [&](std::uint64_t, ByteView leaf) {
    out.push_back(static_cast<std::uint8_t>(leaf.size() >> 8));
    out.push_back(static_cast<std::uint8_t>(leaf.size()));
    out.insert(out.end(), leaf.begin(), leaf.end());
  }));
  return out;
}

Result<std::string> LogView::receipt(std::uint64_t index) {
  TRY(const auto newest, head(index));
  const auto size = newest.checkpoint.size;
  if (index >= size) return fail(ErrorKind::Unavailable, fmt::format("entry {} is not under a signed head yet (the newest covers {}); that takes 100 ms: try again", index, size));
  Bytes leaf;
  TRY_VOID(entries(index, 1, [&](std::uint64_t, ByteView bytes) { leaf.assign(bytes.begin(), bytes.end()); }));
  TRY(const auto proof, inclusion_proof(index, size, nodes()));
  // Nothing is handed out that would not convince anybody.
  if (!verify_inclusion(leaf_hash(leaf), index, size, proof, newest.checkpoint.root)) {
    return fail(ErrorKind::Malformed, fmt::format("entry {} does not lead to the signed head: run sallyport-verify; if that finds the log valid, remove its folder tiles and start the gateway anew", index));
  }
  auto text = fmt::format("c2sp.org/tlog-proof@v1\nextra {}\nindex {}\n", base64(leaf), index);
  for (const auto& hash : proof) text += base64(hash) + "\n";
  return text + "\n" + newest.note;
}

}  // namespace sallyport::evidence
