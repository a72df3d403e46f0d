// Reading one mapping: each key that is asked for becomes known, the rest is reported at the end.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "base/yaml.h"

namespace sallyport::yaml {
namespace {

constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {{"ms", 1'000'000},
                                                                {"s", 1'000'000'000},
                                                                {"m", 60'000'000'000},
                                                                {"h", 3'600'000'000'000},
                                                                {"d", 86'400'000'000'000}};

std::string duration_text(std::int64_t ns) {
  if (ns == 0) return "0s";
  for (auto unit = std::rbegin(kUnits); unit != std::rend(kUnits); ++unit) {
    if (ns % unit->second == 0) return fmt::format("{}{}", ns / unit->second, unit->first);
  }
  return fmt::format("{}ns", ns);
}

bool whole_number(std::string_view text, std::int64_t& out) {
  const auto digits = text.starts_with('-') ? text.substr(1) : text;
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_duration(std::string_view text, std::int64_t& ns) {
  const auto unit_at = text.find_first_not_of("0123456789");
  if (unit_at == 0 || unit_at == std::string_view::npos) return false;
  const auto unit = std::ranges::find(kUnits, text.substr(unit_at), &std::pair<std::string_view, std::int64_t>::first);
  std::int64_t count = 0;
  return unit != std::end(kUnits) && whole_number(text.substr(0, unit_at), count) && !__builtin_mul_overflow(count, unit->second, &ns);
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto near = nearest(word, known);
  return near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near);
}

}  // namespace

Mapping::Mapping(const Node& node, Diagnostics& diagnostics, std::string_view what)
    : node_(node.kind == Node::Kind::Mapping ? &node : nullptr), place_(node.place), diagnostics_(diagnostics), what_(what) {
  if (!node_) diagnostics_.error(node.place, fmt::format("{} is a mapping: {{ key: value }}", what_));
}

Mapping::~Mapping() { finish(); }

Place Mapping::place() const { return place_; }

bool Mapping::has(std::string_view key) const { return node_ && node_->find(key); }

const Node* Mapping::get(std::string_view key) {
  if (!node_) return nullptr;
  if (std::ranges::find(known_, key) == known_.end()) known_.emplace_back(key);
  return node_->find(key);
}

const Node* Mapping::require(std::string_view key) {
  const auto* found = get(key);
  if (node_ && !found) diagnostics_.error(place_, fmt::format("{} needs the key \"{}\"", what_, key));
  return found;
}

const Node* Mapping::scalar(std::string_view key, std::string_view expected) {
  const auto* found = get(key);
  if (!found || found->kind == Node::Kind::Scalar) return found;
  diagnostics_.error(found->place, fmt::format("{} is {}{}", key, expected, found->kind == Node::Kind::Null ? ", not empty" : ""));
  return nullptr;
}

void Mapping::string(std::string_view key, std::string& out, bool required) {
  if (required && !require(key)) return;
  if (const auto* found = scalar(key, "a string")) out = found->scalar;
}

void Mapping::boolean(std::string_view key, bool& out) {
  const auto* found = scalar(key, "true or false");
  if (!found) return;
  if (!found->quoted && (found->scalar == "true" || found->scalar == "false")) out = found->scalar == "true";
  else diagnostics_.error(found->place, fmt::format("{} is true or false{}", key, found->quoted ? ", without quotes" : ""));
}

void Mapping::integer(std::string_view key, std::int64_t& out, std::int64_t min, std::int64_t max) {
  const auto* found = scalar(key, "a whole number");
  if (!found) return;
  std::int64_t value = 0;
  if (found->quoted || !whole_number(found->scalar, value)) {
    diagnostics_.error(found->place, fmt::format("{} is a whole number{}", key, found->quoted ? ", without quotes" : ""));
  } else if (value < min || value > max) {
    diagnostics_.error(found->place, fmt::format("{} is a whole number from {} to {}", key, min, max));
  } else {
    out = value;
  }
}

void Mapping::duration(std::string_view key, std::int64_t& out_ns, std::int64_t min_ns, std::int64_t max_ns) {
  constexpr std::string_view kExpected = "a duration: a whole number and a unit, such as 250ms, 50s, 30m, 8h or 7d";
  const auto* found = scalar(key, kExpected);
  if (!found) return;
  std::int64_t value = 0;
  if (!parse_duration(found->scalar, value)) {
    diagnostics_.error(found->place, fmt::format("{} is {}", key, kExpected));
  } else if (value < min_ns || value > max_ns) {
    diagnostics_.error(found->place, fmt::format("{} is a duration from {} to {}", key, duration_text(min_ns), duration_text(max_ns)));
  } else {
    out_ns = value;
  }
}

void Mapping::strings(std::string_view key, std::vector<std::string>& out) {
  const auto* found = get(key);
  if (!found) return;
  if (found->kind != Node::Kind::Sequence) return diagnostics_.error(found->place, fmt::format("{} is a list of strings: [a, b]", key));
  out.clear();
  for (const auto& item : found->items) {
    if (item.kind == Node::Kind::Scalar) out.push_back(item.scalar);
    else diagnostics_.error(item.place, fmt::format("{} is a list of strings; this is none", key));
  }
}

void Mapping::string_map(std::string_view key, std::map<std::string, std::string>& out) {
  const auto* found = get(key);
  if (!found) return;
  if (found->kind != Node::Kind::Mapping) {
    return diagnostics_.error(found->place, fmt::format("{} is a mapping of names to strings: {{ name: value }}", key));
  }
  out.clear();
  for (const auto& [name, place, value] : found->members) {
    if (value.kind == Node::Kind::Scalar) out[name] = value.scalar;
    else diagnostics_.error(value.place, fmt::format("{}.{} is a string", key, name));
  }
}

void Mapping::one_of(std::string_view key, std::string& out, std::initializer_list<std::string_view> allowed) {
  const auto* found = get(key);
  if (!found) return;
  // `null` may be one of the words: an explicit null keeps its text.
  if (found->scalar.size() && std::ranges::find(allowed, found->scalar) != allowed.end()) {
    out = found->scalar;
    return;
  }
  const std::vector<std::string> names(allowed.begin(), allowed.end());
  diagnostics_.error(found->place, fmt::format("{} is one of {}{}", key, fmt::join(names, ", "), did_you_mean(found->scalar, names)));
}

void Mapping::finish() {
  if (finished_ || !node_) return;
  finished_ = true;
  for (const auto& member : node_->members) {
    if (std::ranges::find(known_, member.key) != known_.end()) continue;
    auto hint = did_you_mean(member.key, known_);
    if (hint.empty() && !known_.empty()) hint = fmt::format("; {} has {}", what_, fmt::join(known_, ", "));
    diagnostics_.error(member.key_place, fmt::format("unknown key \"{}\" in {}{}", member.key, what_, hint));
  }
}

}  // namespace sallyport::yaml
