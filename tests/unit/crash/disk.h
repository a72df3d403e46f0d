#pragma once
// What a disk may hold when the power goes: the synced bytes for certain, of the others any 512-byte sectors; of the names of a
// folder those that were synced, and any beginning of what was done since. One thread.
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "trace.h"

namespace sallyport::crash {

constexpr std::size_t kSector = 512;

/// A file's bytes, and a fingerprint of them that costs only what changed.
class Image {
 public:
  void write(std::uint64_t at, ByteView data);
  void resize(std::uint64_t size);
  const Bytes& bytes() const { return bytes_; }
  std::uint64_t print() const { return print_ ^ mix(bytes_.size() + 1); }
  std::uint64_t sector(std::size_t i) const { return i < sectors_.size() ? sectors_[i] : 0; }
  static std::uint64_t mix(std::uint64_t v);

 private:
  void refresh(std::size_t from, std::size_t to);
  Bytes bytes_;
  std::vector<std::uint64_t> sectors_;
  std::uint64_t print_ = 0;
};

/// A whole folder as it is found after the crash.
struct Found {
  std::set<std::string> folders;
  std::map<std::string, std::shared_ptr<const Image>> files;
  std::uint64_t print() const;
};

class Disk {
 public:
  Disk() = default;
  /// Everything in it is durable. `numbers` gets those of its files.
  Disk(const Found& base, std::map<std::string, std::uint32_t>& numbers);
  void step(const Step& step);

  enum class Loss { Nothing, AllUnsynced, Random };
  /// One of the states a crash can leave now.
  Found crash(Loss loss, std::mt19937_64& random) const;
  /// False when only one state is possible.
  bool open() const;

 private:
  struct File {
    std::shared_ptr<const Image> synced = std::make_shared<Image>();
    std::vector<const Step*> pending;
  };
  struct Names {
    std::vector<const Step*> pending;
  };
  static bool keep(std::mt19937_64& random, unsigned percent) { return random() % 100 < percent; }
  std::shared_ptr<const Image> settle(const File& file, Loss loss, unsigned percent, bool whole, bool longer, std::mt19937_64& random) const;
  static void rename(std::map<std::string, std::uint32_t>& names, std::set<std::string>& folders, const Step& step);

  std::map<std::uint32_t, File> files_;
  std::map<std::string, std::uint32_t> names_;  // durable
  std::set<std::string> folders_;               // durable
  std::map<std::string, Names> pending_;        // by folder
};

/// A folder of the machine that is made to hold one state after the other, writing only what differs.
class Stage {
 public:
  explicit Stage(std::string path);
  const std::string& path() const { return path_; }
  void show(const Found& found);
  /// What is there was changed by others: the next show() starts anew.
  void forget();

 private:
  std::string path_;
  Found shown_;
};

/// What lies in a folder of the machine.
Found look(const std::string& path);

}  // namespace sallyport::crash
