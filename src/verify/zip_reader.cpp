#include "verify/zip_reader.h"

#include <algorithm>

namespace sallyport::verify {
namespace {
constexpr std::size_t kMostName = 256;
}

void ZipReader::feed(View bytes) {
  while (!bytes.empty() && state_ != State::Failed) {
    const auto before = bytes.size();
    switch (state_) {
      case State::Header: bytes = header(bytes); break;
      case State::Data: bytes = content(bytes); break;
      case State::Directory: bytes = directory(bytes); break;
      case State::End: bytes = end(bytes); break;
      case State::Done: return bad("something follows its end");
      case State::Failed: return;
    }
    at_ += before - bytes.size();
  }
}

std::string ZipReader::finish() {
  if (state_ != State::Done && state_ != State::Failed) bad("it ends early");
  return why_;
}

void ZipReader::bad(std::string why) {
  state_ = State::Failed;
  why_ = std::move(why);
}

bool ZipReader::take(View& bytes, std::size_t size) {
  const auto n = std::min(size - std::min(size, held_.size()), bytes.size());
  held_.insert(held_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
  bytes = bytes.subspan(n);
  return held_.size() >= size;
}

View ZipReader::header(View bytes) {
  if (!take(bytes, 4)) return bytes;
  if (little(held_, 0, 4) != kLocalMagic) {
    // What begins now is the directory; its first bytes were read already.
    state_ = State::Directory;
    directory_at_ = members_ == 0 ? 0 : member_.offset;
    left_ = directory_size_;
    if (left_ < 4) return bad("it has no members"), bytes;
    seen_.add(held_);
    left_ -= 4;
    held_.clear();
    return bytes;
  }
  if (!take(bytes, kLocalFixed)) return bytes;
  const auto name = little(held_, 26, 2), extra = little(held_, 28, 2);
  if (name == 0 || name > kMostName || (extra != 0 && extra != kLocalExtra)) return bad("a local header's lengths are wrong"), bytes;
  if (take(bytes, kLocalFixed + name + extra)) begin_member();
  return bytes;
}

void ZipReader::begin_member() {
  const auto name = little(held_, 26, 2);
  member_.name.assign(reinterpret_cast<const char*>(held_.data()) + kLocalFixed, name);
  member_.crc = static_cast<std::uint32_t>(little(held_, 14, 4));
  member_.size = held_.size() > kLocalFixed + name ? little(held_, kLocalFixed + name + 4, 8) : little(held_, 22, 4);
  // member_.offset was set when the member before ended.
  if (local_header(member_) != held_) return bad("a local header is not spelled as the format says");
  if (members_ > 0 && member_.name <= before_) return bad("its members are not in ascending order");
  if (auto why = visitor_.begin(member_); !why.empty()) return bad(std::move(why));
  held_.clear();
  left_ = member_.size;
  crc_ = 0;
  state_ = State::Data;
  if (left_ == 0) end_member();
}

View ZipReader::content(View bytes) {
  const auto part = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
  crc_ = crc32(crc_, part);
  visitor_.data(part);
  left_ -= part.size();
  if (left_ == 0) end_member();
  return bytes.subspan(part.size());
}

void ZipReader::end_member() {
  visitor_.end(member_, crc_ == member_.crc);
  const auto record = central_record(member_);
  due_.add(record);
  directory_size_ += record.size();
  ++members_;
  before_ = member_.name;
  member_.offset += local_header(member_).size() + member_.size;
  state_ = State::Header;
}

View ZipReader::directory(View bytes) {
  const auto part = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size())));
  seen_.add(part);
  left_ -= part.size();
  if (left_ == 0) enter_end();
  return bytes.subspan(part.size());
}

void ZipReader::enter_end() {
  if (seen_.done() != due_.done()) return bad("its directory does not describe its members");
  tail_ = end_records(members_, directory_at_, directory_size_);
  state_ = State::End;
}

View ZipReader::end(View bytes) {
  if (!take(bytes, tail_.size())) return bytes;
  if (held_ != tail_) return bad("its end is not spelled as the format says"), bytes;
  held_.clear();
  state_ = State::Done;
  return bytes;
}

}  // namespace sallyport::verify
