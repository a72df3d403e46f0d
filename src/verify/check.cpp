// Streaming the segments and the heads. Rules between entries are in rules.cpp.
#include "verify/check.h"

#include <algorithm>
#include <filesystem>

#include "verify/cbor.h"
#include "verify/rules.h"
#include "verify/segment.h"
#include "verify/tree.h"

namespace sallyport::verify {
namespace {

struct Segment {
  std::string path, name;
  File file;
  Header header;
  std::uint64_t end = 0;        // bytes that belong to the log
  bool last = false;
};

class Checker {
 public:
  explicit Checker(const Settings& settings) : settings_(settings), rules_(report_, settings) {}

  Report run() {
    read_heads();
    read_segments();
    for (auto& segment : segments_) walk(segment);
    rules_.finish();
    judge_heads();
    report_.entries = tree_.size();
    report_.segments = segments_.size();
    if (report_.fault_count > 0) report_.verdict = Report::Invalid;
    else if (report_.signed_entries < report_.entries || torn_) report_.verdict = Report::Incomplete;
    return std::move(report_);
  }

 private:
  void fault(std::string code, std::string what, const Segment* segment = nullptr, std::optional<std::uint64_t> offset = {}, std::optional<std::uint64_t> index = {}) {
    rules_.fault({std::move(code), std::move(what), segment ? segment->path : "", offset, index});
  }

  struct KnownHead {
    Head head;
    std::string file;
    std::optional<Hash> computed;
  };

  /// Every signed head that is kept: the archive, then the newest.
  void read_heads() {
    std::string why;
    const auto archive = settings_.directory + "/checkpoints", newest = settings_.directory + "/checkpoint";
    if (auto file = File::open(archive, why)) {
      std::string_view rest(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
      while (!rest.empty()) {
        // A note ends with a line of a signature; the empty line after it parts it from the next.
        const auto body = rest.find("\n\n");
        const auto end = body == std::string_view::npos ? body : rest.find("\n\n", body + 2);
        if (end == std::string_view::npos) {
          report_.notes.push_back("the last head in checkpoints is incomplete, as a crash leaves it");
          break;
        }
        take_head(rest.substr(0, end + 1), archive);
        rest.remove_prefix(end + 2);
      }
    }
    if (auto file = File::open(newest, why))
      take_head({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()}, newest);
    else
      report_.notes.push_back("there is no checkpoint: nothing is signed yet");
    std::ranges::sort(heads_, {}, [](const KnownHead& one) { return one.head.size; });
  }

  void take_head(std::string_view note, const std::string& file) {
    std::string why;
    auto head = open_note(note, settings_.key, why);
    ++report_.heads;
    if (!head) return fault("head-signature", "a signed head in " + file + " does not count: " + why);
    if (head->origin != settings_.key.name) return fault("head-origin", "a signed head in " + file + " is of the log " + head->origin + ", the key is of " + settings_.key.name);
    if (!heads_.empty() && heads_.back().file == file && head->size < heads_.back().head.size)
      fault("head-order", "the heads in " + file + " fall from size " + std::to_string(heads_.back().head.size) + " to " + std::to_string(head->size));
    heads_.push_back({*head, file, std::nullopt});
  }

  void read_segments() {
    std::error_code error;
    std::vector<std::string> paths;
    for (const auto& one : std::filesystem::directory_iterator(settings_.directory + "/segments", error))
      if (one.path().extension() == ".seg") paths.push_back(one.path());
    if (error) return fault("no-segments", "there is no folder of segments in " + settings_.directory + ": " + error.message());
    std::ranges::sort(paths);
    for (const auto& path : paths) {
      std::string why;
      auto file = File::open(path, why);
      if (!file) {
        fault("segment-unreadable", why);
        continue;
      }
      Header header;
      const auto name = std::filesystem::path(path).stem().string();
      if (auto wrong = read_header(file->bytes(), header); !wrong.empty()) {
        // A crash can leave a file that was just being made; only as the very last one.
        if (path == paths.back() && file->bytes().size() >= kFrame && all_zero(file->bytes().first(std::min<std::size_t>(file->bytes().size(), kHeader))))
          report_.notes.push_back(path + " is an empty file, as a crash leaves it");
        else
          fault("segment-header", path + ": " + wrong);
        continue;
      }
      segments_.push_back({path, name, std::move(*file), std::move(header), 0, false});
    }
    for (std::size_t i = 0; i < segments_.size(); ++i) chain(i);
  }

  /// A header names the segment before it, how much of that counts, and its last frame.
  void chain(std::size_t i) {
    auto& segment = segments_[i];
    char name[32];
    std::snprintf(name, sizeof name, "%020llu", static_cast<unsigned long long>(segment.header.first));
    if (segment.name != name) fault("segment-name", segment.path + " begins with entry " + std::to_string(segment.header.first) + ", which is not its name", &segment);
    if (segment.header.origin != settings_.key.name)
      fault("segment-origin", segment.path + " is of the log " + segment.header.origin + ", the key is of " + settings_.key.name, &segment);
    segment.last = i + 1 == segments_.size();
    segment.end = segment.last ? segment.file.bytes().size() : std::min<std::uint64_t>(segments_[i + 1].header.previous_length, segment.file.bytes().size());
    if (i == 0) {
      if (segment.header.previous != UINT64_MAX || segment.header.first != 0)
        fault("segment-missing", "the log begins with entry " + std::to_string(segment.header.first) + ": the segments before " + segment.path + " are missing", &segment);
      return;
    }
    if (segment.header.previous != segments_[i - 1].header.first)
      fault("segment-missing", segment.path + " follows the segment that begins with entry " + std::to_string(segment.header.previous) + ", and that is not there", &segment);
  }

  void walk(Segment& segment) {
    const auto bytes = segment.file.bytes();
    if (segment.header.first != tree_.size() && !lost_) {
      fault("segment-gap", segment.path + " begins with entry " + std::to_string(segment.header.first) + ", due is " + std::to_string(tree_.size()), &segment, {}, tree_.size());
      lost_ = true;
    }
    std::size_t at = kHeader;
    std::uint64_t entries = 0, chunks = 0;
    View last_frame = bytes.first(0);
    bool footer = false;
    while (at < segment.end) {
      auto frame = read_frame(bytes, at, segment.end, segment.header.salt);
      if (frame.what == Frame::End) break;
      if (frame.what == Frame::Bad && !altered(segment, frame)) break;
      if (footer) fault("after-footer", "something follows the footer", &segment, at);
      if (frame.first != tree_.size() && !lost_)
        fault("frame-order", "a frame says it begins with entry " + std::to_string(frame.first) + ", due is " + std::to_string(tree_.size()), &segment, at, tree_.size());
      if (frame.what == Frame::Footer) {
        footer = true;
        check_footer(segment, frame, entries, chunks);
      } else {
        for (const auto& record : frame.records) {
          if (record.type == 1) {
            ++entries;
            take_entry(segment, static_cast<std::size_t>(record.data.data() - bytes.data()), record.data);
          } else {
            ++chunks;
            rules_.chunk(fixed<16>(record.data, 0), little(record.data, 16, 8), record.data.subspan(24));
          }
        }
      }
      last_frame = bytes.subspan(at, frame.length);
      at += frame.length;
    }
    close(segment, at, last_frame);
  }

  /// The walk of a segment is over at `at`: is that where it should be?
  void close(Segment& segment, std::size_t at, View last_frame) {
    const auto bytes = segment.file.bytes();
    if (segment.last) {
      if (at < bytes.size() && !all_zero(bytes.subspan(at))) {
        torn_ = true;
        report_.notes.push_back(segment.path + ": what lies behind byte " + std::to_string(at) + " is no valid frame, as a crash in the middle of a write leaves it");
      }
      return;
    }
    const auto& next = *(&segment + 1);
    if (at != next.header.previous_length)
      fault("segment-truncated", "its valid frames end at byte " + std::to_string(at) + ", the segment after it says " + std::to_string(next.header.previous_length), &segment, at, tree_.size());
    else if (!last_frame.empty() && Sha256().add(last_frame).done() != next.header.previous_digest)
      fault("segment-chain", "its last frame is not the one the segment after it names", &segment, at - last_frame.size());
  }

  /// A frame that is not valid. In the middle of the log, or below a signed head, it was changed after it was written: named, and
  /// read on as far as it can be. At the end of the last segment it is what a crash leaves. False ends the segment.
  bool altered(Segment& segment, Frame& frame) {
    const std::uint64_t first = tree_.size();
    const bool was_durable = !segment.last || (!heads_.empty() && heads_.back().head.size > first);
    if (!was_durable) return false;
    std::string named;
    std::uint64_t count = 0;
    for (const auto& record : frame.records) {
      if (record.type != 1) continue;
      Entry entry;
      const auto wrong = read_entry(record.data, entry);
      if (count++ == 0 || !wrong.empty()) named = wrong.empty() ? describe(entry) : "entry " + std::to_string(first + count - 1) + " (" + wrong + ")";
      if (!wrong.empty()) break;
    }
    std::string what = frame.why + ": it was changed after it was written; it holds ";
    if (named.empty()) what += "what should be entry " + std::to_string(first) + (frame.readable && frame.records.empty() ? " (a footer)" : "");
    else what += count > 1 ? std::to_string(count) + " entries from " + named : named;
    fault("entry-altered", what, &segment, frame.offset, first);
    if (!frame.readable) return lost_ = true, false;
    frame.what = frame.records.empty() ? Frame::Footer : Frame::Batch;
    if (frame.what == Frame::Footer) frame.payload = {};
    return true;
  }

  void take_entry(Segment& segment, std::size_t offset, View bytes) {
    while (next_head_ < heads_.size() && heads_[next_head_].head.size == tree_.size()) heads_[next_head_++].computed = tree_.root();
    Entry entry;
    const auto due = tree_.size();
    if (auto wrong = read_entry(bytes, entry); !wrong.empty()) {
      fault("entry-malformed", "entry " + std::to_string(due) + ": " + wrong, &segment, offset, due);
    } else {
      if (entry.index != due && !lost_)
        fault("entry-index", describe(entry) + " stands where entry " + std::to_string(due) + " is due", &segment, offset, due);
      rules_.entry(entry, segment.path, offset, segment.header.incarnation);
    }
    tree_.add(leaf_hash(bytes));
  }

  void check_footer(Segment& segment, const Frame& frame, std::uint64_t entries, std::uint64_t chunks) {
    if (frame.payload.empty()) return;  // named already
    Cbor reader(frame.payload);
    bool ok = reader.map() == 5 && reader.uint() == 1 && reader.uint() == tree_.size() && reader.uint() == 2;
    const auto count = reader.array();
    ok = ok && count == tree_.range().size();
    for (std::uint64_t i = 0; ok && i < count; ++i) ok = std::ranges::equal(reader.bytes(), tree_.range()[i]);
    ok = ok && reader.uint() == 3 && reader.uint() == entries && reader.uint() == 4 && reader.uint() == chunks && reader.uint() == 5;
    if (!ok || !reader.ok())
      return fault("footer", "its footer does not fit its entries: entries of it, or of a segment before, were changed", &segment, frame.offset, tree_.size());
    if (!rules_.same_open_sessions(reader)) fault("footer-sessions", "its footer lists other open sessions than its entries leave", &segment, frame.offset);
  }

  void judge_heads() {
    while (next_head_ < heads_.size() && heads_[next_head_].head.size == tree_.size()) heads_[next_head_++].computed = tree_.root();
    std::uint64_t good = 0;
    for (const auto& [head, file, computed] : heads_) {
      if (head.size > tree_.size()) {
        fault("log-truncated", "a head for " + std::to_string(head.size) + " entries was signed, and the log holds " + std::to_string(tree_.size()) + ": entries " +
                                   std::to_string(tree_.size()) + " to " + std::to_string(head.size - 1) + " are missing", nullptr, {}, tree_.size());
        break;
      }
      if (!computed || *computed != head.root) {
        fault("head-root", "the entries are not the ones that were signed: the tree of the first " + std::to_string(head.size) +
                               " has another root. The first changed one is among entries " + std::to_string(good) + " to " + std::to_string(head.size - 1), nullptr, {}, good);
        break;
      }
      good = head.size;
    }
    report_.signed_entries = good;
  }

  const Settings& settings_;
  Report report_;
  Rules rules_;
  Tree tree_;
  std::vector<Segment> segments_;
  std::vector<KnownHead> heads_;
  std::size_t next_head_ = 0;
  bool lost_ = false;   // entries are missing: indexes are off from here on, and that was said once
  bool torn_ = false;
};

}  // namespace

Report check(const Settings& settings) { return Checker(settings).run(); }

}  // namespace sallyport::verify
