#include "cli/pack_selection.h"

#include <algorithm>

namespace sallyport::cli {
namespace {

using evidence::Field;
using verify::Kind;

/// About the node alone, and names nobody.
bool is_of_the_node(const verify::Entry& entry) {
  switch (entry.kind) {
    case Kind::NodeStart: case Kind::NodeStop: case Kind::Recovery: case Kind::ConfigApplied: case Kind::Gap: case Kind::SinkFailed: case Kind::SinkRecovered: case Kind::KeyEpoch: return !entry.session;
    default: return false;
  }
}

bool is_approval(Kind kind) { return kind >= Kind::ApprovalRequested && kind <= Kind::ApprovalUsed; }

}  // namespace

std::string PackSelection::text_of(const PackLeaf& leaf, Field field) const {
  auto decoded = evidence::decode_entry(leaf.bytes);
  if (!decoded) return "";
  if (decoded->is_veiled(field)) veil_keys_->open(leaf.veiled, *decoded);
  return evidence::resolve(*names_, decoded->text(field));
}

bool PackSelection::fits_open(const verify::Entry& entry, const PackLeaf& leaf) const {
  if (!query_.sessions.empty() && !std::ranges::binary_search(query_.sessions, hex(*entry.session))) return false;
  if (!query_.user.empty() && text_of(leaf, Field::Subject) != query_.user) return false;
  return query_.target.empty() || text_of(leaf, Field::Target) == query_.target;
}

bool PackSelection::fits(const verify::Entry& entry, const PackLeaf& leaf) const {
  if (!query_.kind.empty() && query_.kind != verify::name_of(entry.kind)) return false;
  if (entry.session) return matching_.contains(*entry.session);
  if (!query_.sessions.empty()) return false;
  if (!query_.user.empty() && text_of(leaf, Field::Subject) != query_.user) return false;
  return query_.target.empty() || text_of(leaf, Field::Target) == query_.target;
}

Result<void> PackSelection::learn(const verify::Entry& entry, const PackLeaf& leaf, bool in_range) {
  if (entry.session) {
    auto& live = live_[*entry.session];
    if (entry.sequence == 0) {
      live.matches = fits_open(entry, leaf);
      if (entry.kind == Kind::SessionOpen) live.opened = entry.index;
      if (!query_.sessions.empty() && live.matches) seen_sessions_.insert(hex(*entry.session));
    }
    if (in_range && live.matches) matching_.insert(*entry.session);
  }
  const bool disclosed = in_range && is_disclosed(entry, leaf);
  if (entry.kind == Kind::ConfigApplied && entry.policy) {
    if (!in_range) applied_[*entry.policy] = entry.index;
    else if (disclosed) settled_.insert(*entry.policy);
  }
  if (disclosed) {
    if (!entry.approval.empty() && entry.kind == Kind::Command && query_.kind.empty()) approvals_.emplace(entry.approval);
    if (entry.policy && settled_.insert(*entry.policy).second)
      if (const auto at = applied_.find(*entry.policy); at != applied_.end()) contexts_.insert(at->second);
    if (entry.session) {
      auto& live = live_[*entry.session];
      if (!std::exchange(live.used, true) && entry.sequence != 0 && live.opened != UINT64_MAX) contexts_.insert(live.opened);
    }
  }
  if (entry.session && entry.kind == Kind::SessionClose) live_.erase(*entry.session);
  return {};
}

bool PackSelection::is_disclosed(const verify::Entry& entry, const PackLeaf& leaf) const {
  if (!query_.has_conditions() || fits(entry, leaf)) return true;
  if (!query_.kind.empty()) return false;
  return is_of_the_node(entry) || (is_approval(entry.kind) && approvals_.find(entry.approval) != approvals_.end());
}

}  // namespace sallyport::cli
