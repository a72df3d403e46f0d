#include "evidence/names.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <unistd.h>

#include <functional>

#include "evidence/aead.h"
#include "evidence/crc32c.h"
#include "evidence/little_endian.h"
#include "evidence/session_keys.h"

namespace sallyport::evidence {
namespace {

constexpr std::size_t kHead = 48, kMostName = 4096;
constexpr std::string_view kLive = "NAM1", kErased = "NAM0", kHashed = "sha256:";

std::size_t padded(std::size_t size) { return (size + 63) / 64 * 64; }
bool is_kept_whole(std::string_view name) { return name.size() <= kMostName && (name.size() != kHashed.size() + 64 || !name.starts_with(kHashed)); }
std::string path_of(const std::string& directory) { return directory + "/keys/names"; }

Bytes bound_to(const std::string& origin, std::string_view pseudonym) {
  const auto text = origin + '\0' + std::string(pseudonym);
  return Bytes(as_bytes(text).begin(), as_bytes(text).end());
}

struct Record {
  std::size_t at = 0, size = 0;
  bool live = false;
  std::string_view pseudonym;
  std::span<const std::uint8_t, 12> nonce;
  ByteView sealed;
};

/// Each whole record; the length of the valid beginning.
std::size_t each_record(ByteView bytes, const std::function<void(const Record&)>& visit) {
  std::size_t at = 0;
  while (at + kHead <= bytes.size()) {
    const auto head = bytes.subspan(at, kHead);
    const auto magic = as_text(head.first(4));
    const std::size_t length = get_le<std::uint32_t>(head.data() + 40);
    const auto size = padded(kHead + length);
    if ((magic != kLive && magic != kErased) || length > kMostName + 64 || size > bytes.size() - at) break;
    const auto sealed = bytes.subspan(at + kHead, length);
    const bool live = magic == kLive;
    if (live && crc32c(sealed, crc32c(head.first(44))) != get_le<std::uint32_t>(head.data() + 44)) break;
    visit({at, size, live, as_text(head.subspan(4, kPseudonym)), std::span<const std::uint8_t, 12>(head.data() + 28, 12), sealed});
    at += size;
  }
  return at;
}

std::optional<Name> open_record(const Record& record, const std::string& origin, const Digest& kek) {
  const auto plain = record.live ? unseal(kek, record.nonce, bound_to(origin, record.pseudonym), record.sealed) : std::nullopt;
  if (!plain || plain->size() < 16) return std::nullopt;
  Name out;
  std::copy_n(plain->begin(), 16, out.salt.begin());
  out.value = as_text(ByteView(*plain).subspan(16));
  if (pseudonym_of(out.salt, out.value) != record.pseudonym) return std::nullopt;
  return out;
}

}  // namespace

bool is_pseudonym(std::string_view text) {
  return text.size() == kPseudonym && text[0] == '~' && text.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", 1) == std::string_view::npos;
}

std::string pseudonym_of(const Id16& salt, std::string_view name) {
  Digest mac{};
  unsigned size = 0;
  HMAC(EVP_sha256(), salt.data(), static_cast<int>(salt.size()), as_bytes(name).data(), name.size(), mac.data(), &size);
  auto text = "~" + base64(mac).substr(0, kPseudonym - 1);
  for (auto& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string kept_name(std::string_view name) { return is_kept_whole(name) ? std::string(name) : std::string(kHashed) + hex(sha256(as_bytes(name))); }

Result<NameTable> load_names(const std::string& directory, const std::string& origin) {
  NameTable out;
  if (::access(path_of(directory).c_str(), R_OK) != 0 || ::access((directory + "/keys/kek").c_str(), R_OK) != 0) return out;
  TRY(const auto bytes, read_file(path_of(directory)));
  TRY(auto kek, read_kek(directory));
  each_record(bytes, [&](const Record& record) {
    if (auto name = open_record(record, origin, kek)) out.insert_or_assign(std::string(record.pseudonym), std::move(*name));
  });
  OPENSSL_cleanse(kek.data(), kek.size());
  return out;
}

std::string resolve(const NameTable& names, std::string_view text) {
  const auto at = is_pseudonym(text) ? names.find(text) : names.end();
  return at == names.end() ? std::string(text) : at->second.value;
}

Result<bool> erase_pseudonym(const std::string& directory, std::string_view pseudonym) {
  TRY(const auto bytes, read_file(path_of(directory)));
  TRY(const auto file, File::open(path_of(directory), O_RDWR));
  FileOps ops;
  bool found = false;
  Result<void> done;
  each_record(bytes, [&](const Record& record) {
    if (!record.live || record.pseudonym != pseudonym || !done) return;
    found = true;
    Bytes erased(bytes.begin() + static_cast<std::ptrdiff_t>(record.at), bytes.begin() + static_cast<std::ptrdiff_t>(record.at + record.size));
    std::ranges::copy(as_bytes(kErased), erased.begin());
    std::fill(erased.begin() + 28, erased.begin() + 40, std::uint8_t{0});
    std::fill(erased.begin() + kHead, erased.end(), std::uint8_t{0});
    done = write_all(ops, file, erased, record.at, path_of(directory));
  });
  TRY_VOID(done);
  TRY_VOID(sync(ops, file, path_of(directory)));
  return found;
}

Result<Names> Names::open(const std::string& directory, std::string origin, FileOps& ops) {
  Names out;
  out.origin_ = std::move(origin);
  out.ops_ = &ops;
  TRY(out.kek_, read_kek(directory));
  TRY(out.file_, File::open(path_of(directory), O_RDWR | O_CREAT));
  TRY(const auto bytes, read_file(path_of(directory)));
  out.end_ = each_record(bytes, [&](const Record& record) {
    if (const auto name = open_record(record, out.origin_, out.kek_)) out.known_.insert_or_assign(name->value, Known{std::string(record.pseudonym), name->salt, true});
  });
  TRY_VOID(sync_folder(directory + "/keys"));
  return out;
}

const std::string& Names::pseudonym(std::string_view name) { return is_kept_whole(name) ? pseudonym_of_kept(name) : pseudonym_of_kept(kept_name(name)); }

const std::string& Names::pseudonym_of_kept(std::string_view name) {
  if (const auto at = known_.find(name); at != known_.end()) return at->second.pseudonym;
  auto& known = known_[std::string(name)];
  random_bytes(known.salt);
  known.pseudonym = pseudonym_of(known.salt, name);
  fresh_.emplace_back(name);
  return known.pseudonym;
}

Result<void> Names::store() {
  if (fresh_.empty()) return {};
  Bytes out;
  for (const auto& name : fresh_) {
    const auto at = known_.find(name);
    if (at == known_.end()) continue;
    const auto& known = at->second;
    Bytes plain(known.salt.begin(), known.salt.end());
    plain.insert(plain.end(), name.begin(), name.end());
    std::array<std::uint8_t, 12> nonce;
    random_bytes(nonce);
    const auto sealed = seal(kek_, nonce, bound_to(origin_, known.pseudonym), plain);
    Bytes record(padded(kHead + sealed.size()));
    std::ranges::copy(as_bytes(kLive), record.begin());
    std::ranges::copy(as_bytes(known.pseudonym), record.begin() + 4);
    std::ranges::copy(nonce, record.begin() + 28);
    put_le<std::uint32_t>(&record[40], static_cast<std::uint32_t>(sealed.size()));
    std::ranges::copy(sealed, record.begin() + kHead);
    put_le<std::uint32_t>(&record[44], crc32c(sealed, crc32c({record.data(), 44})));
    out.insert(out.end(), record.begin(), record.end());
  }
  TRY_VOID(write_all(*ops_, file_, out, end_, "keys/names"));
  TRY_VOID(sync(*ops_, file_, "keys/names"));
  end_ += out.size();
  fresh_.clear();
  return {};
}

}  // namespace sallyport::evidence
