#include "disk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "evidence/file_ops.h"

namespace sallyport::crash {
namespace fs = std::filesystem;

namespace {

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}
/// Files that wait to become segments: no part of the log, and large.
bool is_waiting(const std::string& path) { return path.starts_with("segments/") && !path.ends_with(".seg"); }

}  // namespace

std::uint64_t Image::mix(std::uint64_t v) {
  v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9U;
  v = (v ^ v >> 27) * 0x94D049BB133111EBU;
  return v ^ v >> 31;
}

void Image::refresh(std::size_t from, std::size_t to) {
  sectors_.resize((bytes_.size() + kSector - 1) / kSector);
  for (auto i = from / kSector; i < sectors_.size() && i * kSector < to; ++i) {
    std::uint64_t hash = 0;
    const auto end = std::min(bytes_.size(), (i + 1) * kSector);
    for (auto at = i * kSector; at < end; at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, &bytes_[at], std::min<std::size_t>(8, end - at));
      if (word != 0) hash += mix(word ^ at * 0x9E3779B97F4A7C15U);
    }
    print_ ^= sectors_[i] ^ hash;
    sectors_[i] = hash;
  }
}

void Image::write(std::uint64_t at, ByteView data) {
  if (data.empty()) return;
  if (at + data.size() > bytes_.size()) bytes_.resize(at + data.size());
  std::memcpy(&bytes_[at], data.data(), data.size());
  refresh(at, at + data.size());
}

void Image::resize(std::uint64_t size) {
  for (auto i = (size + kSector - 1) / kSector; i < sectors_.size(); ++i) print_ ^= sectors_[i];
  const auto before = bytes_.size();
  bytes_.resize(size);
  refresh(std::min<std::uint64_t>(before, size) / kSector * kSector, std::min<std::uint64_t>(before, size) + 1);
}

std::uint64_t Found::print() const {
  std::uint64_t out = 0;
  for (const auto& folder : folders) out = Image::mix(out ^ std::hash<std::string>()(folder));
  for (const auto& [name, image] : files) out = Image::mix(out ^ std::hash<std::string>()(name)) ^ image->print();
  return Image::mix(out);
}

Disk::Disk(const Found& base, std::map<std::string, std::uint32_t>& numbers) : folders_(base.folders) {
  for (const auto& [name, image] : base.files) {
    const auto number = static_cast<std::uint32_t>(files_.size());
    files_[number].synced = image;
    names_[name] = numbers[name] = number;
  }
}

void Disk::rename(std::map<std::string, std::uint32_t>& names, std::set<std::string>& folders, const Step& step) {
  switch (step.what) {
    case Step::Create: names[step.path] = step.file; break;
    case Step::Remove: names.erase(step.path); break;
    case Step::MakeFolder: folders.insert(step.path); break;
    default:
      if (const auto at = names.find(step.path); at != names.end()) {
        names[step.to] = at->second;
        names.erase(step.path);
      }
  }
}

void Disk::step(const Step& step) {
  switch (step.what) {
    case Step::Create:
      files_[step.file];
      pending_[folder_of(step.path)].pending.push_back(&step);
      break;
    case Step::Rename:
    case Step::Remove:
    case Step::MakeFolder: pending_[folder_of(step.path)].pending.push_back(&step); break;
    case Step::Write:
    case Step::Resize: files_[step.file].pending.push_back(&step); break;
    case Step::Sync: {
      auto& file = files_[step.file];
      Image synced = *file.synced;
      for (const auto* one : file.pending) one->what == Step::Write ? synced.write(one->at, one->data) : synced.resize(one->at);
      file.synced = std::make_shared<Image>(std::move(synced));
      file.pending.clear();
      break;
    }
    case Step::SyncFolder: {
      auto& names = pending_[step.path];
      for (const auto* one : names.pending) rename(names_, folders_, *one);
      names.pending.clear();
      break;
    }
    default: break;
  }
}

bool Disk::open() const {
  return std::ranges::any_of(files_, [](const auto& f) { return !f.second.pending.empty(); }) ||
         std::ranges::any_of(pending_, [](const auto& f) { return !f.second.pending.empty(); });
}

std::shared_ptr<const Image> Disk::settle(const File& file, Loss loss, unsigned percent, bool whole, bool longer, std::mt19937_64& random) const {
  if (loss == Loss::AllUnsynced || file.pending.empty()) return file.synced;
  auto result = std::make_shared<Image>(*file.synced);
  auto& out = *result;
  for (const auto* one : file.pending) {
    if (one->what == Step::Resize) {
      if (loss == Loss::Nothing || keep(random, percent)) out.resize(one->at);
      continue;
    }
    if (loss == Loss::Nothing || (whole && keep(random, percent))) {
      out.write(one->at, one->data);
      continue;
    }
    if (whole) continue;
    // The length may be on the disk before the bytes: zeros.
    if (longer && one->at + one->data.size() > out.bytes().size()) out.resize(one->at + one->data.size());
    for (std::size_t from = 0; from < one->data.size();) {
      const auto to = std::min<std::uint64_t>(one->data.size(), ((one->at + from) / kSector + 1) * kSector - one->at);
      if (keep(random, percent)) out.write(one->at + from, ByteView(one->data).subspan(from, to - from));
      from = to;
    }
  }
  return result;
}

Found Disk::crash(Loss loss, std::mt19937_64& random) const {
  static constexpr std::array<unsigned, 4> kPercent = {50, 50, 85, 15};
  const auto percent = kPercent[random() % kPercent.size()];
  const bool whole = random() % 3 == 0, longer = random() % 2 == 0;
  Found out;
  out.folders = folders_;
  auto names = names_;
  // Folders are independent of each other; what is done to one becomes durable in its order.
  for (const auto& [folder, of] : pending_) {
    const auto n = loss == Loss::Nothing ? of.pending.size() : loss == Loss::AllUnsynced ? 0 : random() % (of.pending.size() + 1);
    for (std::size_t i = 0; i < n; ++i) rename(names, out.folders, *of.pending[i]);
  }
  for (const auto& [name, number] : names) {
    const auto folder = folder_of(name);
    if (is_waiting(name) || (!folder.empty() && !out.folders.contains(folder))) continue;
    out.files.emplace(name, settle(files_.at(number), loss, percent, whole, longer, random));
  }
  return out;
}

Stage::Stage(std::string path) : path_(std::move(path)) { forget(); }

void Stage::forget() {
  fs::remove_all(path_);
  fs::create_directories(path_);
  shown_ = {};
}

void Stage::show(const Found& found) {
  for (const auto& [name, image] : shown_.files)
    if (!found.files.contains(name)) fs::remove(path_ + "/" + name);
  for (const auto& folder : shown_.folders)
    if (!found.folders.contains(folder)) fs::remove(path_ + "/" + folder);
  for (const auto& folder : found.folders)
    if (!shown_.folders.contains(folder)) fs::create_directories(path_ + "/" + folder);
  for (const auto& [name, image] : found.files) {
    const auto before = shown_.files.find(name);
    const bool there = before != shown_.files.end();
    if (there && before->second->print() == image->print()) continue;
    const evidence::File file = std::move(*evidence::File::open(path_ + "/" + name, O_WRONLY | O_CREAT));
    const auto& bytes = image->bytes();
    if (!there || before->second->bytes().size() != bytes.size()) (void)::ftruncate(file.fd(), static_cast<off_t>(bytes.size()));
    for (std::size_t i = 0; i * kSector < bytes.size(); ++i) {
      if ((there ? before->second->sector(i) : 0) == image->sector(i)) continue;
      auto end = i + 1;
      while (end * kSector < bytes.size() && (there ? before->second->sector(end) : 0) != image->sector(end)) ++end;
      const auto size = std::min(bytes.size(), end * kSector) - i * kSector;
      if (::pwrite(file.fd(), &bytes[i * kSector], size, static_cast<off_t>(i * kSector)) != static_cast<ssize_t>(size)) std::abort();
      i = end - 1;
    }
  }
  shown_ = found;
}

Found look(const std::string& path) {
  Found out;
  for (const auto& item : fs::recursive_directory_iterator(path)) {
    const auto name = fs::relative(item.path(), path).string();
    if (item.is_directory()) out.folders.insert(name);
    else if (!is_waiting(name)) {
      auto image = std::make_shared<Image>();
      image->write(0, *evidence::read_file(item.path().string()));
      out.files[name] = std::move(image);
    }
  }
  return out;
}

}  // namespace sallyport::crash
