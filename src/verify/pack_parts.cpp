#include "verify/pack_parts.h"

#include <algorithm>
#include <charconv>

namespace sallyport::verify {
namespace {

constexpr std::size_t kMostEntry = 65535, kMostVeiled = 70'000;

/// "prefix" 20 digits "suffix".
bool numbered(std::string_view name, std::string_view prefix, std::string_view suffix, std::uint64_t& out) {
  if (name.size() != prefix.size() + 20 + suffix.size() || !name.starts_with(prefix) || !name.ends_with(suffix)) return false;
  const auto digits = name.substr(prefix.size(), 20);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc() && end == digits.data() + digits.size();
}

bool policy(std::string_view name, Hash& out) {
  constexpr std::string_view kPrefix = "policies/", kSuffix = ".yaml";
  if (name.size() != kPrefix.size() + 64 + kSuffix.size() || !name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return false;
  const auto text = name.substr(kPrefix.size(), 64);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto pair = text.substr(2 * i, 2);
    const auto [end, error] = std::from_chars(pair.data(), pair.data() + 2, out[i], 16);
    if (error != std::errc() || end != pair.data() + 2) return false;
  }
  return hex(out) == text;
}

}  // namespace

PartName part_of(std::string_view name) {
  PartName out;
  const auto is = [&](std::string_view known, Part part) { return name == known ? (out.part = part, true) : false; };
  const auto in = [&](std::string_view prefix, std::string_view suffix, Part part) { return numbered(name, prefix, suffix, out.number) ? (out.part = part, true) : false; };
  if (is("README.txt", Part::Readme) || is("checkpoint", Part::Checkpoint) || is("checkpoint-proof", Part::Proof) || is("checkpoints", Part::Heads) || is("controls.json", Part::Controls) ||
      is("manifest.json", Part::Manifest) || is("names", Part::Names) || is("report.html", Part::Report))
    return out;
  if (in("context/", ".fields", Part::ContextFields) || in("context/", ".tlog-proof", Part::Context) || in("entries/", "", Part::Entries) || in("payloads/", "-payload", Part::Payload) || in("sealed/", "", Part::Sealed) ||
      in("timestamps/", ".note", Part::Timestamp) || in("timestamps/", ".tsr", Part::Timestamp))
    return out;
  if (policy(name, out.digest)) out.part = Part::Policy;
  return out;
}

std::uint64_t most_of(Part part) {
  switch (part) {
    case Part::Proof: return 64u << 10;
    case Part::ContextFields: return 128u << 10;
    case Part::Timestamp: return 1u << 20;
    case Part::Checkpoint: case Part::Context: case Part::Controls: return 4u << 20;
    case Part::Heads: case Part::Names: return 64u << 20;
    case Part::Manifest: return 256u << 20;
    default: return 0;
  }
}

std::size_t Leaves::due(View head) const {
  if (head.empty()) return 0;
  if (head[0] == 0) return 33;
  if (head[0] > 3) return SIZE_MAX;
  const bool two = head[0] > 1;
  if (head.size() < (two ? 9 : 5)) return 0;
  const auto length = little(head, 1, 4), more = two ? little(head, 5, 4) : 1;
  if (length == 0 || length > kMostEntry || more == 0 || more > kMostVeiled) return SIZE_MAX;
  return static_cast<std::size_t>(two ? 9 + length + more : 5 + length);
}

void Leaves::take(View record) {
  if (record[0] == 0) withheld_(fixed<32>(record, 1));
  else if (record[0] == 1) disclosed_(record.subspan(5), {}, false);
  else disclosed_(record.subspan(9, little(record, 1, 4)), record.last(little(record, 5, 4)), record[0] == 3);
}

bool Leaves::feed(View bytes) {
  while (ok_ && !bytes.empty()) {
    if (held_.empty()) {  // mostly a record is whole in the piece at hand
      const auto size = due(bytes);
      if (size == SIZE_MAX) return ok_ = false;
      if (size != 0 && size <= bytes.size()) {
        take(bytes.first(size));
        bytes = bytes.subspan(size);
        continue;
      }
    }
    const auto size = due(held_);
    if (size == SIZE_MAX) return ok_ = false;
    const std::size_t want = size != 0 ? size : held_.empty() ? 1 : held_[0] > 1 ? 9 : 5;
    const auto n = std::min(want - held_.size(), bytes.size());
    held_.insert(held_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    const auto whole = due(held_);
    if (whole == SIZE_MAX) return ok_ = false;
    if (whole != 0 && whole == held_.size()) {
      const Blob record = std::move(held_);
      held_.clear();
      take(record);
    }
  }
  return ok_;
}

}  // namespace sallyport::verify
