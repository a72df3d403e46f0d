#include "evidence/veil_keys.h"

#include <sys/stat.h>

#include "evidence/veil.h"

namespace sallyport::evidence {

Result<Digest> VeilKeys::key(const std::optional<Id16>& session) {
  if (last_ && last_->first == session) return last_->second;
  const auto path = directory_ + "/keys/session-keys";
  struct stat info {};
  const bool grown = keys_ && session && !keys_->has(*session) && ::stat(path.c_str(), &info) == 0 && static_cast<std::size_t>(info.st_size) > keys_->size();
  if (!keys_ || grown) {
    TRY(keys_, StoredKeys::open(directory_, origin_));
  }
  if (!session) return keys_->node_key();
  TRY(const auto key, keys_->key(*session));
  last_ = {*session, key};
  return key;
}

void VeilKeys::open(ByteView record, StoredEntry& entry) {
  if (record.empty()) return;
  if (const auto found = key(entry.session)) (void)open_veils(*found, record, entry);
}

}  // namespace sallyport::evidence
