#include "evidence/session_keys.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "evidence/aead.h"
#include "evidence/crc32c.h"
#include "evidence/little_endian.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kRecord = 96;
constexpr std::string_view kLive = "SKY1", kErased = "SKY0";
using Record = std::array<std::uint8_t, kRecord>;

bool intact(const std::uint8_t* at) { return get_le<std::uint32_t>(at + 92) == crc32c({at, 92}); }
bool is_of(const std::uint8_t* at, const Id16& session) { return std::memcmp(at + 4, session.data(), 16) == 0; }
void finish(Record& r) { put_le<std::uint32_t>(&r[92], crc32c({r.data(), 92})); }

Bytes bound_to(const std::string& origin, const Id16& session) {
  Bytes out(as_bytes(origin).begin(), as_bytes(origin).end());
  out.push_back(0);
  out.insert(out.end(), session.begin(), session.end());
  return out;
}

Record wrap(const SessionRecord& session, const std::string& origin, const Digest& kek, std::int64_t wall_ns) {
  Record r{};
  std::ranges::copy(as_bytes(kLive), r.begin());
  std::ranges::copy(session.id(), r.begin() + 4);
  random_bytes({&r[20], 12});
  put_le<std::int64_t>(&r[80], wall_ns);
  const auto sealed = seal(kek, std::span<const std::uint8_t, 12>(&r[20], 12), bound_to(origin, session.id()), session.key());
  std::ranges::copy(sealed, r.begin() + 32);
  finish(r);
  return r;
}

Result<Digest> unwrap(const std::uint8_t* at, const std::string& origin, const Id16& session, const Digest& kek) {
  auto plain = unseal(kek, std::span<const std::uint8_t, 12>(at + 20, 12), bound_to(origin, session), {at + 32, 48});
  Digest key;
  if (!plain || plain->size() != key.size()) return fail(ErrorKind::Malformed, "the key of session " + hex(session) + " does not decrypt with keys/kek");
  std::ranges::copy(*plain, key.begin());
  OPENSSL_cleanse(plain->data(), plain->size());
  return key;
}

}  // namespace

Result<Digest> read_kek(const std::string& directory) {
  const auto path = directory + "/keys/kek";
  TRY(auto bytes, read_file(path));
  Digest kek;
  if (bytes.size() != kek.size()) return fail(ErrorKind::Malformed, path + " is not 32 bytes long; restore it from a copy");
  std::ranges::copy(bytes, kek.begin());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return kek;
}

Result<SessionKeys> SessionKeys::open(const std::string& directory, std::string origin, FileOps& ops) {
  const auto folder = directory + "/keys";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_failure("cannot make " + folder, errno);
  struct stat info {};
  const bool have_records = ::stat((folder + "/session-keys").c_str(), &info) == 0 && info.st_size > 0;
  if (::stat((folder + "/kek").c_str(), &info) != 0) {
    // A new key beside old records would make every older payload unreadable without a word.
    if (have_records) return fail(ErrorKind::Unavailable, folder + "/kek is missing; restore it from a copy");
    Digest kek;
    random_bytes(kek);
    TRY_VOID(replace_file(folder + "/kek", kek));
  }
  TRY(const auto kek, read_kek(directory));
  TRY(auto file, File::open(folder + "/session-keys", O_RDWR | O_CREAT));
  TRY_VOID(sync_folder(folder));
  TRY(const auto bytes, read_file(folder + "/session-keys"));
  std::uint64_t end = 0;
  for (std::size_t at = 0; at + kRecord <= bytes.size(); at += kRecord) {
    if (intact(bytes.data() + at)) end = at + kRecord;
  }
  return SessionKeys(std::move(origin), std::move(file), kek, end, ops);
}

Result<void> SessionKeys::store(const std::vector<SessionPtr>& sessions, std::int64_t wall_ns) {
  Bytes out;
  for (const auto& session : sessions) {
    const auto record = wrap(*session, origin_, kek_, wall_ns);
    out.insert(out.end(), record.begin(), record.end());
  }
  TRY_VOID(write_all(*ops_, file_, out, end_, "keys/session-keys"));
  TRY_VOID(sync(*ops_, file_, "keys/session-keys"));
  end_ += out.size();
  return {};
}

Result<Digest> load_session_key(const std::string& directory, const std::string& origin, const Id16& session) {
  TRY(const auto bytes, read_file(directory + "/keys/session-keys"));
  const std::uint8_t* found = nullptr;
  for (std::size_t at = 0; at + kRecord <= bytes.size(); at += kRecord) {
    const auto* r = bytes.data() + at;
    if (intact(r) && is_of(r, session)) found = r;
  }
  if (found == nullptr) return fail(ErrorKind::Unavailable, "no key of session " + hex(session) + " is kept here");
  if (as_text({found, 4}) != kLive) return fail(ErrorKind::Denied, "the key of session " + hex(session) + " was erased");
  TRY(const auto kek, read_kek(directory));
  return unwrap(found, origin, session, kek);
}

Result<StoredKeys> StoredKeys::open(const std::string& directory, std::string origin) {
  StoredKeys out;
  out.directory_ = directory;
  out.origin_ = std::move(origin);
  struct stat info {};
  if (::stat((directory + "/keys/session-keys").c_str(), &info) != 0 && errno == ENOENT) return out;
  TRY(out.records_, read_file(directory + "/keys/session-keys"));
  for (std::size_t at = 0; at + kRecord <= out.records_.size(); at += kRecord) {
    if (!intact(&out.records_[at])) continue;
    Id16 id;
    std::memcpy(id.data(), &out.records_[at + 4], id.size());
    out.at_[id] = at;
  }
  return out;
}

bool StoredKeys::erased(const Id16& session) const {
  const auto at = at_.find(session);
  return at != at_.end() && as_text(ByteView(records_).subspan(at->second, 4)) != kLive;
}

Result<Digest> StoredKeys::key(const Id16& session) {
  const auto at = at_.find(session);
  if (at == at_.end()) return fail(ErrorKind::Unavailable, "no key of session " + hex(session) + " is kept here");
  if (erased(session)) return fail(ErrorKind::Denied, "the key of session " + hex(session) + " was erased");
  TRY(const auto kek, node_key());
  return unwrap(&records_[at->second], origin_, session, kek);
}

Result<Digest> StoredKeys::node_key() {
  if (!kek_) {
    TRY(kek_, read_kek(directory_));
  }
  return *kek_;
}

Result<bool> erase_session_key(const std::string& directory, const Id16& session) { return erase_session_keys(directory, {&session, 1}); }

Result<bool> erase_session_keys(const std::string& directory, std::span<const Id16> sessions) {
  const auto path = directory + "/keys/session-keys";
  FileOps ops;
  TRY(const auto file, File::open(path, O_RDWR));
  TRY(const auto bytes, read_file(path));
  bool found = false;
  for (std::size_t at = 0; at + kRecord <= bytes.size(); at += kRecord) {
    Id16 session;
    std::memcpy(session.data(), bytes.data() + at + 4, session.size());
    if (!std::ranges::binary_search(sessions, session)) continue;
    found = true;
    if (intact(bytes.data() + at) && as_text({bytes.data() + at, 4}) == kErased) continue;
    Record r{};
    std::ranges::copy(as_bytes(kErased), r.begin());
    std::ranges::copy(session, r.begin() + 4);
    std::memcpy(&r[80], bytes.data() + at + 80, 8);
    finish(r);
    TRY_VOID(write_all(ops, file, r, at, path));
  }
  if (found) TRY_VOID(sync(ops, file, path));
  return found;
}

}  // namespace sallyport::evidence
