#pragma once
// Opening payloads with the node's keys (docs/formats/payload.md), for a verifier that was given them. Reads keys/kek and
// keys/session-keys once.
#include <unordered_map>

#include "verify/entry.h"

namespace sallyport::verify {

class PayloadKeys {
 public:
  PayloadKeys(const std::string& directory, std::string origin);
  bool usable() const { return usable_; }
  const std::string& why_not() const { return why_not_; }
  /// "" when a record of veiled values decrypts and is what the veils of its entry were made of.
  std::string open_veils(const Entry& entry, View record, bool& erased) const;
  /// "" when the chunks decrypt, decompress and are what the entry commits to; `erased` when the session's key was destroyed.
  std::string open(const Id& session, const Payload& ref, const std::vector<View>& chunks, bool& erased) const;

 private:
  struct Key {
    bool erased = false;
    Hash key{};
  };
  struct IdKey {
    std::size_t operator()(const Id& id) const { return static_cast<std::size_t>(little(id, 0, 8)); }
  };
  std::string origin_, why_not_;
  bool usable_ = false;
  Hash node_{};                             // kek
  std::unordered_map<Id, Key, IdKey> keys_;
};

}  // namespace sallyport::verify
