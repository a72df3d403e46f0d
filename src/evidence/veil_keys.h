#pragma once
// Opening veils with the keys that are kept in a directory: read when the first veil is met, and anew when a session began since. One
// thread. What cannot be opened (erased, no keys, a record that was changed) stays veiled: sallyport-verify says which it is.
#include <optional>

#include "evidence/reader.h"
#include "evidence/session_keys.h"

namespace sallyport::evidence {

class VeilKeys {
 public:
  VeilKeys(std::string directory, std::string origin) : directory_(std::move(directory)), origin_(std::move(origin)) {}
  void open(ByteView record, StoredEntry& entry);
  /// Of a session, or the node's. Errors: Denied (erased), Unavailable (not kept here), Malformed.
  Result<Digest> key(const std::optional<Id16>& session);

 private:
  std::string directory_, origin_;
  std::optional<StoredKeys> keys_;
  std::optional<std::pair<Id16, Digest>> last_;   // entries of a session come in runs
};

}  // namespace sallyport::evidence
