#include "evidence/head_signing.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace sallyport::evidence {

using std::chrono::steady_clock;

HeadSigning::HeadSigning(std::string directory, std::unique_ptr<Signer> signer, std::int64_t every_ns)
    : directory_(std::move(directory)), signer_(std::move(signer)), every_(every_ns), signed_size_(signer_->last().first) {
  // An archive that a crash left in the middle of a note goes on where its last whole one ends.
  if (auto file = File::open(directory_ + "/checkpoints", O_RDWR | O_CREAT)) {
    archive_ = std::move(*file);
    if (const auto bytes = read_file(directory_ + "/checkpoints")) {
      const auto text = as_text(*bytes);
      // A whole note ends in two line feeds after its signatures; the body's own pair is followed by a signature.
      auto end = text.rfind("\n\n");
      while (end != std::string_view::npos && text.substr(0, end).rfind("\n\xE2\x80\x94 ") != text.substr(0, end).rfind('\n')) {
        end = end == 0 ? std::string_view::npos : text.rfind("\n\n", end - 1);
      }
      archive_end_ = end == std::string_view::npos ? 0 : end + 2;
      // Synced, or what is cut off here could come back after the next crash, between the sectors of a newer note.
      FileOps ops;
      if (archive_end_ != text.size() && ::ftruncate(archive_.fd(), static_cast<off_t>(archive_end_)) == 0) (void)ops.sync(archive_.fd());
    }
  }
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

void HeadSigning::publish(const CompactRange& tree, bool sealed) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (tree_.size() <= signed_size_ || tree_.size() == 0) unsigned_since_ = steady_clock::now();
    tree_ = tree;
    sealed_ = sealed_ || sealed;
    wake = waiting_;
  }
  if (wake) wake_.notify_all();
}

HeadSigning::Status HeadSigning::status() const {
  const std::lock_guard lock(mutex_);
  Status out{signed_size_, 0, problem_};
  if (tree_.size() > signed_size_) out.unsigned_age_ns = (steady_clock::now() - unsigned_since_).count();
  return out;
}

void HeadSigning::run() {
  constexpr auto kRetry = std::chrono::milliseconds(500);
  std::unique_lock lock(mutex_);
  for (;;) {
    // waiting_ is only set while a head may be signed at once: else every batch would wake this thread for nothing.
    waiting_ = true;
    wake_.wait(lock, [this] { return stop_ || tree_.size() > signed_size_; });
    waiting_ = false;
    wake_.wait_until(lock, signed_at_ + every_, [this] { return stop_; });
    if (tree_.size() > signed_size_) {
      const auto tree = tree_;
      const auto began = steady_clock::now();
      const bool archive = std::exchange(sealed_, false) || stop_ || began - archived_ >= std::chrono::seconds(1);
      lock.unlock();
      const bool done = sign(tree, archive);
      lock.lock();
      if (done) {
        signed_size_ = tree.size();
        unsigned_since_ = began;
      } else if (stop_) {
        return;  // the entries stay unsigned until the next start
      } else {
        wake_.wait_for(lock, kRetry, [this] { return stop_; });
        continue;
      }
    }
    // More may have become durable while the last head was signed.
    if (stop_ && tree_.size() <= signed_size_) return;
  }
}

bool HeadSigning::sign(const CompactRange& tree, bool archive) {
  const auto note = signer_->sign(tree.size(), tree.root());
  auto done = note ? write(*note, archive) : Result<void>(std::unexpected(note.error()));
  const std::lock_guard lock(mutex_);
  problem_ = done ? "" : "the head of the log cannot be signed: " + done.error().what;
  signed_at_ = steady_clock::now();
  const bool denied = !note && note.error().kind == ErrorKind::Denied;
  broken_ = !done && (denied || signed_at_ - unsigned_since_ > std::chrono::seconds(2));
  if (archive) archived_ = signed_at_;
  return done.has_value();
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
  if (!archive || !archive_.open()) return {};
  TRY_VOID(write_all(ops, archive_, as_bytes(note + "\n"), archive_end_, directory_ + "/checkpoints"));
  archive_end_ += note.size() + 1;
  return sync(ops, archive_, directory_ + "/checkpoints");
}

}  // namespace sallyport::evidence
