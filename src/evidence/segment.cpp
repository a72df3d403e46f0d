#include "evidence/segment.h"

#include "evidence/cbor.h"
#include "evidence/crc32c.h"
#include "evidence/little_endian.h"

namespace sallyport::evidence {
namespace {

constexpr std::string_view kMagic = "SPEVSEG1";

}  // namespace

Bytes encode_header(const SegmentHeader& h) {
  Bytes out(kSegmentHeader);
  std::ranges::copy(as_bytes(kMagic), out.begin());
  put_le<std::uint32_t>(&out[8], 1);
  put_le<std::uint32_t>(&out[12], kSegmentHeader);
  std::ranges::copy(h.incarnation, out.begin() + 16);
  put_le(&out[32], h.first_index);
  std::ranges::copy(h.salt, out.begin() + 40);
  put_le(&out[56], h.previous);
  put_le(&out[64], h.previous_length);
  std::ranges::copy(h.previous_digest, out.begin() + 72);
  put_le(&out[104], h.created_wall_ns);
  put_le(&out[112], static_cast<std::uint16_t>(h.origin.size()));
  std::ranges::copy(as_bytes(h.origin), out.begin() + 114);
  put_le<std::uint32_t>(&out[4092], crc32c(ByteView(out).first(4092)));
  return out;
}

Result<SegmentHeader> decode_header(ByteView file) {
  if (file.size() < kSegmentHeader) return fail(ErrorKind::Malformed, "segment is shorter than its header");
  const auto* at = file.data();
  if (as_text(file.first(8)) != kMagic) return fail(ErrorKind::Malformed, "segment does not begin with SPEVSEG1");
  if (get_le<std::uint32_t>(at + 4092) != crc32c(file.first(4092))) return fail(ErrorKind::Malformed, "segment header has a wrong CRC");
  if (get_le<std::uint32_t>(at + 8) != 1 || get_le<std::uint32_t>(at + 12) != kSegmentHeader) {
    return fail(ErrorKind::Malformed, "segment is of an unknown version");
  }
  SegmentHeader h;
  std::memcpy(h.incarnation.data(), at + 16, 16);
  h.first_index = get_le<std::uint64_t>(at + 32);
  std::memcpy(h.salt.data(), at + 40, 16);
  h.previous = get_le<std::uint64_t>(at + 56);
  h.previous_length = get_le<std::uint64_t>(at + 64);
  std::memcpy(h.previous_digest.data(), at + 72, 32);
  h.created_wall_ns = get_le<std::int64_t>(at + 104);
  const auto n = get_le<std::uint16_t>(at + 112);
  if (n == 0 || n > 1024) return fail(ErrorKind::Malformed, "segment header has no origin");
  h.origin = as_text(file.subspan(114, n));
  for (std::size_t i = 114U + n; i < 4092; ++i) {
    if (at[i] != 0) return fail(ErrorKind::Malformed, "segment header has bytes where zeros are due");
  }
  return h;
}

void FrameBuilder::begin(Bytes buffer) {
  bytes_ = std::move(buffer);
  bytes_.clear();
  bytes_.resize(kFrameHeader);
  entries_ = records_ = 0;
}

void FrameBuilder::chunk(const Id16& session, const Chunk& chunk) {
  ++records_;
  const auto at = bytes_.size();
  bytes_.resize(at + 29);
  bytes_[at] = static_cast<std::uint8_t>(RecordType::Chunk);
  put_le(&bytes_[at + 1], static_cast<std::uint32_t>(24 + chunk.ciphertext.size()));
  std::memcpy(&bytes_[at + 5], session.data(), 16);
  put_le(&bytes_[at + 21], chunk.number);
  bytes_.insert(bytes_.end(), chunk.ciphertext.begin(), chunk.ciphertext.end());
}

void FrameBuilder::entry(std::size_t size) {
  ++records_;
  ++entries_;
  const auto at = bytes_.size();
  bytes_.resize(at + 5);
  bytes_[at] = static_cast<std::uint8_t>(RecordType::Entry);
  put_le(&bytes_[at + 1], static_cast<std::uint32_t>(size));
}

void FrameBuilder::veiled(ByteView data) {
  ++records_;
  const auto at = bytes_.size();
  bytes_.resize(at + 5);
  bytes_[at] = static_cast<std::uint8_t>(RecordType::Veiled);
  put_le(&bytes_[at + 1], static_cast<std::uint32_t>(data.size()));
  bytes_.insert(bytes_.end(), data.begin(), data.end());
}

void FrameBuilder::close(FrameType type, std::uint64_t first_index, const Id16& salt) {
  const auto length = bytes_.size() - kFrameHeader;
  put_le(&bytes_[0], static_cast<std::uint32_t>(type));
  put_le(&bytes_[4], static_cast<std::uint32_t>(length));
  put_le(&bytes_[8], first_index);
  put_le(&bytes_[16], entries_);
  put_le(&bytes_[20], records_);
  std::memcpy(&bytes_[24], salt.data(), 16);
  const ByteView all(bytes_);
  put_le(&bytes_[40], crc32c(all.subspan(kFrameHeader), crc32c(all.first(40))));
  put_le<std::uint32_t>(&bytes_[44], 0);
  bytes_.resize((bytes_.size() + 7) & ~std::size_t{7});
}

void encode_footer(const Footer& f, Bytes& out) {
  cbor::put_map(out, 5);
  cbor::put_uint(out, 1);
  cbor::put_uint(out, f.size);
  cbor::put_uint(out, 2);
  cbor::put_array(out, f.range.size());
  for (const auto& hash : f.range) cbor::put_bytes(out, hash);
  cbor::put_uint(out, 3);
  cbor::put_uint(out, f.entries);
  cbor::put_uint(out, 4);
  cbor::put_uint(out, f.chunks);
  cbor::put_uint(out, 5);
  cbor::put_array(out, f.open.size());
  for (const auto& s : f.open) {
    cbor::put_array(out, 6);
    cbor::put_bytes(out, s.id);
    for (const auto n : {s.entries, s.commands, s.outcomes, s.chunks}) cbor::put_uint(out, n);
    cbor::put_array(out, s.open_commands.size());
    for (const auto n : s.open_commands) cbor::put_uint(out, n);
  }
}

namespace {

std::unexpected<Error> bad_footer() { return fail(ErrorKind::Malformed, "segment footer is not as the format says"); }

Result<OpenSession> read_open(cbor::Reader& in) {
  OpenSession s;
  TRY(const auto fields, in.array());
  TRY(const auto id, in.bytes());
  if (fields != 6 || id.size() != 16) return bad_footer();
  std::ranges::copy(id, s.id.begin());
  TRY(s.entries, in.uint());
  TRY(s.commands, in.uint());
  TRY(s.outcomes, in.uint());
  TRY(s.chunks, in.uint());
  TRY(const auto n, in.array());
  for (std::uint64_t i = 0; i < n; ++i) {
    TRY(const auto index, in.uint());
    if (!s.open_commands.empty() && index <= s.open_commands.back()) return bad_footer();
    s.open_commands.push_back(index);
  }
  return s;
}

Result<void> expect_key(cbor::Reader& in, std::uint64_t key) {
  TRY(const auto found, in.uint());
  if (found != key) return bad_footer();
  return {};
}

}  // namespace

Result<Footer> decode_footer(ByteView payload) {
  cbor::Reader in(payload);
  Footer f;
  TRY(const auto pairs, in.map());
  if (pairs != 5) return bad_footer();
  TRY_VOID(expect_key(in, 1));
  TRY(f.size, in.uint());
  TRY_VOID(expect_key(in, 2));
  TRY(const auto hashes, in.array());
  if (hashes != static_cast<std::uint64_t>(std::popcount(f.size))) return bad_footer();
  for (std::uint64_t i = 0; i < hashes; ++i) {
    TRY(const auto hash, in.bytes());
    if (hash.size() != 32) return bad_footer();
    std::ranges::copy(hash, f.range.emplace_back().begin());
  }
  TRY_VOID(expect_key(in, 3));
  TRY(f.entries, in.uint());
  TRY_VOID(expect_key(in, 4));
  TRY(f.chunks, in.uint());
  TRY_VOID(expect_key(in, 5));
  TRY(const auto sessions, in.array());
  for (std::uint64_t i = 0; i < sessions; ++i) {
    TRY(auto s, read_open(in));
    if (!f.open.empty() && s.id <= f.open.back().id) return bad_footer();
    f.open.push_back(std::move(s));
  }
  if (!in.at_end()) return bad_footer();
  return f;
}

}  // namespace sallyport::evidence
