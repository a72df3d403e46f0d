#include "evidence/writer.h"

namespace sallyport::evidence {
namespace {

using std::chrono::steady_clock;
constexpr std::size_t kQueueEntries = 1U << 18, kQueueBytes = 256U << 20;
constexpr std::size_t kBatchBytes = 8U << 20;
constexpr auto kPatience = std::chrono::microseconds(200);  // about what one fdatasync takes
constexpr std::size_t kBodyMost = 65000;  // leaves room for the writer's own keys below 65,535

std::size_t weight(Entry& entry) {
  std::size_t n = entry.body().size() + 160;
  for (const auto& chunk : entry.chunks()) n += chunk.ciphertext.size() + 32;
  n += entry.veiled().size();
  return n;
}

/// What still goes through above the high water, so that what runs can end.
bool ends_something(Kind kind) {
  switch (kind) {
    case Kind::Outcome:
    case Kind::SessionClose:
    case Kind::NodeStop:
    case Kind::ApprovalRequested:
    case Kind::ApprovalGranted:
    case Kind::ApprovalDenied:
    case Kind::ApprovalExpired:
    case Kind::ApprovalUsed: return true;
    default: return false;
  }
}

/// What the log and its keepers write about it: also while nothing new is taken.
bool is_of_the_log(Kind kind) {
  switch (kind) {
    case Kind::NodeStart:
    case Kind::Recovery:
    case Kind::Heartbeat:
    case Kind::ConfigApplied:
    case Kind::AuthFailed:
    case Kind::Gap:
    case Kind::SinkFailed:
    case Kind::SinkRecovered:
    case Kind::Prune:
    case Kind::Hold:
    case Kind::Erase:
    case Kind::KeyEpoch: return true;
    default: return false;
  }
}

}  // namespace

Writer::Writer(const Options& options, FileOps& ops, const Clock& clock, SessionKeys keys, std::optional<Names> names, HeadSigning& heads, Recovered found)
    : options_(options), ops_(ops), clock_(clock), keys_(std::move(keys)), names_(std::move(names)), heads_(heads),
      supply_(options.directory + "/segments", options.segment_bytes, options.high_water, ops), next_(found.tree.size()),
      tree_(found.tree), incarnation_(random_id()), open_(std::move(found.open)), link_(found.link), found_(std::move(found)) {
  size_ = next_;
}

Writer::~Writer() { stop(); }

Result<void> Writer::start() {
  auto ops = first_entries();
  if (auto opened = open_segment(); !opened) return opened;
  if (!commit(ops)) return fail(ErrorKind::Unavailable, "the evidence log cannot be written: " + why_not_);
  last_entry_ = steady_clock::now();
  thread_ = std::thread([this] { run(); });
  return {};
}

void Writer::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::optional<Error> Writer::refusal(const Entry& entry, bool chunks_only) const {
  const auto refuse = [this](ErrorKind kind, std::string why) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return Error(kind, std::move(why));
  };
  if (stopped_) return refuse(ErrorKind::Unavailable, "the evidence log is closed");
  if (failed_) {
    const std::lock_guard lock(mutex_);
    return refuse(ErrorKind::Unavailable, "the evidence log cannot be written: " + why_not_);
  }
  if (supply_.full() && !chunks_only && !ends_something(entry.kind())) {
    return refuse(ErrorKind::Unavailable, "the disk of the evidence log is filled above its high water; make room or raise evidence.high_water");
  }
  if (heads_.broken() && !chunks_only && !ends_something(entry.kind())) {
    return refuse(ErrorKind::Unavailable, heads_.status().problem);
  }
  if (nothing_new_ && !chunks_only && !ends_something(entry.kind()) && !is_of_the_log(entry.kind())) {
    const std::lock_guard lock(mutex_);
    return refuse(ErrorKind::Unavailable, why_nothing_new_);
  }
  if (entry.body().size() > kBodyMost) {
    return refuse(ErrorKind::Denied, fmt::format("an evidence entry of {} bytes is over the limit of {}", entry.body().size(), kBodyMost));
  }
  if (queued_.load(std::memory_order_relaxed) >= kQueueEntries || queued_bytes_.load(std::memory_order_relaxed) >= kQueueBytes) {
    return refuse(ErrorKind::Overloaded, "too many entries wait for the evidence log");
  }
  return std::nullopt;
}

void Writer::reckon(Op& op) {
  if (options_.veil != 0) op.entry.veil(options_.veil, keys_.node_key());
  op.bytes = weight(op.entry);
  queued_.fetch_add(1, std::memory_order_relaxed);
  queued_bytes_.fetch_add(op.bytes, std::memory_order_relaxed);
}

void Writer::enqueue(std::span<OpPtr> ops) {
  bool wake = false;
  bool late = false;
  {
    const std::lock_guard lock(mutex_);
    late = stopped_;
    // A patient entry wakes the writer only to start its clock, not again while that runs.
    const bool first = queue_.empty();
    for (const auto& op : ops) urgent_ = urgent_ || !op->entry.is_patient();
    if (!late) std::ranges::move(ops, std::back_inserter(queue_));
    wake = sleeping_ && (urgent_ || first);
    if (wake) sleeping_ = false;
  }
  if (wake) wake_.notify_one();
  if (late) refuse(ops, Error(ErrorKind::Unavailable, "the evidence log is closed"));
}

Result<std::uint64_t> Writer::append(Entry entry) {
  if (auto refused = refusal(entry, false)) return std::unexpected(std::move(*refused));
  std::promise<Result<std::uint64_t>> promise;
  auto future = promise.get_future();
  auto op = std::make_unique<Op>(std::move(entry));
  op->waiting = &promise;
  reckon(*op);
  enqueue({&op, 1});
  return future.get();
}

void Writer::forget(std::string name) {
  const std::lock_guard lock(mutex_);
  forgotten_.push_back(std::move(name));
}

void Writer::refuse_new(const std::string& why) {
  const std::lock_guard lock(mutex_);
  why_nothing_new_ = why;
  nothing_new_ = !why.empty();
}

bool Writer::writable() const { return !failed_ && !stopped_ && !nothing_new_ && !supply_.full() && !heads_.broken(); }

void Writer::status(LogStatus& out) const {
  out.writable = writable();
  out.size = size_;
  out.bytes_written = bytes_;
  out.batches = batches_;
  out.failures = failures_;
  out.refused = refused_;
  if (stopped_) out.why_not = "the evidence log is closed";
  else if (nothing_new_) {
    const std::lock_guard lock(mutex_);
    out.why_not = why_nothing_new_;
  } else if (failed_) {
    const std::lock_guard lock(mutex_);
    out.why_not = why_not_;
  } else if (supply_.full()) out.why_not = "the disk is filled above the high water";
}

bool Writer::take(std::vector<OpPtr>& ops, bool& stopping) {
  std::unique_lock lock(mutex_);
  const auto until = failed_ ? retry_at_ : last_entry_ + std::chrono::nanoseconds(options_.heartbeat_ns);
  if (queue_.empty() && !stopping_) {
    sleeping_ = true;
    wake_.wait_until(lock, until, [this] { return !queue_.empty() || stopping_; });
    sleeping_ = false;
  }
  if (!queue_.empty() && !urgent_ && !stopping_) {
    sleeping_ = true;
    wake_.wait_for(lock, kPatience, [this] { return urgent_ || stopping_; });
    sleeping_ = false;
  }
  urgent_ = false;
  if (names_)
    for (const auto& name : forgotten_) names_->forget(name);
  forgotten_.clear();
  ops.swap(queue_);
  stopping = stopping_;
  if (stopping && ops.empty()) stopped_ = true;  // under the lock: nothing can be queued after this
  return !ops.empty();
}

void Writer::run() {
  std::vector<OpPtr> ops;
  for (;;) {
    bool stopping = false;
    const bool work = take(ops, stopping);
    if (work) {
      write_all_of(ops);
      ops.clear();
    }
    const auto now = steady_clock::now();
    if (failed_ && now >= retry_at_) try_again();
    if (stopping && !work) break;
    if (!failed_ && !stopping && now - last_entry_ >= std::chrono::nanoseconds(options_.heartbeat_ns)) {
      std::vector<OpPtr> beat;
      beat.push_back(std::make_unique<Op>(Entry(Kind::Heartbeat)));
      commit(beat);
    }
  }
  if (failed_) return;
  std::vector<OpPtr> last;
  close_open_sessions(last);
  last.push_back(std::make_unique<Op>(Entry(Kind::NodeStop)));
  if (commit(last)) seal();
}

void Writer::write_all_of(std::span<OpPtr> ops) {
  std::size_t begin = 0;
  std::size_t total = 0;
  for (std::size_t at = 0, bytes = 0; at < ops.size(); ++at) {
    bytes += ops[at]->bytes;
    total += ops[at]->bytes;
    if (bytes < kBatchBytes && at + 1 < ops.size()) continue;
    const auto part = ops.subspan(begin, at + 1 - begin);
    if (failed_) {
      refuse(part, Error(ErrorKind::Unavailable, "the evidence log cannot be written: " + why_not_));
    } else {
      commit(part);
    }
    begin = at + 1;
    bytes = 0;
  }
  queued_.fetch_sub(ops.size(), std::memory_order_relaxed);
  queued_bytes_.fetch_sub(total, std::memory_order_relaxed);
}

}  // namespace sallyport::evidence
