#include "cli/pack_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <sstream>

namespace sallyport::cli {
namespace {

constexpr std::string_view kMagic = "sallyport-pack-journal-1";
constexpr std::size_t kBuffer = 1u << 20, kKeepEvery = 4u << 20;

std::string part_of(const std::string& path) { return path + ".part"; }
std::string journal_of(const std::string& path) { return path + ".part.journal"; }

std::string head_line(const PackJournal& journal) {
  return fmt::format("{} {} {} {}\n", kMagic, journal.plan, base64(as_bytes(journal.question)), base64(as_bytes(journal.note)));
}

}  // namespace

std::optional<PackJournal> PackJournal::read(const std::string& path) {
  std::ifstream in(journal_of(path), std::ios::binary);
  std::string line;
  if (!in || !std::getline(in, line) || in.eof()) return std::nullopt;
  std::istringstream words(line);
  std::string magic, question, note;
  PackJournal out;
  if (!(words >> magic >> out.plan >> question >> note) || magic != kMagic) return std::nullopt;
  const auto q = from_base64(question), n = from_base64(note);
  if (!q || !n) return std::nullopt;
  out.question = as_text(*q);
  out.note = as_text(*n);
  return out;
}

std::optional<PackFile::Line> PackFile::parse(const std::string& text) {
  std::istringstream words(text);
  Line out;
  std::string digest, more;
  if (!(words >> out.name >> out.size >> out.crc >> digest) || words >> more) return std::nullopt;
  const auto bytes = from_hex(digest);
  if (!bytes || bytes->size() != out.digest.size()) return std::nullopt;
  std::copy(bytes->begin(), bytes->end(), out.digest.begin());
  return out;
}

Result<PackFile> PackFile::open(const std::string& path, const PackJournal& journal, std::shared_ptr<evidence::FileOps> files) {
  PackFile out;
  out.path_ = path;
  out.files_ = std::move(files);
  const auto found = PackJournal::read(path);
  const auto head = head_line(journal);
  const bool same = found && head_line(*found) == head && ::access(part_of(path).c_str(), F_OK) == 0;
  TRY(out.part_, evidence::File::open(part_of(path), O_RDWR | O_CREAT | (same ? 0 : O_TRUNC)));
  TRY(out.lines_, evidence::File::open(journal_of(path), O_RDWR | O_CREAT | (same ? 0 : O_TRUNC)));
  out.first_line_ = out.journal_at_ = head.size();
  if (!same) {
    TRY_VOID(evidence::write_all(*out.files_, out.lines_, as_bytes(head), 0, journal_of(path)));
    return out;
  }
  // Lines are written when their members are on the disk, so all whole lines are true; a torn last one is not.
  out.before_.open(journal_of(path), std::ios::binary);
  std::string line;
  std::getline(out.before_, line);
  const auto size = static_cast<std::uint64_t>(::lseek(out.part_.fd(), 0, SEEK_END));
  std::uint64_t end = 0;
  while (std::getline(out.before_, line) && !out.before_.eof()) {
    const auto one = parse(line);
    if (!one) break;
    const auto next = end + verify::local_header({one->name, one->size, 0, 0}).size() + one->size;
    if (next > size) break;
    end = next;
    out.journal_at_ += line.size() + 1;
    ++out.before_left_;
  }
  out.before_.clear();
  out.before_.seekg(static_cast<std::streamoff>(out.first_line_));
  if (::ftruncate(out.lines_.fd(), static_cast<off_t>(out.journal_at_)) != 0 || ::ftruncate(out.part_.fd(), static_cast<off_t>(end)) != 0) return evidence::system_failure("cannot shorten " + part_of(path), errno);
  out.resumed_ = out.before_left_ > 0;
  return out;
}

void PackFile::count(const Line& line) {
  if (line.name != room_.name) digests_.add(line.name, line.digest);
}

Result<bool> PackFile::begin(const std::string& name, std::uint64_t size) {
  const auto header = verify::local_header({name, size, at_, 0});
  if (before_left_ > 0) {
    std::string text;
    std::getline(before_, text);
    const auto line = parse(text);
    if (!line || line->name != name || line->size != size) return fail(ErrorKind::Internal, "the journal of the export before does not fit: remove " + journal_of(path_));
    --before_left_;
    at_ = flushed_ = kept_ = at_ + header.size() + size;
    count(*line);
    if (told_) told_(at_);
    return false;
  }
  from_ = at_;
  line_ = {name, size, 0, {}};
  digest_ = verify::Sha256();
  TRY_VOID(append(header));  // the checksum comes when it is known
  return true;
}

Result<void> PackFile::write(ByteView bytes) {
  digest_.add(bytes);
  line_.crc = verify::crc32(line_.crc, bytes);
  return append(bytes);
}

Result<void> PackFile::end() {
  const auto header = verify::local_header({line_.name, line_.size, from_, line_.crc});
  if (at_ != from_ + header.size() + line_.size) return fail(ErrorKind::Internal, fmt::format("{} came out with {} bytes, {} were due", line_.name, at_ - from_ - header.size(), line_.size));
  line_.digest = digest_.done();
  if (from_ >= flushed_) {
    std::copy(header.begin(), header.end(), buffer_.begin() + static_cast<std::ptrdiff_t>(from_ - flushed_));
  } else {
    TRY_VOID(flush());
    TRY_VOID(evidence::write_all(*files_, part_, header, from_, part_of(path_)));
  }
  count(line_);
  waiting_ += fmt::format("{} {} {} {}\n", line_.name, line_.size, line_.crc, hex(line_.digest));
  return at_ - kept_ >= kKeepEvery ? keep() : Result<void>{};
}

Result<void> PackFile::add(const std::string& name, std::string_view content) {
  TRY(const bool due, begin(name, content.size()));
  if (!due) return {};
  TRY_VOID(write(as_bytes(content)));
  return end();
}

Result<void> PackFile::leave_room(const std::string& name, std::uint64_t size) {
  room_ = {name, size, at_, 0};
  return add(name, std::string(size, '\n'));
}

Result<void> PackFile::append(ByteView bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  at_ += bytes.size();
  if (told_) told_(at_);
  return buffer_.size() >= kBuffer ? flush() : Result<void>{};
}

Result<void> PackFile::flush() {
  if (buffer_.empty()) return {};
  TRY_VOID(evidence::write_all(*files_, part_, buffer_, flushed_, part_of(path_)));
  flushed_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<void> PackFile::keep() {
  TRY_VOID(flush());
  if (waiting_.empty()) return {};
  TRY_VOID(evidence::sync(*files_, part_, part_of(path_)));
  TRY_VOID(evidence::write_all(*files_, lines_, as_bytes(waiting_), journal_at_, journal_of(path_)));
  TRY_VOID(evidence::sync(*files_, lines_, journal_of(path_)));
  journal_at_ += waiting_.size();
  waiting_.clear();
  kept_ = at_;
  return {};
}

Result<void> PackFile::finish(std::string_view content) {
  if (content.size() != room_.size) return fail(ErrorKind::Internal, "the manifest came out with another length than was planned");
  TRY_VOID(keep());
  room_.crc = verify::crc32(0, as_bytes(content));
  auto header = verify::local_header(room_);
  header.insert(header.end(), content.begin(), content.end());
  TRY_VOID(evidence::write_all(*files_, part_, header, room_.offset, part_of(path_)));
  const auto directory = at_;
  std::uint64_t offset = 0, members = 0;
  std::ifstream lines(journal_of(path_), std::ios::binary);
  lines.seekg(static_cast<std::streamoff>(first_line_));
  for (std::string text; std::getline(lines, text);) {
    const auto line = parse(text);
    if (!line) return fail(ErrorKind::Unavailable, "cannot read " + journal_of(path_));
    const verify::ZipMember member{line->name, line->size, offset, line->name == room_.name ? room_.crc : line->crc};
    TRY_VOID(append(verify::central_record(member)));
    offset += verify::local_header(member).size() + member.size;
    ++members;
  }
  if (offset != directory) return fail(ErrorKind::Unavailable, journal_of(path_) + " lost lines");
  TRY_VOID(append(verify::end_records(members, directory, at_ - directory)));
  TRY_VOID(flush());
  TRY_VOID(evidence::sync(*files_, part_, part_of(path_)));
  if (std::rename(part_of(path_).c_str(), path_.c_str()) != 0) return evidence::system_failure("cannot rename " + part_of(path_), errno);
  std::remove(journal_of(path_).c_str());
  const auto slash = path_.rfind('/');
  return evidence::sync_folder(slash == std::string::npos ? "." : path_.substr(0, slash + 1));
}

}  // namespace sallyport::cli
