#include "evidence/pruned.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "evidence/cbor.h"
#include "evidence/file_ops.h"

namespace sallyport::evidence {
namespace {

template <std::size_t N>
Result<void> fixed(cbor::Reader& reader, std::array<std::uint8_t, N>& out) {
  TRY(const auto bytes, reader.bytes());
  if (bytes.size() != N) return fail(ErrorKind::Malformed, "a value is not as long as it should be");
  std::ranges::copy(bytes, out.begin());
  return {};
}

Result<void> key(cbor::Reader& reader, std::uint64_t due) {
  TRY(const auto found, reader.uint());
  return found == due ? Result<void>{} : fail(ErrorKind::Malformed, "it has other keys");
}

}  // namespace

Bytes encode_pruned(const Pruned& p) {
  Bytes footer, out;
  encode_footer(p.footer, footer);
  cbor::put_map(out, p.epoch.empty() ? 8 : 9);
  cbor::put_uint(out, 1), cbor::put_uint(out, 1);
  cbor::put_uint(out, 2), cbor::put_bytes(out, footer);
  cbor::put_uint(out, 3), cbor::put_bytes(out, p.incarnation);
  cbor::put_uint(out, 4), cbor::put_uint(out, static_cast<std::uint64_t>(p.kind));
  cbor::put_uint(out, 5), cbor::put_uint(out, p.mono);
  cbor::put_uint(out, 6), cbor::put_uint(out, p.segment);
  cbor::put_uint(out, 7), cbor::put_uint(out, p.length);
  cbor::put_uint(out, 8), cbor::put_bytes(out, p.digest);
  if (!p.epoch.empty()) cbor::put_uint(out, 9), cbor::put_bytes(out, p.epoch);
  return out;
}

Result<Pruned> decode_pruned(ByteView bytes) {
  cbor::Reader reader(bytes);
  Pruned out;
  TRY(const auto count, reader.map());
  if (count != 8 && count != 9) return fail(ErrorKind::Malformed, "it has other keys");
  TRY_VOID(key(reader, 1));
  TRY(const auto version, reader.uint());
  if (version != 1) return fail(ErrorKind::Malformed, "it is of another version");
  TRY_VOID(key(reader, 2));
  TRY(const auto footer, reader.bytes());
  TRY(out.footer, decode_footer(footer));
  TRY_VOID(key(reader, 3));
  TRY_VOID(fixed(reader, out.incarnation));
  TRY_VOID(key(reader, 4));
  TRY(const auto kind, reader.uint());
  out.kind = static_cast<Kind>(kind);
  TRY_VOID(key(reader, 5));
  TRY(out.mono, reader.uint());
  TRY_VOID(key(reader, 6));
  TRY(out.segment, reader.uint());
  TRY_VOID(key(reader, 7));
  TRY(out.length, reader.uint());
  TRY_VOID(key(reader, 8));
  TRY_VOID(fixed(reader, out.digest));
  if (count == 9) {
    TRY_VOID(key(reader, 9));
    TRY(const auto epoch, reader.bytes());
    TRY([[maybe_unused]] const auto facts, read_entry(epoch));
    out.epoch.assign(epoch.begin(), epoch.end());
  }
  if (!reader.at_end()) return fail(ErrorKind::Malformed, "bytes follow it");
  if (out.first() == 0 || out.segment >= out.first()) return fail(ErrorKind::Malformed, "it stands for no entry");
  return out;
}

Result<std::optional<Pruned>> read_pruned(const std::string& directory) {
  const auto path = directory + "/pruned";
  if (::access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::nullopt;
  TRY(const auto bytes, read_file(path));
  auto out = decode_pruned(bytes);
  if (!out) return fail(ErrorKind::Malformed, path + " is damaged: " + out.error().what + "; restore it from a copy");
  return std::optional(std::move(*out));
}

Result<void> remove_pruned_segments(const std::string& directory, std::uint64_t first) {
  const auto folder = directory + "/segments";
  std::error_code error;
  std::vector<std::string> old;
  for (const auto& item : std::filesystem::directory_iterator(folder, error)) {
    const auto name = item.path().filename().string();
    if (name.size() != 24 || !name.ends_with(".seg") || name.find_first_not_of("0123456789") != 20) continue;
    // Names are as long as one another: they compare as their numbers do.
    if (name.substr(0, 20) < fmt::format("{:020}", first)) old.push_back(item.path().string());
  }
  if (error) return fail(ErrorKind::Unavailable, "cannot list " + folder + ": " + error.message());
  std::ranges::sort(old);
  for (const auto& path : old)
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_failure("cannot remove " + path, errno);
  return old.empty() ? Result<void>{} : sync_folder(folder);
}

}  // namespace sallyport::evidence
