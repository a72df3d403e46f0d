#pragma once
// The payload keys of sessions, each encrypted under the node's key, in a file of records that can be erased one by
// one. Format: docs/formats/payload.md. The writer thread stores; reading and erasing open the file anew.
#include <map>
#include <optional>
#include <span>

#include "base/clock.h"
#include "evidence/file_ops.h"
#include "evidence/session.h"

namespace sallyport::evidence {

class SessionKeys {
 public:
  /// Makes keys/kek and keys/session-keys when missing. Errors: Unavailable, Malformed (kek).
  static Result<SessionKeys> open(const std::string& directory, std::string origin, FileOps& ops);

  /// What `keys` is encrypted under. Any thread.
  const Digest& node_key() const { return kek_; }
  /// Appends and syncs. On an error the records may lie in the file, but the next ones go to the same place.
  Result<void> store(const std::vector<SessionPtr>& sessions, std::int64_t wall_ns);

 private:
  SessionKeys(std::string origin, File file, Digest kek, std::uint64_t end, FileOps& ops)
      : origin_(std::move(origin)), file_(std::move(file)), kek_(kek), end_(end), ops_(&ops) {}
  std::string origin_;
  File file_;
  Digest kek_;
  std::uint64_t end_;
  FileOps* ops_;
};

/// The node's key that everything in `keys` is encrypted under. Errors: Unavailable, Malformed.
Result<Digest> read_kek(const std::string& directory);
/// The key of a session. Errors: Unavailable (no such record, files), Denied (erased), Malformed (does not decrypt).
Result<Digest> load_session_key(const std::string& directory, const std::string& origin, const Id16& session);
/// All keys of a folder, read once: for who opens many payloads.
class StoredKeys {
 public:
  /// A folder without keys has none. Errors: Unavailable.
  static Result<StoredKeys> open(const std::string& directory, std::string origin);
  /// Bytes that were read.
  std::size_t size() const { return records_.size(); }
  bool has(const Id16& session) const { return at_.contains(session); }
  bool erased(const Id16& session) const;
  /// As load_session_key.
  Result<Digest> key(const Id16& session);
  /// The node's own. Errors: Unavailable, Malformed.
  Result<Digest> node_key();

 private:
  std::string directory_, origin_;
  Bytes records_;
  std::map<Id16, std::size_t> at_;       // the record that counts
  std::optional<Digest> kek_;            // read when the first key is asked for
};

/// Overwrites every record of the session; true if there was one. Errors: Unavailable.
Result<bool> erase_session_key(const std::string& directory, const Id16& session);
/// The same of many, in one go; `sessions` ascending.
Result<bool> erase_session_keys(const std::string& directory, std::span<const Id16> sessions);

}  // namespace sallyport::evidence
