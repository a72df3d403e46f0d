#include "evidence/head_signing.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sallyport::evidence {

using std::chrono::steady_clock;

namespace {
constexpr auto kRetry = std::chrono::milliseconds(500);
}

HeadSigning::HeadSigning(const Options& options, std::unique_ptr<Signer> signer, const CompactRange& unsigned_range, TileFiles tiles)
    : directory_(options.directory), signer_(std::move(signer)), every_(options.checkpoint_ns), epoch_(options.epoch_ns),
      queue_(unsigned_range), tiles_(std::move(tiles)) {
  if (!queue_.empty()) unsigned_since_ = steady_clock::now();
  if (auto archive = NoteArchive::open(directory_ + "/checkpoints")) archive_ = std::move(*archive);
}

void HeadSigning::start(Append append) {
  append_ = std::move(append);
  thread_ = std::thread([this] { run(); });
}

HeadSigning::~HeadSigning() { stop(); }

void HeadSigning::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HeadSigning::publish(const std::vector<Added>& added, const TileHashes& tiles) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) unsigned_since_ = steady_clock::now();
    made_.insert(made_.end(), tiles.begin(), tiles.end());
    for (const auto& one : added) queue_.add(one);
    wake = waiting_;
  }
  if (wake) wake_.notify_all();
}

void HeadSigning::seal() {
  const std::lock_guard lock(mutex_);
  sealed_ = true;
}

HeadSigning::Status HeadSigning::status() const {
  const std::lock_guard lock(mutex_);
  Status out{queue_.signed_size(), 0, problem_};
  if (!queue_.empty()) out.unsigned_age_ns = (steady_clock::now() - unsigned_since_).count();
  return out;
}

void HeadSigning::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    // waiting_ is only set while a head may be signed at once: else every batch would wake this thread for nothing.
    waiting_ = true;
    const auto due = epoch_.count() == 0 ? Time::max() : epoch_at_;
    wake_.wait_until(lock, due, [this] { return stop_ || !queue_.empty(); });
    waiting_ = false;
    if (!stop_ && !queue_.announces() && steady_clock::now() >= due) {
      lock.unlock();
      const bool announced = announce();
      epoch_at_ = steady_clock::now() + (announced ? epoch_ : kRetry);
      lock.lock();
    }
    wake_.wait_until(lock, signed_at_ + every_, [this] { return stop_; });
    if (!queue_.empty() && !sign_first(lock)) {
      if (stop_) return;  // the entries stay unsigned until the next start
      wake_.wait_for(lock, kRetry, [this] { return stop_; });
      continue;
    }
    // More may have become durable while the last head was signed.
    if (stop_ && queue_.empty()) return;
  }
}

/// The signer begins the epoch when it gets the entry, as part of what was added. One that is lost on the way is announced again, and
/// soon: heads that the old key signs after an announcement hold only up to the next one of the same key.
bool HeadSigning::announce() {
  const auto next = signer_->next_epoch();
  if (!next) return false;
  Entry entry(Kind::KeyEpoch);
  entry.bytes(Field::EpochKey, next->key).uint(Field::Epoch, next->number);
  return append_(std::move(entry)).has_value();
}

bool HeadSigning::sign_first(std::unique_lock<std::mutex>& lock) {
  const auto began = steady_clock::now();
  const Added first = queue_.ask();
  const bool announces = !first.announcement.empty();
  const bool sealed = std::exchange(sealed_, false);
  const bool archive = sealed || announces || stop_ || began - archived_ >= std::chrono::seconds(1);
  const bool again = !problem_.empty();
  const auto made = std::exchange(made_, {});
  lock.unlock();
  auto tiled = tiles_.put(made);
  if (tiled && sealed) tiled = tiles_.sync();
  auto head = [&]() -> Result<Signed> {
    if (!tiled) return std::unexpected(tiled.error());
    return sign_added(*signer_, first, again);
  }();
  const auto done = head ? write(head->note, archive) : Result<void>(std::unexpected(head.error()));
  lock.lock();
  if (!tiled) made_.insert(made_.begin(), made.begin(), made.end());
  problem_ = done ? "" : "the head of the log cannot be signed: " + done.error().what;
  signed_at_ = steady_clock::now();
  const bool denied = !head && head.error().kind == ErrorKind::Denied;
  broken_ = !done && (denied || signed_at_ - unsigned_since_ > std::chrono::seconds(2));
  if (archive) archived_ = signed_at_;
  if (!done) return false;
  queue_.answered();
  if (announces && !head->begun && epoch_.count() != 0) epoch_at_ = signed_at_ + kRetry;
  unsigned_since_ = began;
  return true;
}

Result<void> HeadSigning::write(const std::string& note, bool archive) {
  FileOps ops;
  const auto path = directory_ + "/checkpoint";
  {
    TRY(const auto file, File::open(path + ".tmp", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    TRY_VOID(write_all(ops, file, as_bytes(note), 0, path));
    // Before its name: after a power loss an empty checkpoint would look like a forged one.
    TRY_VOID(sync(ops, file, path));
  }
  if (std::rename((path + ".tmp").c_str(), path.c_str()) != 0) return system_failure("cannot replace " + path, errno);
  if (!archive) return {};
  if (!archive_) return fail(ErrorKind::Unavailable, "the archive of heads, " + directory_ + "/checkpoints, cannot be opened");
  return archive_->append(note);
}

}  // namespace sallyport::evidence
