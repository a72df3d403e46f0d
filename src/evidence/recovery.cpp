#include "evidence/recovery.h"

#include <fcntl.h>

#include <filesystem>

namespace sallyport::evidence {
namespace {

std::unexpected<Error> contradiction(const std::string& where, const std::string& what) {
  return fail(ErrorKind::Malformed, "the evidence log is damaged or was changed: " + where + ": " + what +
                                        "; nothing was touched; restore the folder from a copy, or move it away whole and start a new log under a new origin");
}

/// Follows the entries: the tree, the sessions, and the root at the signed size when it passes it.
class Replay : public ScanVisitor {
 public:
  Replay(Recovered& out, std::uint64_t signed_size, const Digest& signed_root)
      : out_(out), signed_size_(signed_size), signed_root_(signed_root) {
    out_.unsigned_range = CompactRange(signed_size);
  }

  void start_at(const Footer& footer) {
    out_.tree = CompactRange(footer.size, footer.range);
    out_.read_from = footer.size;
    for (const auto& s : footer.open) {
      auto& session = of(s.id);
      session.sequence = s.entries;
      session.commands = s.commands;
      session.outcomes = s.outcomes;
      session.chunks = s.chunks;
      session.open_commands = s.open_commands;
    }
    look();
  }

  void entry(const EntryFacts& facts, ByteView leaf) override {
    const auto hash = leaf_hash(leaf);
    if (out_.tree.size() >= signed_size_) out_.unsigned_range.append(hash);
    out_.tree.append(hash, &out_.tiles);
    out_.clean = facts.kind == Kind::NodeStop;
    look();
    if (!facts.has_session) return;
    auto& session = of(facts.session);
    session.sequence = facts.sequence + 1;
    if (facts.kind == Kind::Command) {
      ++session.commands;
      if (facts.allowed) session.open_commands.push_back(facts.index);
    } else if (facts.kind == Kind::Outcome) {
      ++session.outcomes;
      std::erase(session.open_commands, facts.command_index);
    } else if (facts.kind == Kind::SessionClose) {
      out_.open.erase(facts.session);
    }
  }
  void chunk(const Id16& session, std::uint64_t, ByteView) override { ++of(session).chunks; }

  bool contradicts() const { return contradicts_; }

 private:
  SessionRecord& of(const Id16& id) {
    auto& session = out_.open[id];
    if (!session) {
      session = std::make_shared<SessionRecord>(id, Digest{});
      session->key_stored = true;
    }
    return *session;
  }
  void look() {
    if (out_.tree.size() == signed_size_ && signed_size_ != 0 && out_.tree.root() != signed_root_) contradicts_ = true;
  }
  Recovered& out_;
  std::uint64_t signed_size_;
  Digest signed_root_;
  bool contradicts_ = false;
};

struct LastEntry : ScanVisitor {
  bool stop = false;
  void entry(const EntryFacts& facts, ByteView) override { stop = facts.kind == Kind::NodeStop; }
  void chunk(const Id16&, std::uint64_t, ByteView) override {}
};

struct Segment {
  std::uint64_t number = 0;
  std::string path;
  SegmentHeader header;
  std::uint64_t bound = UINT64_MAX;  // how much of it the next one's header counts
};

ByteView bounded(const Bytes& bytes, const Segment& segment) {
  return ByteView(bytes).first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), segment.bound)));
}

std::size_t used(ByteView bytes) {
  auto n = bytes.size();
  while (n > 0 && bytes[n - 1] == 0) --n;
  return n;
}

class Recovery {
 public:
  Recovery(std::string folder, std::string origin, std::uint64_t size, const Digest& root, const std::optional<Pruned>& pruned, FileOps& ops)
      : folder_(std::move(folder)), origin_(std::move(origin)), size_(size), pruned_(pruned), ops_(ops), replay_(out_, size, root) {}

  Result<Recovered> run() {
    TRY_VOID(list());
    TRY_VOID(drop_unborn());
    TRY_VOID(check_beginning());
    TRY_VOID(find_start());
    for (auto i = start_; i < segments_.size(); ++i) TRY_VOID(replay(i));
    if (replay_.contradicts()) return contradiction(folder_, fmt::format("the first {} entries have another root than the signed head", size_));
    if (out_.tree.size() < size_) {
      return contradiction(folder_, fmt::format("it ends at index {}, but a head over {} entries was signed", out_.tree.size(), size_));
    }
    TRY_VOID(keep_last());
    out_.discarded = discarded_.size();
    if (!discarded_.empty()) out_.discarded_digest = sha256(discarded_);
    return std::move(out_);
  }

 private:
  Result<void> list() {
    std::error_code error;
    for (const auto& item : std::filesystem::directory_iterator(folder_, error)) {
      const auto name = item.path().filename().string();
      if (name.size() != 24 || !name.ends_with(".seg") || name.find_first_not_of("0123456789") != 20) continue;
      Segment s;
      try {
        s.number = std::stoull(name.substr(0, 20));
      } catch (const std::out_of_range&) {
        return contradiction(item.path().string(), "no log is that long");
      }
      s.path = item.path().string();
      // What a crash left of a removal; it goes when the rest was found good.
      if (pruned_ && s.number < pruned_->first()) continue;
      segments_.push_back(std::move(s));
    }
    if (error) return fail(ErrorKind::Unavailable, "cannot list " + folder_ + ": " + error.message());
    std::ranges::sort(segments_, {}, &Segment::number);
    return {};
  }

  /// Reads the headers. A last segment without a valid frame never was part of the log; its header, when it is good,
  /// still says how much of the one before counts.
  Result<void> drop_unborn() {
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      auto& s = segments_[i];
      TRY(const auto bytes, read_file(s.path));
      const bool last = i + 1 == segments_.size();
      const auto header = decode_header(bytes);
      if (header) s.header = *header;
      if (header && (header->first_index != s.number || header->origin != origin_)) {
        return contradiction(s.path, "its header names another index or origin (" + header->origin + ")");
      }
      if (header && i > 0 && header->previous_length < kSegmentHeader) return contradiction(s.path, "it counts less than a header of the segment before");
      if (header && i > 0) segments_[i - 1].bound = header->previous_length;
      LastEntry nothing;
      if (last && (!header || scan_segment(bytes, *header, nothing).frames == 0)) {
        discarded_.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(used(bytes)));
        unborn_ = s.number;
        segments_.pop_back();
        if (!header && i > 0) TRY_VOID(end_at(segments_[i - 1], unborn_));
        break;
      }
      if (!header) return contradiction(s.path, header.error().what);
      if (i > 0 && header->previous != segments_[i - 1].number) return contradiction(s.path, "the segment before it is missing");
    }
    out_.any = !segments_.empty();
    return {};
  }

  /// The header that would say how much of the segment before counts is lost, but not its name: what follows there from that
  /// index on was written by a write that failed, and refused.
  Result<void> end_at(Segment& s, std::uint64_t index) {
    TRY(const auto bytes, read_file(s.path));
    LastEntry nothing;
    s.bound = scan_segment(bytes, s.header, nothing, index).length;
    return {};
  }

  Result<void> check_beginning() const {
    if (segments_.empty()) return pruned_ ? contradiction(folder_, "the segments behind the pruned ones are missing") : Result<void>{};
    const auto& s = segments_[0];
    // Below what is kept no root can be compared: whoever remembers less was rolled back.
    if (pruned_ && pruned_->first() > size_) return contradiction(folder_, fmt::format("entries up to {} were pruned, and the notary knows of {} only", pruned_->first(), size_));
    if (!pruned_) return s.number == 0 ? Result<void>{} : contradiction(s.path, "the segments before it are missing");
    const auto& h = s.header;
    if (s.number != pruned_->first() || h.previous != pruned_->segment || h.previous_length != pruned_->length || h.previous_digest != pruned_->digest)
      return contradiction(s.path, "it does not follow the segments that were pruned");
    return {};
  }

  Result<void> find_start() {
    for (auto i = segments_.size(); i-- > 0;) {
      if (i + 1 < segments_.size() ? segments_[i + 1].number > size_ : segments_[i].number > size_) continue;
      TRY(const auto bytes, read_file(segments_[i].path));
      LastEntry last;
      const auto scan = scan_segment(bounded(bytes, segments_[i]), segments_[i].header, last);
      if (!scan.footer || scan.footer->size > size_) continue;
      out_.clean = last.stop;
      replay_.start_at(*scan.footer);
      TRY_VOID(check_link(i, scan));
      start_ = i + 1;
      return {};
    }
    if (pruned_) {
      replay_.start_at(pruned_->footer);
      out_.clean = pruned_->kind == Kind::NodeStop;
    }
    return {};
  }

  Result<void> replay(std::size_t i) {
    TRY(const auto bytes, read_file(segments_[i].path));
    if (segments_[i].number != out_.tree.size()) {
      return contradiction(segments_[i].path, fmt::format("the next entry due is {}", out_.tree.size()));
    }
    const auto scan = scan_segment(bounded(bytes, segments_[i]), segments_[i].header, replay_);
    return check_link(i, scan);
  }

  /// Against what the next segment says; of the last one, remembers what the new segment will say.
  Result<void> check_link(std::size_t i, const Scan& scan) {
    const auto& s = segments_[i];
    const SegmentLink link{s.number, scan.length, sha256(scan.last_frame)};
    if (s.bound != UINT64_MAX && scan.length != s.bound) {
      return contradiction(s.path, fmt::format("{} bytes of it are valid, the next one counts {} ({})", scan.length, s.bound, scan.stopped));
    }
    if (i + 1 < segments_.size()) {
      const auto& next = segments_[i + 1];
      if (next.header.previous_digest != link.digest) return contradiction(next.path, "it follows another segment than the one before it");
      return {};
    }
    out_.incarnation = s.header.incarnation;
    out_.link = link;
    sealed_ = scan.footer.has_value();
    return {};
  }

  /// After a failed fdatasync the page cache may hold what the disk does not: what is kept is written once more.
  Result<void> keep_last() {
    if (segments_.empty()) {
      if (unborn_ != kNoSegment && unborn_ != 0) return contradiction(folder_, "the segments before " + segment_name(unborn_) + " are missing");
      return {};
    }
    if (unborn_ != kNoSegment && unborn_ != out_.tree.size()) {
      return contradiction(folder_ + "/" + segment_name(unborn_), fmt::format("the next entry due is {}", out_.tree.size()));
    }
    const auto& s = segments_.back();
    TRY(const auto bytes, read_file(s.path));
    const auto tail = ByteView(bytes).subspan(static_cast<std::size_t>(out_.link.length));
    discarded_.insert(discarded_.begin(), tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(used(tail)));
    if (sealed_) return {};
    TRY(const auto file, File::open(s.path, O_RDWR));
    TRY_VOID(write_all(ops_, file, ByteView(bytes).first(static_cast<std::size_t>(out_.link.length)), 0, s.path));
    return sync(ops_, file, s.path);
  }

  std::string folder_, origin_;
  std::uint64_t size_;
  const std::optional<Pruned>& pruned_;
  FileOps& ops_;
  Recovered out_;
  Replay replay_;
  std::vector<Segment> segments_;
  std::size_t start_ = 0;
  std::uint64_t unborn_ = kNoSegment;
  bool sealed_ = false;
  Bytes discarded_;
};

}  // namespace

std::string segment_name(std::uint64_t number) { return fmt::format("{:020}.seg", number); }

Result<Recovered> recover(const std::string& segments, const std::string& origin, std::uint64_t signed_size,
                          const Digest& signed_root, const std::optional<Pruned>& pruned, FileOps& ops) {
  return Recovery(segments, origin, signed_size, signed_root, pruned, ops).run();
}

}  // namespace sallyport::evidence
