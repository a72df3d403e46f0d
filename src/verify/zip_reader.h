#pragma once
// A pack's zip, front to back, in pieces cut anywhere. Every byte that is not a member's content is compared with the only
// spelling there is (zip_form.h); memory does not grow with the file. Pure.
#include "verify/zip_form.h"

namespace sallyport::verify {

struct ZipVisitor {
  virtual ~ZipVisitor() = default;
  /// "" or why there can be no such member here: reading ends with that.
  virtual std::string begin(const ZipMember& member) = 0;
  virtual void data(View bytes) = 0;
  virtual void end(const ZipMember& member, bool crc_is_right) = 0;
};

class ZipReader {
 public:
  explicit ZipReader(ZipVisitor& visitor) : visitor_(visitor) {}
  void feed(View bytes);
  /// "" when it was one whole pack, else what is wrong with its form.
  std::string finish();
  std::uint64_t at() const { return at_; }

 private:
  enum class State { Header, Data, Directory, End, Done, Failed };
  View header(View bytes);
  View content(View bytes);
  View directory(View bytes);
  View end(View bytes);
  void begin_member();
  void end_member();
  void enter_end();
  bool take(View& bytes, std::size_t size);  // fills held_ up to size; true when it is full
  void bad(std::string why);

  ZipVisitor& visitor_;
  State state_ = State::Header;
  std::string why_, before_;
  Blob held_, tail_;
  ZipMember member_;
  std::uint64_t at_ = 0, left_ = 0, members_ = 0, directory_size_ = 0, directory_at_ = 0;
  std::uint32_t crc_ = 0;
  Sha256 due_, seen_;
};

}  // namespace sallyport::verify
