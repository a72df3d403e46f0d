#pragma once
// Who a pseudonym stands for. Entries name people (subject, approver) by "~" and 22 characters: the beginning of HMAC-SHA256(salt, name)
// in base64url, with one random salt a name. `keys/names` holds salts and names, encrypted under the node's key, in records that can be
// erased one by one: then nobody can say any more whom the entries mean, and all proofs stay valid. A salt and a name open one pseudonym
// to an auditor, and no other. Format: docs/formats/payload.md.
#include <map>
#include <unordered_map>

#include "base/result.h"
#include "evidence/file_ops.h"

namespace sallyport::evidence {

struct Name {
  Id16 salt{};
  std::string value;
};
/// By pseudonym.
using NameTable = std::map<std::string, Name, std::less<>>;

constexpr std::size_t kPseudonym = 23;
bool is_pseudonym(std::string_view text);
std::string pseudonym_of(const Id16& salt, std::string_view name);
/// What stands for a name in `keys/names` and everywhere after: the name itself, or, of one over 4096 bytes, "sha256:" and its SHA-256 in
/// hex. Nothing is cut, for then two people could be one; nothing is refused, for then who has such a name could act off the
/// record. A name that has the form of such a hash is hashed as well, so that no two names are kept as one.
std::string kept_name(std::string_view name);

/// The names that are kept. A folder without them has none. Errors: Unavailable (files).
Result<NameTable> load_names(const std::string& directory, const std::string& origin);
/// The name, or the text itself when it is no pseudonym or nobody knows it any more.
std::string resolve(const NameTable& names, std::string_view text);
/// Overwrites the pseudonym's record; true if there was one. A running gateway must forget the name as well (Log::forget). Errors: Unavailable.
Result<bool> erase_pseudonym(const std::string& directory, std::string_view pseudonym);

/// The writer's side: pseudonyms for names, new ones becoming durable before the entries that bear them. One thread.
class Names {
 public:
  /// Errors: Unavailable, Malformed (kek).
  static Result<Names> open(const std::string& directory, std::string origin, FileOps& ops);
  const std::string& pseudonym(std::string_view name);
  /// Makes new ones durable. On an error they are still new.
  Result<void> store();
  /// From now on the name, as it is kept, gets another pseudonym.
  void forget(const std::string& name) { known_.erase(name); }

 private:
  struct Known {
    std::string pseudonym;
    Id16 salt{};
    bool stored = false;
  };
  const std::string& pseudonym_of_kept(std::string_view name);

  std::string origin_;
  Digest kek_{};
  File file_;
  std::uint64_t end_ = 0;
  FileOps* ops_ = nullptr;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Known, Hash, std::equal_to<>> known_;
  std::vector<std::string> fresh_;
};

}  // namespace sallyport::evidence
