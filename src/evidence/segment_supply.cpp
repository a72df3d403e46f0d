#include "evidence/segment_supply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::evidence {
namespace {

constexpr std::uint64_t kReserve = 1U << 20;
constexpr auto kLook = std::chrono::milliseconds(200);

}  // namespace

SegmentSupply::SegmentSupply(std::string folder, std::uint64_t segment_bytes, double high_water, FileOps& ops)
    : folder_(std::move(folder)), bytes_(segment_bytes), high_water_(high_water), ops_(ops) {
  full_ = ops_.used_share(folder_) > high_water_;
  if (!has("/reserve", kReserve)) (void)prepare("/reserve", kReserve);  // without it a full disk ends the log a little earlier
  thread_ = std::thread([this] { run(); });
}

SegmentSupply::~SegmentSupply() {
  {
    const std::lock_guard lock(wake_mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void SegmentSupply::run() {
  for (;;) {
    {
      std::unique_lock lock(wake_mutex_);
      wake_.wait_for(lock, kLook, [this] { return stop_ || wanted_; });
      if (stop_) return;
      wanted_ = false;
    }
    full_ = ops_.used_share(folder_) > high_water_;
    if (full_) continue;
    const std::lock_guard lock(mutex_);
    if (!has("/next", bytes_)) (void)prepare("/next", bytes_);  // take() tries again and reports
    if (!has("/reserve", kReserve)) (void)prepare("/reserve", kReserve);
  }
}

bool SegmentSupply::has(const std::string& name, std::uint64_t bytes) const {
  struct stat info {};
  return ::stat((folder_ + name).c_str(), &info) == 0 && static_cast<std::uint64_t>(info.st_size) == bytes;
}

/// Under its name only when all of it is zeros on the disk.
Result<void> SegmentSupply::prepare(const std::string& name, std::uint64_t bytes) {
  const auto temporary = folder_ + name + ".tmp";
  TRY(const auto file, File::open(temporary, O_RDWR | O_CREAT | O_TRUNC));
  const auto write = [&]() -> Result<void> {
    if (const int error = ops_.allocate(file.fd(), static_cast<off_t>(bytes)); error != 0) {
      return system_failure("cannot allocate a segment", error);
    }
    FileOps plain;
    const Bytes zeros(std::min<std::uint64_t>(bytes, 1U << 20));
    for (std::uint64_t at = 0; at < bytes; at += zeros.size()) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), bytes - at));
      TRY_VOID(write_all(plain, file, ByteView(zeros).first(n), at, temporary));
    }
    return sync(plain, file, temporary);
  };
  if (auto done = write(); !done) {
    ::unlink(temporary.c_str());
    return done;
  }
  if (::rename(temporary.c_str(), (folder_ + name).c_str()) != 0) return system_failure("cannot rename " + temporary, errno);
  return {};
}

Result<SegmentSupply::Taken> SegmentSupply::take(const std::string& name) {
  const std::lock_guard lock(mutex_);
  std::string from = "/next";
  std::uint64_t bytes = bytes_;
  if (!has(from, bytes)) {
    if (auto made = prepare(from, bytes); !made) {
      if (!has("/reserve", kReserve)) return std::unexpected(made.error());
      from = "/reserve";
      bytes = kReserve;
    }
  }
  const auto path = folder_ + "/" + name;
  if (::rename((folder_ + from).c_str(), path.c_str()) != 0) return system_failure("cannot rename to " + path, errno);
  TRY_VOID(sync_folder(folder_));
  TRY(auto file, File::open(path, O_RDWR));
  {
    const std::lock_guard wake(wake_mutex_);
    wanted_ = true;
  }
  wake_.notify_one();
  return Taken{std::move(file), bytes};
}

}  // namespace sallyport::evidence
