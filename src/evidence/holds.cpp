// Holds, derived from the log. See retention.h.
#include <algorithm>
#include <ctime>

#include "evidence/reader.h"
#include "evidence/retention.h"

namespace sallyport::evidence {
namespace {

std::optional<Id16> session_of(const StoredEntry& entry) {
  const auto at = entry.fields.find(Field::RelatedSession);
  const auto* bytes = at == entry.fields.end() ? nullptr : std::get_if<Bytes>(&at->second);
  Id16 id{};
  if (bytes == nullptr || bytes->size() != id.size()) return std::nullopt;
  std::ranges::copy(*bytes, id.begin());
  return id;
}

}  // namespace

std::optional<std::int64_t> held_time(const std::string& text) {
  for (const char* form : {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"}) {
    std::tm parts{};
    const char* end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return std::int64_t{::timegm(&parts)} * 1'000'000'000;
  }
  return std::nullopt;
}

Keep RetentionTerms::longest() const {
  auto out = otherwise.value_or(Keep{});
  for (const auto& [name, keep] : targets)
    if (keep.ns > out.ns) out = keep;
  return out;
}

Result<void> Holds::follow(LogView& view, std::uint64_t size) {
  TRY(const auto first, view.first());
  next_ = std::max(next_, first);
  const auto take = [&](std::uint64_t index, ByteView leaf) {
    const auto facts = read_entry(leaf);
    if (!facts || facts->kind != Kind::Hold) return;
    const auto entry = decode_entry(leaf);
    if (!entry) return;
    Hold hold{index, session_of(*entry), 0, INT64_MAX, entry->text(Field::Reason), entry->wall_ns};
    if (const auto at = entry->fields.find(Field::Facts); at != entry->fields.end()) {
      const auto& facts_of = std::get<std::map<std::string, std::string>>(at->second);
      if (const auto from = facts_of.find("from"); from != facts_of.end()) hold.from_ns = held_time(from->second).value_or(0);
      if (const auto to = facts_of.find("to"); to != facts_of.end()) hold.to_ns = held_time(to->second).value_or(INT64_MAX);
    }
    std::erase_if(holds_, [&](const Hold& one) { return one.session == hold.session && one.from_ns == hold.from_ns && one.to_ns == hold.to_ns; });
    if (entry->text(Field::Name) != "release") holds_.push_back(std::move(hold));
  };
  if (next_ < size) TRY_VOID(view.entries(next_, size - next_, take));
  next_ = std::max(next_, size);
  return {};
}

bool Holds::of_session(const Id16& session) const {
  return std::ranges::any_of(holds_, [&](const Hold& one) { return one.session == session; });
}

bool Holds::of_time(std::int64_t wall_ns) const {
  return std::ranges::any_of(holds_, [&](const Hold& one) { return !one.session && wall_ns >= one.from_ns && wall_ns < one.to_ns; });
}

bool Holds::any_of_time() const {
  return std::ranges::any_of(holds_, [](const Hold& one) { return !one.session; });
}

}  // namespace sallyport::evidence
