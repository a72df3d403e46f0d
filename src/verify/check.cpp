// Streaming the segments and the heads. Rules between entries are in rules.cpp.
#include "verify/check.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "verify/cbor.h"
#include "verify/heads.h"
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

/// The number in a segment's name; 0 when it is none.
std::uint64_t number_of(const std::string& name) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  return error == std::errc() && end == name.data() + name.size() ? out : 0;
}

/// "entries 4 to 7": what the i-th subtree of a compact range covers.
std::string covered(std::uint64_t size, std::size_t i) {
  std::uint64_t from = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const auto width = std::uint64_t{1} << bit;
    if ((size & width) == 0) continue;
    if (i-- == 0) return width == 1 ? "entry " + std::to_string(from) : "entries " + std::to_string(from) + " to " + std::to_string(from + width - 1);
    from += width;
  }
  return "its entries";
}

std::size_t used(View bytes) {
  auto n = bytes.size();
  while (n > 0 && bytes[n - 1] == 0) --n;
  return n;
}

/// True when what lies from `at` to the file's end can be a frame whose write made the file longer and of which a crash left some
/// 512-byte sectors only: one of them is zeros, or the file ends at one's end and before the frame's.
bool lacks_sector(View file, std::size_t at) {
  for (std::size_t from = at, end = 0; from < file.size(); from = end) {
    end = std::min(file.size(), (from / 512 + 1) * 512);
    if (all_zero(file.subspan(from, end - from))) return true;
  }
  const auto room = file.size() - at - kFrame, stated = static_cast<std::size_t>(little(file, at + 4, 4));
  if (file.size() % 512 != 0 || stated <= room) return false;
  // Not so when the frame is whole and only its length was changed: then the checksum is right for the length it had.
  for (std::size_t length = room; length + 8 > room && length > 0; --length) {
    Blob head(file.begin() + static_cast<std::ptrdiff_t>(at), file.begin() + static_cast<std::ptrdiff_t>(at + 40));
    for (std::size_t i = 0; i < 4; ++i) head[4 + i] = static_cast<std::uint8_t>(length >> (8 * i));
    if (crc32c(crc32c(0, head), file.subspan(at + kFrame, length)) == little(file, at + 40, 4)) return false;
  }
  return true;
}

struct Parsed {
  Entry entry;
  std::string wrong;            // "" or why it is none
};

class Checker {
 public:
  explicit Checker(const Settings& settings) : settings_(settings), rules_(report_, settings), heads_(settings, report_, rules_) {}

  Report run() {
    heads_.read();
    read_beginning();
    read_segments();
    for (auto& segment : segments_) {
      walk(segment);
      segment.file.leave();
    }
    judge_tail("");
    rules_.finish();
    heads_.pass(tree_);
    heads_.judge(tree_.size());
    judge_prunes();
    report_.entries = tree_.size();
    report_.segments = segments_.size();
    if (report_.fault_count > 0) report_.verdict = Report::Invalid;
    else if (report_.signed_entries < report_.entries || report_.entries == 0 || torn_ || (settings_.quorum != 0 && report_.witnessed_entries < report_.entries)) report_.verdict = Report::Incomplete;
    return std::move(report_);
  }

 private:
  void fault(std::string code, std::string what, const Segment* segment = nullptr, std::optional<std::uint64_t> offset = {}, std::optional<std::uint64_t> index = {}) {
    rules_.fault({std::move(code), std::move(what), segment ? segment->path : "", offset, index});
  }

  /// What stands for pruned entries. Whether it may is judged when the log was read.
  void read_beginning() {
    const auto path = settings_.directory + "/pruned";
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return;
    std::string why;
    const auto file = File::read(path, why);
    auto& pruned = pruned_.emplace();
    if (file) why = read_pruned(file->bytes(), pruned);
    if (why.empty() && !rules_.go_on_from(pruned)) why = "the announcement in it is none";
    if (!why.empty()) {
      rules_.fault({"pruned", path + ": " + why, path, {}, {}});
      return pruned_.reset();
    }
    tree_ = Tree(pruned.first, pruned.range);
    roots_[pruned.first] = tree_.root();
    report_.first_entry = pruned.first;
    heads_.begin_at(pruned.first);
  }

  /// A prune is an entry under a signed head, and names exactly what is there in place of what is gone.
  void judge_prunes() {
    const Rules::Prune* due = nullptr;
    for (const auto& one : rules_.prunes()) {
      const auto root = roots_.find(one.first);
      if (root != roots_.end() && root->second != one.root) rules_.fault({"pruned", one.said + ": it names another root than that of the first " + std::to_string(one.first) + " entries", "", {}, one.index});
      if (pruned_ && one.index < report_.signed_entries && one.first == pruned_->first && one.root == roots_[one.first] && one.digest == pruned_->digest) due = &one;
      if (one.first > report_.first_entry) report_.notes.push_back(one.said + ": what it names is still there");
    }
    if (!pruned_) return;
    if (due != nullptr) return report_.notes.push_back("entries 0 to " + std::to_string(pruned_->first - 1) + " were pruned, as " + due->said + " tells");
    rules_.fault({"pruned", "no prune that the log tells of under a signed head is the one that the file pruned stands for", settings_.directory + "/pruned", {}, {}});
    rules_.fault({"segment-missing", "the log begins with entry " + std::to_string(pruned_->first) + ": the segments before it are missing", "", {}, pruned_->first});
  }

  void read_segments() {
    std::error_code error;
    std::vector<std::string> paths;
    for (const auto& one : std::filesystem::directory_iterator(settings_.directory + "/segments", error))
      if (one.path().extension() == ".seg") paths.push_back(one.path());
    if (error) return fault("no-segments", "there is no folder of segments in " + settings_.directory + ": " + error.message());
    std::ranges::sort(paths);
    if (pruned_) {
      const auto left = std::erase_if(paths, [&](const std::string& path) { return number_of(std::filesystem::path(path).stem().string()) < pruned_->first; });
      if (left > 0) report_.notes.push_back(std::to_string(left) + " segments of pruned entries are still there: the next start of the gateway removes them");
    }
    for (const auto& path : paths) {
      std::string why;
      // The last one can be cut to its footer by a gateway that runs: a copy cannot change under us.
      auto file = path == paths.back() ? File::read(path, why) : File::open(path, why);
      if (!file) {
        rules_.fault({"segment-unreadable", why, path, {}, {}});
        continue;
      }
      Header header;
      const auto name = std::filesystem::path(path).stem().string();
      if (auto wrong = read_header(file->bytes(), header); !wrong.empty()) {
        // A crash can leave a file that was just being made: as the very last one, and with no entry that was signed.
        if (path != paths.back() || heads_.largest() > number_of(name)) {
          rules_.fault({"segment-header", wrong, path, 0, {}});
        } else {
          torn_ = torn_ || !all_zero(file->bytes());
          report_.notes.push_back(path + ": " + wrong + ", as a crash at its making leaves it");
        }
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
    if (i == 0 && pruned_) {
      const auto& h = segment.header;
      if (h.first != pruned_->first || h.previous != pruned_->segment || h.previous_length != pruned_->length || h.previous_digest != pruned_->last_frame)
        fault("segment-missing", segment.path + " does not follow the segments that were pruned", &segment);
      return;
    }
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
    roots_[tree_.size()] = tree_.root();
    std::size_t at = kHeader;
    std::uint64_t entries = 0, chunks = 0;
    View last_frame = bytes.first(kHeader);  // a header stands in for a frame where there is none
    bool footer = false;
    FrameReader frames(segment.file, segment.end, segment.header.salt);
    while (at < segment.end) {
      auto& frame = frames.next();
      if (frame.what == Frame::End) break;
      if (frame.what == Frame::Bad && !altered(segment, frame)) break;
      if (footer) fault("after-footer", "something follows the footer", &segment, at);
      if (frame.first != tree_.size() && !lost_)
        fault("frame-order", "a frame says it begins with entry " + std::to_string(frame.first) + ", due is " + std::to_string(tree_.size()), &segment, at, tree_.size());
      if (frame.what == Frame::Footer) {
        footer = true;
        check_footer(segment, frame, entries, chunks);
      } else {
        take_records(segment, frame);
        const auto of_frame = static_cast<std::uint64_t>(std::ranges::count(frame.records, 1, &Record::type));
        entries += of_frame;
        chunks += static_cast<std::uint64_t>(std::ranges::count(frame.records, 2, &Record::type));
      }
      last_frame = bytes.subspan(at, frame.length);
      at += frame.length;
    }
    close(segment, at, last_frame, footer);
  }

  /// The walk of a segment is over at `at`: is that where it should be?
  void close(Segment& segment, std::size_t at, View last_frame, bool footer) {
    const auto bytes = segment.file.bytes();
    if (segment.last) return close_last(segment, at, footer);
    const auto& next = *(&segment + 1);
    if (at != next.header.previous_length)
      fault("segment-truncated", "its valid frames end at byte " + std::to_string(at) + ", the segment after it says " + std::to_string(next.header.previous_length), &segment, at, tree_.size());
    else if (Sha256().add(last_frame).done() != next.header.previous_digest)
      fault("segment-chain", "its last frame is not the one the segment after it names", &segment, at - last_frame.size());
    judge_tail("");
    const auto rest = bytes.subspan(std::min(at, bytes.size()));
    if (const auto n = used(rest); n > 0) tail_ = Tail{segment.path, at, n, Sha256().add(rest.first(n)).done()};
  }

  /// Behind the last valid frame of the log: nothing, or what a crash or a running gateway leaves. Not behind a footer, and not
  /// in a file that was cut to its end, for only a sealed one is.
  void close_last(const Segment& segment, std::size_t at, bool footer) {
    const auto rest = segment.file.bytes().subspan(at);
    const auto n = used(rest);
    if (n == 0) return;
    // A write that made the file longer can lack sectors as well, and ends where the file does.
    const bool cut = rest.size() - n < kFrame && rest.size() >= kFrame && (little(rest, 0, 4) != 1 || little(rest, 16, 4) == 0) && !lacks_sector(segment.file.bytes(), at);
    if (footer) return fault("after-footer", "something follows the footer", &segment, at);
    if (cut) return fault("footer", "the file was sealed, and its footer is not valid: it was changed after it was written", &segment, at, tree_.size());
    torn_ = true;
    report_.notes.push_back(segment.path + ": the " + std::to_string(n) + " bytes from byte " + std::to_string(at) +
                            " on are no valid frame: as a crash in the middle of a write leaves it, or changed before it was signed");
  }

  /// What lay behind the end of a segment with a successor, against the recovery entry that must name it. `found`: "" when the
  /// next segment does not begin with one, for what a failed write left is named nowhere.
  void judge_tail(const std::string& found) {
    if (!tail_) return;
    if (found.empty())
      report_.notes.push_back(tail_->path + ": the " + std::to_string(tail_->size) + " bytes from byte " + std::to_string(tail_->offset) + " on are no part of the log: a write that failed and was refused");
    else if (found != "same")
      rules_.fault({"discarded", found, tail_->path, tail_->offset, {}});
    tail_.reset();
  }
  void judge_tail(const Entry& recovery) {
    if (!tail_ || recovery.kind != Kind::Recovery || !recovery.before) return;
    // A file that was just being made counts as discarded as well and is gone: the number may be larger.
    const auto stated = recovery.discarded.value_or(0);
    if (stated < tail_->size || (stated == tail_->size && recovery.discarded_digest != tail_->digest))
      judge_tail("the bytes behind its end are not the " + std::to_string(stated) + " that " + describe(recovery) + " says were discarded");
    else
      judge_tail("same");
  }

  /// A frame that is not valid. In the middle of the log, or below a signed head, it was changed after it was written: named, and
  /// read on as far as it can be. At the end of the last segment it is what a crash leaves. False ends the segment.
  bool altered(Segment& segment, Frame& frame) {
    const std::uint64_t first = tree_.size();
    const bool was_durable = !segment.last || heads_.largest() > first;
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

  /// Entries are read some records before they are judged: what is known of their sessions comes from memory meanwhile.
  void take_records(Segment& segment, const Frame& frame) {
    const auto& records = frame.records;
    for (std::size_t i = 0, read = 0; i < records.size(); ++i) {
      for (; read < records.size() && read < i + ahead_.size(); ++read) {
        const auto& record = records[read];
        auto& [entry, wrong] = ahead_[read % ahead_.size()];
        if (record.type == 2) rules_.expect(fixed<16>(record.data, 0));
        else if (record.type == 3) continue;
        else if (wrong = read_entry(record.data, entry); entry.session) rules_.expect(*entry.session);
      }
      if (i + ahead_.size() / 2 < records.size()) {
        const auto& soon = records[i + ahead_.size() / 2];
        const auto& [entry, wrong] = ahead_[(i + ahead_.size() / 2) % ahead_.size()];
        if (soon.type == 2) rules_.expect_soon(fixed<16>(soon.data, 0));
        else if (soon.type == 1 && entry.session) rules_.expect_soon(*entry.session);
      }
      const auto& record = records[i];
      const auto offset = frame.offset + kFrame + static_cast<std::uint64_t>(record.data.data() - frame.payload.data());
      if (record.type == 1) {
        const auto& parsed = ahead_[i % ahead_.size()];
        take_entry(segment, offset, record, parsed);
        const bool follows = i + 1 < records.size() && records[i + 1].type == 3;
        if (parsed.wrong.empty() && parsed.entry.veiled != 0) rules_.veiled(parsed.entry, follows ? records[i + 1].data : View{}, follows ? records[i + 1].hash : Hash{});
      } else if (record.type == 3) {
        if (i == 0 || records[i - 1].type != 1 || records[i - 1].data.empty() || records[i - 1].data[0] != 2) fault("veil-missing", "veiled values stand where no entry has veils", &segment, offset, tree_.size());
      } else rules_.chunk(fixed<16>(record.data, 0), little(record.data, 16, 8), segment.file.bytes().subspan(offset, record.data.size()).subspan(kChunkHead), record.hashed ? &record.hash : nullptr, segment.path, offset);
    }
  }

  void take_entry(Segment& segment, std::uint64_t offset, const Record& record, const Parsed& parsed) {
    heads_.pass(tree_);
    const auto& [entry, wrong] = parsed;
    const auto due = tree_.size();
    if (!wrong.empty()) {
      fault("entry-malformed", "entry " + std::to_string(due) + ": " + wrong, &segment, offset, due);
    } else {
      if (entry.index != due && !lost_)
        fault("entry-index", describe(entry) + " stands where entry " + std::to_string(due) + " is due", &segment, offset, due);
      if (due == segment.header.first) judge_tail(entry);
      heads_.entry(due, entry.wall);
      rules_.entry(entry, segment.path, offset, segment.header.incarnation);
    }
    tree_.add(record.hash);
  }

  void check_footer(Segment& segment, const Frame& frame, std::uint64_t entries, std::uint64_t chunks) {
    if (frame.payload.empty()) return;  // named already
    Cbor reader(frame.payload);
    const auto bad = [&](const std::string& what) { fault("footer", "its footer does not fit its entries: " + what, &segment, frame.offset, tree_.size()); };
    if (reader.map() != 5 || reader.uint() != 1 || reader.uint() != tree_.size() || reader.uint() != 2 || reader.array() != tree_.range().size())
      return bad("it is of another number of entries than the " + std::to_string(tree_.size()) + " there are");
    for (std::size_t i = 0; i < tree_.range().size(); ++i)
      if (!std::ranges::equal(reader.bytes(), tree_.range()[i])) return bad(covered(tree_.size(), i) + " are not what it was written over");
    if (reader.uint() != 3 || reader.uint() != entries || reader.uint() != 4 || reader.uint() != chunks || reader.uint() != 5)
      return bad("it counts other entries or chunks in this segment");
    if (!rules_.same_open_sessions(reader)) fault("footer-sessions", "its footer lists other open sessions than its entries leave", &segment, frame.offset);
  }

  const Settings& settings_;
  Report report_;
  Rules rules_;
  Tree tree_;
  std::vector<Segment> segments_;
  Heads heads_;
  bool lost_ = false;   // entries are missing: indexes are off from here on, and that was said once
  bool torn_ = false;
  std::array<Parsed, 16> ahead_;
  std::optional<Pruned> pruned_;
  std::map<std::uint64_t, Hash> roots_;   // where a prune could end: at the segments' beginnings
  struct Tail {
    std::string path;
    std::uint64_t offset = 0, size = 0;
    Hash digest{};
  };
  std::optional<Tail> tail_;
};

}  // namespace

Report check(const Settings& settings) { return Checker(settings).run(); }

}  // namespace sallyport::verify
