// Zips of any bytes, fed at once and byte by byte: the same members, the same verdict; and what is taken is the one spelling of its members.
#include "verify/zip_reader.h"

using namespace sallyport::verify;

namespace {
struct Seen : ZipVisitor {
  std::vector<ZipMember> members;
  std::vector<Blob> contents;
  std::vector<bool> right;
  std::string begin(const ZipMember& member) override {
    if (members.size() == 1000) return "too many";
    members.push_back(member);
    contents.emplace_back();
    return "";
  }
  void data(View bytes) override { contents.back().insert(contents.back().end(), bytes.begin(), bytes.end()); }
  void end(const ZipMember&, bool crc) override { right.push_back(crc); }
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const View all(data, size);
  Seen once, slowly;
  ZipReader a(once), b(slowly);
  a.feed(all);
  for (std::size_t i = 0; i < size; ++i) b.feed(all.subspan(i, 1));
  const auto why = a.finish();
  if (why != b.finish() || once.contents != slowly.contents || once.right != slowly.right) __builtin_trap();
  if (!why.empty()) return 0;
  Blob again;
  const auto put = [&](const Blob& bytes) { again.insert(again.end(), bytes.begin(), bytes.end()); };
  for (std::size_t i = 0; i < once.members.size(); ++i) {
    auto& one = once.members[i];
    if (one.size != once.contents[i].size() || one.offset != again.size()) __builtin_trap();
    put(local_header(one)), put(once.contents[i]);
  }
  const auto directory = again.size();
  for (const auto& one : once.members) put(central_record(one));
  put(end_records(once.members.size(), directory, again.size() - directory));
  if (again != Blob(all.begin(), all.end())) __builtin_trap();
  return 0;
}
