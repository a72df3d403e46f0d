// Which segments may go. See retention.h.
#include "evidence/retention.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "base/clock.h"
#include "evidence/reader.h"
#include "evidence/recovery.h"
#include "evidence/veil_keys.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kMostReasons = 8;

struct Segment {
  std::uint64_t number = 0;
  std::string path;
  SegmentHeader header;
  std::uint64_t bound = UINT64_MAX;
  bool ended = false;                           // another one follows
  Footer footer;                                // its own, or made from its entries where a crash left none
  std::uint64_t entries = 0, bytes = 0;
  std::set<std::uint32_t> sessions;
  std::int64_t newest = INT64_MIN;              // of its entries without a session
  bool held = false;                            // one of its entries lies in a held time
  Id16 incarnation{};                           // of its last entry, and
  Kind kind = Kind::NodeStart;
  std::uint64_t mono = 0;
  Bytes epoch;                                  // the newest announcement up to its end
};

struct Session {
  Id16 id{};
  std::uint64_t first = 0, last = 0, entries = 0;
  std::int64_t newest = 0;
  std::size_t segment = 0;                      // the last one with anything of it
  bool closed = false, target_hidden = false;
  std::string target;
  std::map<std::uint64_t, std::uint32_t> pending;  // the segment where the chunks of a payload begin that no entry names yet
};

struct IdHash {
  std::size_t operator()(const Id16& id) const {
    std::size_t out = 0;
    std::memcpy(&out, id.data(), sizeof out);
    return out;
  }
};

/// What the log's own pulse says of nobody need not keep a segment.
bool is_pulse(Kind kind) { return kind == Kind::Heartbeat || kind == Kind::KeyEpoch; }

struct Growing : ScanVisitor {
  explicit Growing(CompactRange& t) : tree(t) {}
  void entry(const EntryFacts&, ByteView leaf) override { tree.append(leaf_hash(leaf)); }
  void chunk(const Id16&, std::uint64_t, ByteView) override {}
  CompactRange& tree;
};

class Planner : ScanVisitor {
 public:
  Planner(const std::string& directory, const RetentionTerms& terms, const Holds& holds, std::uint64_t covered, std::int64_t now)
      : directory_(directory), terms_(terms), longest_(terms.longest()), holds_(holds), covered_(covered), now_(now) {}

  Result<PrunePlan> run() {
    TRY(const auto before, read_pruned(directory_));
    if (before) {
      out_.first_now = before->first();
      epoch_ = before->epoch;
      tree_ = before->tree();
      for (const auto& open : before->footer.open) open_[open.id] = open;
    }
    TRY_VOID(list());
    for (at_ = 0; at_ < segments_.size(); ++at_) TRY_VOID(read());
    if (!error_.what.empty()) return std::unexpected(error_);
    std::size_t end = 0;
    while (end < segments_.size() && may_go(segments_[end])) ++end;
    // No payload may be cut, and what tlog-tiles still has to serve must be there: a whole bundle of 256.
    const auto old = end;
    while (end > 0 && (end == segments_.size() || cut_.contains(static_cast<std::uint32_t>(end)) || (segments_[end].number + 255) / 256 * 256 > covered_)) --end;
    if (end < old && old < segments_.size()) out_.blocks.push_back(fmt::format("no prune can end with entry {}: a payload goes across, or it is less than 256 entries before the newest head that counts", segments_[old].number - 1));
    if (end > 0) take(end);
    for (const auto& session : sessions_)
      if (session.segment >= end) out_.kept.push_back(session.id);
    std::ranges::sort(out_.kept);
    return std::move(out_);
  }

 private:
  Result<void> list() {
    std::error_code error;
    for (const auto& item : std::filesystem::directory_iterator(directory_ + "/segments", error)) {
      const auto name = item.path().filename().string();
      if (name.size() != 24 || !name.ends_with(".seg") || name.find_first_not_of("0123456789") != 20) continue;
      Segment one;
      one.number = std::stoull(name);
      one.path = item.path().string();
      if (one.number >= out_.first_now) segments_.push_back(std::move(one));
    }
    if (error) return fail(ErrorKind::Unavailable, "cannot list " + directory_ + "/segments: " + error.message());
    std::ranges::sort(segments_, {}, &Segment::number);
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      TRY(const auto file, File::open(segments_[i].path, O_RDONLY));
      Bytes bytes(kSegmentHeader);
      bytes.resize(read_some(file, bytes, 0));
      const auto header = decode_header(bytes);
      if (!header && i + 1 == segments_.size()) return segments_.pop_back(), Result<void>{};  // in the making
      if (!header) return std::unexpected(header.error());
      segments_[i].header = *header;
      if (i > 0) segments_[i - 1].bound = header->previous_length;
    }
    return {};
  }

  Result<void> read() {
    auto& one = segments_[at_];
    TRY(const auto bytes, read_file(one.path));
    const auto whole = ByteView(bytes).first(std::min<std::size_t>(bytes.size(), one.bound));
    if (whole.size() < kSegmentHeader) return fail(ErrorKind::Malformed, one.path + " is too short; run sallyport-verify");
    const auto scan = scan_segment(whole, one.header, *this);
    if (one.bound != UINT64_MAX && scan.length != one.bound) return fail(ErrorKind::Malformed, one.path + " is not as long as its successor says; run sallyport-verify");
    one.bytes = scan.length;
    one.ended = one.bound != UINT64_MAX;
    one.epoch = epoch_;
    if (scan.footer) {
      one.footer = *scan.footer;
      tree_ = CompactRange(one.footer.size, one.footer.range);
    } else if (one.ended) {
      Growing growing{tree_};
      (void)scan_segment(whole, one.header, growing);
      one.footer = {tree_.size(), {tree_.hashes().begin(), tree_.hashes().end()}, scan.entries, scan.chunks, {}};
      for (const auto& [id, session] : open_) one.footer.open.push_back(session);
    }
    return {};
  }

  std::uint32_t of(const Id16& id) {
    const auto [found, fresh] = by_id_.try_emplace(id, static_cast<std::uint32_t>(sessions_.size()));
    if (fresh) sessions_.emplace_back().id = id;
    return found->second;
  }

  void entry(const EntryFacts& facts, ByteView leaf) override {
    auto decoded = decode_entry(leaf);
    if (!decoded) {
      error_ = decoded.error();
      return;
    }
    auto& segment = segments_[at_];
    ++segment.entries;
    segment.incarnation = facts.incarnation;
    segment.kind = facts.kind;
    segment.mono = decoded->mono_ns;
    segment.held = segment.held || holds_.of_time(decoded->wall_ns);
    if (facts.epoch != 0) epoch_.assign(leaf.begin(), leaf.end());
    if (!facts.has_session) {
      if (!is_pulse(facts.kind)) segment.newest = std::max(segment.newest, decoded->wall_ns);
      return;
    }
    follow(facts);
    const auto number = of(facts.session);
    segment.sessions.insert(number);
    auto& session = sessions_[number];
    session.segment = at_;
    if (session.entries++ == 0) session.first = facts.index;
    session.last = facts.index;
    session.newest = std::max(session.newest, decoded->wall_ns);
    session.closed = session.closed || facts.kind == Kind::SessionClose;
    if (session.target.empty() && !session.target_hidden) {
      if (decoded->is_veiled(Field::Target)) {
        if (!veil_keys_) veil_keys_.emplace(directory_, segment.header.origin);
        veil_keys_->open(facts.veiled, *decoded);
      }
      session.target = decoded->text(Field::Target);
      session.target_hidden = decoded->is_veiled(Field::Target);
    }
    if (const auto* payload = decoded->payload()) {
      const auto begun = session.pending.find(payload->first_chunk >> 24);
      if (begun == session.pending.end()) return;
      for (auto i = begun->second + 1; i <= at_; ++i) cut_.insert(i);
      session.pending.erase(begun);
    }
  }
  /// What a footer would say of the session.
  void follow(const EntryFacts& facts) {
    auto& session = open_[facts.session];
    session.id = facts.session;
    session.entries = facts.sequence + 1;
    if (facts.kind == Kind::Command) {
      ++session.commands;
      if (facts.allowed) session.open_commands.push_back(facts.index);
    } else if (facts.kind == Kind::Outcome) {
      ++session.outcomes;
      std::erase(session.open_commands, facts.command_index);
    } else if (facts.kind == Kind::SessionClose) {
      open_.erase(facts.session);
    }
  }
  void chunk(const Id16& session, std::uint64_t number, ByteView) override {
    auto& open = open_[session];
    open.id = session;
    ++open.chunks;
    const auto who = of(session);
    segments_[at_].sessions.insert(who);
    sessions_[who].segment = at_;
    sessions_[who].pending.try_emplace(number >> 24, static_cast<std::uint32_t>(at_));
  }

  const Keep& keep_of(const Session& session) const {
    if (session.target.empty()) return longest_;
    const auto found = terms_.targets.find(session.target);
    return found == terms_.targets.end() ? *terms_.otherwise : found->second;
  }

  bool may_go(const Segment& one) {
    auto& why = out_.blocks;
    const auto say = [&](std::string text) {
      if (why.size() < kMostReasons) why.push_back(std::move(text));
    };
    if (!one.ended) say(fmt::format("the segment of entry {} is still being written", one.number));
    if (one.held) say(fmt::format("entries from {} on lie in a time that is held", one.number));
    if (one.newest != INT64_MIN && one.newest > now_ - terms_.otherwise->ns)
      say(fmt::format("entries without a session are kept until {} (default)", utc_text(one.newest + terms_.otherwise->ns)));
    for (const auto number : one.sessions) {
      const auto& session = sessions_[number];
      const auto& keep = keep_of(session);
      if (session.entries == 0) continue;
      if (!session.closed) say(fmt::format("session {} is open", hex(session.id)));
      else if (session.newest > now_ - keep.ns) say(fmt::format("session {} is kept until {} ({})", hex(session.id), utc_text(session.newest + keep.ns), keep.name));
    }
    return why.empty();
  }

  /// The first `end` segments go.
  void take(std::size_t end) {
    const auto& last = segments_[end - 1];
    const auto& next = segments_[end].header;
    out_.pruned = Pruned{last.footer, last.incarnation, last.kind, last.mono, last.number, next.previous_length, next.previous_digest, last.epoch};
    std::set<std::uint32_t> gone;
    for (std::size_t i = 0; i < end; ++i) {
      const auto& one = segments_[i];
      out_.entries += one.entries;
      out_.bytes += one.bytes;
      gone.insert(one.sessions.begin(), one.sessions.end());
    }
    out_.segments = end;
    out_.sessions = gone.size();
    std::uint64_t of_sessions = 0;
    for (const auto number : gone) {
      const auto& session = sessions_[number];
      auto& share = out_.classes[keep_of(session).name];
      ++share.sessions;
      share.entries += session.entries;
      of_sessions += session.entries;
      if (holds_.of_session(session.id)) out_.carried.push_back({session.id, session.first, session.last});
      else if (session.closed && session.segment < end) out_.ended.push_back(session.id);
    }
    out_.classes["default"].entries += out_.entries > of_sessions ? out_.entries - of_sessions : 0;
    for (const auto& hold : holds_.all())
      if (hold.index < out_.pruned->first()) out_.again.push_back(hold);
  }

  const std::string& directory_;
  const RetentionTerms& terms_;
  const Keep longest_;
  const Holds& holds_;
  const std::uint64_t covered_;
  const std::int64_t now_;
  PrunePlan out_;
  std::vector<Segment> segments_;
  std::size_t at_ = 0;
  std::vector<Session> sessions_;
  std::unordered_map<Id16, std::uint32_t, IdHash> by_id_;
  CompactRange tree_;                           // as far as what was read
  std::map<Id16, OpenSession> open_;
  std::set<std::uint32_t> cut_;                 // no prune may end before these segments: a payload goes across
  Bytes epoch_;
  std::optional<VeilKeys> veil_keys_;
  Error error_;
};

}  // namespace

Result<PrunePlan> plan_prune(const std::string& directory, const RetentionTerms& terms, const Holds& holds, std::uint64_t covered, std::int64_t now_ns) {
  if (!terms.otherwise) return fail(ErrorKind::Denied, "nothing is ever pruned here: evidence.retention is not set");
  return Planner(directory, terms, holds, covered, now_ns).run();
}

}  // namespace sallyport::evidence
