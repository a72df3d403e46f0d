#include "evidence/tile_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

namespace sallyport::evidence {

Result<TileFiles> TileFiles::open(const std::string& directory) {
  const auto folder = directory + "/tiles";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_failure("cannot make " + folder, errno);
  return TileFiles(folder);
}

bool TileFiles::covers(std::uint64_t size) const {
  for (unsigned level = 1; level <= 7 && size >> (8 * level) != 0; ++level) {
    std::error_code error;
    const auto bytes = std::filesystem::file_size(folder_ + "/" + std::to_string(level), error);
    if (error || bytes / 32 < size >> (8 * level)) return false;
  }
  return true;
}

Result<File*> TileFiles::file(unsigned level) {
  auto& out = files_[level / 8 - 1];
  if (out.open()) return &out;
  TRY(out, File::open(folder_ + "/" + std::to_string(level / 8), O_RDWR | O_CREAT));
  return &out;
}

Result<void> TileFiles::put(const TileHashes& hashes) {
  FileOps ops;
  for (const auto& one : hashes) {
    TRY(auto* to, file(one.level));
    TRY_VOID(write_all(ops, *to, one.hash, one.number * 32, folder_));
  }
  return {};
}

Result<void> TileFiles::sync() {
  FileOps ops;
  for (const auto& one : files_)
    if (one.open()) TRY_VOID(evidence::sync(ops, one, folder_));
  return {};
}

std::optional<std::vector<Digest>> read_tile_hashes(const std::string& directory, unsigned tile_level, std::uint64_t first, std::size_t count) {
  const auto file = File::open(directory + "/tiles/" + std::to_string(tile_level), O_RDONLY);
  std::vector<Digest> out(count);
  if (!file || !read_at(*file, {reinterpret_cast<std::uint8_t*>(out.data()), count * 32}, first * 32)) return std::nullopt;
  return out;
}

}  // namespace sallyport::evidence
