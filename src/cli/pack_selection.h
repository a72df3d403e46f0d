#pragma once
// Which entries a question discloses (docs/formats/pack.md, entries). Two steps: every entry of the log is shown to learn(), in
// order; then is_disclosed() knows, also of approvals, which stand before the commands that name them. Pure.
#include <map>
#include <set>
#include <unordered_map>

#include "cli/pack_fields.h"
#include "evidence/reader.h"
#include "evidence/veil_keys.h"
#include "verify/entry.h"
#include "verify/manifest.h"

namespace sallyport::cli {

class PackSelection {
 public:
  explicit PackSelection(const verify::Query& query) : query_(query) {}
  /// Whom pseudonyms stand for, and what is veiled; must live as long. Before anything else.
  void know(const evidence::Reader& reader) { names_ = &reader.names(), veil_keys_.emplace(reader.directory(), reader.origin()); }
  /// `in_range`: it is one of those the question is about. Errors: Malformed.
  Result<void> learn(const verify::Entry& entry, const PackLeaf& leaf, bool in_range);
  bool is_disclosed(const verify::Entry& entry, const PackLeaf& leaf) const;
  /// Entries before the range that explain what is disclosed in it, ascending.
  const std::set<std::uint64_t>& contexts() const { return contexts_; }
  bool found_session(const std::string& id) const { return seen_sessions_.contains(id); }

 private:
  struct IdHash {
    std::size_t operator()(const Id16& id) const { return static_cast<std::size_t>(verify::little(id, 0, 8)); }
  };
  struct Live {
    std::uint64_t opened = UINT64_MAX;
    bool matches = false, used = false;
  };
  bool fits(const verify::Entry& entry, const PackLeaf& leaf) const;
  bool fits_open(const verify::Entry& entry, const PackLeaf& leaf) const;
  std::string text_of(const PackLeaf& leaf, evidence::Field field) const;

  const verify::Query& query_;
  const evidence::NameTable* names_ = nullptr;
  mutable std::optional<evidence::VeilKeys> veil_keys_;
  std::unordered_map<Id16, Live, IdHash> live_;      // sessions that are open
  std::set<Id16> matching_;                          // those with entries in the range
  std::set<std::string, std::less<>> approvals_, seen_sessions_;
  std::map<verify::Hash, std::uint64_t> applied_;    // policy to its last config.applied before the range
  std::set<verify::Hash> settled_;                   // policies that need no context any more
  std::set<std::uint64_t> contexts_;
};

}  // namespace sallyport::cli
