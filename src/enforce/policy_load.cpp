// Reading `policy:`. Every problem is reported at its place; nothing is guessed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "enforce/mask.h"
#include "enforce/policy_rule.h"

namespace sallyport::enforce {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kMaxRules = 10'000, kMaxId = 64;

// A place that has one string or a list of them: "any of".
std::vector<const yaml::Node*> one_or_many(const yaml::Node& node, yaml::Diagnostics& diagnostics, std::string_view what) {
  std::vector<const yaml::Node*> out;
  if (node.kind == yaml::Node::Kind::Scalar) out.push_back(&node);
  if (node.kind == yaml::Node::Kind::Sequence) {
    for (const auto& item : node.items) {
      if (item.kind == yaml::Node::Kind::Scalar) out.push_back(&item);
      else diagnostics.error(item.place, fmt::format("{} is a list of strings", what));
    }
    if (node.items.empty()) diagnostics.error(node.place, fmt::format("{} is an empty list, which nothing matches", what));
  }
  if (node.kind == yaml::Node::Kind::Null || node.kind == yaml::Node::Kind::Mapping) {
    diagnostics.error(node.place, fmt::format("{} is a string or a list of strings", what));
  }
  return out;
}

class RuleReader {
 public:
  RuleReader(const target::Catalog& catalog, yaml::Diagnostics& diagnostics) : catalog_(catalog), diagnostics_(diagnostics) {}

  Rule read(const yaml::Node& item) {
    Rule rule;
    rule.place = item.place;
    yaml::Mapping fields(item, diagnostics_, "rule");
    if (!fields.valid()) return rule;
    read_id(fields, rule);
    fields.string("message", rule.message);
    const yaml::Node* body = nullptr;
    std::size_t effects = 0;
    for (const auto kind : {RuleKind::Block, RuleKind::Approve, RuleKind::Allow, RuleKind::Mask}) {
      const auto* found = fields.get(to_string(kind));
      if (!found) continue;
      ++effects;
      body = found;
      rule.kind = kind;
    }
    if (effects != 1) {
      diagnostics_.error(item.place, fmt::format("a rule has exactly one of allow, block, approve and mask; this one has {}",
                                                 effects == 0 ? "none" : "several"));
      return rule;
    }
    rule.mask.id = rule.id;
    read_body(*body, rule);
    return rule;
  }

 private:
  void read_id(yaml::Mapping& fields, Rule& rule) {
    const auto* node = fields.require("id");
    if (!node) return;
    fields.string("id", rule.id);
    const bool plain = std::ranges::all_of(rule.id, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
    if (node->kind == yaml::Node::Kind::Scalar && (!plain || rule.id.empty() || rule.id.size() > kMaxId)) {
      diagnostics_.error(node->place, fmt::format("a rule's id has 1 to {} characters of a-z, 0-9 and -", kMaxId));
    }
    if (!rule.id.empty() && !ids_.insert(rule.id).second) {
      diagnostics_.error(node->place, fmt::format("a second rule with the id \"{}\"", rule.id));
    }
  }

  void read_body(const yaml::Node& body, Rule& rule) {
    yaml::Mapping fields(body, diagnostics_, to_string(rule.kind));
    if (!fields.valid()) return;
    if (const auto* who = fields.get("who")) read_who(*who, rule);
    if (const auto* target = fields.get("target")) read_target(*target, rule);
    if (const auto* when = fields.get("when")) read_when(*when, rule);
    if (rule.kind == RuleKind::Approve) read_terms(fields, rule);
    if (rule.kind == RuleKind::Mask) read_mask(fields, rule);
    if (rule.kind == RuleKind::Allow) read_limits(fields, rule);
  }

  void read_who(const yaml::Node& node, Rule& rule) {
    for (const auto* item : one_or_many(node, diagnostics_, "who")) {
      if (auto selector = read_selector(*item)) rule.who.push_back(std::move(*selector));
    }
  }

  std::optional<WhoSelector> read_selector(const yaml::Node& node) {
    using Kind = WhoSelector::Kind;
    const std::string& text = node.scalar;
    if (text == "anyone") return WhoSelector{Kind::Anyone, ""};
    const auto colon = text.find(':');
    const auto kind = text.substr(0, colon);
    const auto name = colon == std::string::npos ? std::string() : text.substr(colon + 1);
    if (kind == "agent" && name == "*") return WhoSelector{Kind::AnyAgent, ""};
    if (name == "*") {
      diagnostics_.error(node.place, fmt::format("\"{}\" is no selector; everybody is \"anyone\"", text));
      return std::nullopt;
    }
    if (!name.empty()) {
      if (kind == "group") return WhoSelector{Kind::Group, name};
      if (kind == "user") return WhoSelector{Kind::User, name};
      if (kind == "agent") return WhoSelector{Kind::Agent, name};
    }
    const auto near = yaml::nearest(colon == std::string::npos ? text : kind, {"group", "user", "agent", "anyone"});
    const auto meant = near == "anyone" ? near : near + ":" + (name.empty() ? "NAME" : name);
    diagnostics_.error(node.place, near.empty()
                                       ? fmt::format("\"{}\" is no selector; write group:NAME, user:NAME, agent:NAME, agent:* or anyone", text)
                                       : fmt::format("\"{}\" is no selector (did you mean \"{}\"?)", text, meant));
    return std::nullopt;
  }

  void read_target(const yaml::Node& node, Rule& rule) {
    if (node.kind == yaml::Node::Kind::Mapping) return read_labels(node, rule);
    std::vector<std::string> names;
    for (const auto& [name, target] : catalog_.targets) names.push_back(name);
    for (const auto* item : one_or_many(node, diagnostics_, "target")) {
      rule.target.names.push_back(item->scalar);
      if (catalog_.targets.contains(item->scalar)) continue;
      const auto near = yaml::nearest(item->scalar, names);
      diagnostics_.error(item->place, fmt::format("unknown target \"{}\"{}", item->scalar,
                                                  near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near)));
    }
  }

  void read_labels(const yaml::Node& node, Rule& rule) {
    if (node.members.empty()) diagnostics_.error(node.place, "target has no label; leave it out for every target");
    bool known = true;
    for (const auto& [label, place, value] : node.members) {
      auto& values = rule.target.labels[label];
      for (const auto* item : one_or_many(value, diagnostics_, "a label's value")) {
        values.push_back(item->scalar);
        known &= check_label(label, place, *item);
      }
    }
    const bool matched = std::ranges::any_of(catalog_.targets, [&](const auto& entry) { return rule.target.matches(entry.second); });
    if (known && !matched && diagnostics_.ok()) {
      diagnostics_.error(node.place, "no target has all of these labels");
    }
  }

  // A label that no target has is a slip that would leave a block rule without effect.
  bool check_label(const std::string& label, yaml::Place label_place, const yaml::Node& value) {
    std::set<std::string> labels, values;
    for (const auto& [name, target] : catalog_.targets) {
      for (const auto& [key, text] : target.labels) {
        labels.insert(key);
        if (key == label) values.insert(text);
      }
    }
    if (values.contains(value.scalar)) return true;
    const bool unknown_label = values.empty();
    const auto& known = unknown_label ? labels : values;
    const std::string& word = unknown_label ? label : value.scalar;
    const auto near = yaml::nearest(word, {known.begin(), known.end()});
    const auto hint = near.empty() ? fmt::format("; there {} {}", known.size() == 1 ? "is" : "are",
                                                 known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", ")))
                                   : fmt::format(" (did you mean \"{}\"?)", near);
    diagnostics_.error(unknown_label ? label_place : value.place,
                       unknown_label ? fmt::format("no target has a label \"{}\"{}", label, hint)
                                     : fmt::format("no target has the label {}: {}{}", label, value.scalar, hint));
    return false;
  }

  void read_when(const yaml::Node& node, Rule& rule) {
    if (node.kind != yaml::Node::Kind::Scalar || node.scalar.empty()) {
      return diagnostics_.error(node.place, "when is an expression, such as 'mcp.tool == \"search\"'");
    }
    auto program = cel::Program::compile(node.scalar, all_schemas());
    if (program) {
      rule.when.emplace(std::move(*program));
      return;
    }
    for (const auto& problem : program.error()) {
      const auto at = place_within(node, problem.offset, diagnostics_.text());
      const auto where = at ? std::string() : fmt::format(" (at byte {} of the expression)", problem.offset + 1);
      diagnostics_.error(at.value_or(node.place), "when: " + problem.message + where);
    }
  }

  void read_terms(yaml::Mapping& fields, Rule& rule) {
    auto& terms = rule.terms;
    if (const auto* by = fields.require("by")) {
      const bool group = by->kind == yaml::Node::Kind::Scalar && by->scalar.starts_with("group:") && by->scalar.size() > 6;
      if (group) terms.by_group = by->scalar.substr(6);
      else diagnostics_.error(by->place, "by names the group that approves: group:NAME");
    }
    fields.integer("quorum", terms.quorum, 1, 10);
    fields.duration("hold", terms.hold_ns, 0, 600 * kSecond);
    fields.duration("valid", terms.valid_ns, kSecond, 24 * 3600 * kSecond);
    fields.boolean("in_transaction", terms.in_transaction);
    if (terms.valid_ns < terms.hold_ns) {
      diagnostics_.error(fields.place(), "valid is shorter than hold: a request would end while its command still waits");
    }
  }

  void read_limits(yaml::Mapping& fields, Rule& rule) {
    std::int64_t rows = 0, record = -1;
    fields.integer("rows", rows, 1, std::int64_t{1} << 53);
    if (rows != 0) rule.limits.rows = static_cast<std::uint64_t>(rows);
    fields.integer("record_kib", record, 0, 1 << 20);
    if (record >= 0) rule.limits.record_bytes = static_cast<std::uint64_t>(record) << 10;
  }

  void read_mask(yaml::Mapping& fields, Rule& rule) {
    auto& mask = rule.mask;
    read_checked(fields, "detect", mask.detect, check_detector);
    read_checked(fields, "fields", mask.fields, check_field_path);
    if (const auto* node = fields.get("columns")) {
      for (const auto* item : one_or_many(*node, diagnostics_, "columns")) {
        auto problem = sql::ColumnPattern::parse(item->scalar, mask.columns.emplace_back());
        if (!problem.empty()) diagnostics_.error(item->place, std::move(problem));
      }
    }
    fields.strings("types", mask.types);
    std::string unfollowed = "deny";
    fields.one_of("unfollowed", unfollowed, {"deny", "mask"});
    mask.mask_unfollowed = unfollowed == "mask";
    if (!fields.has("detect") && !fields.has("fields") && !fields.has("columns") && !fields.has("types")) {
      diagnostics_.error(fields.place(), "a mask rule says what to mask: detect, fields, columns or types");
    }
    std::string with = "partial";
    fields.one_of("with", with, {"partial", "redact", "hash", "null"});
    mask.with = with == "redact" ? MaskWith::Redact : with == "hash" ? MaskWith::Hash : with == "null" ? MaskWith::Null : MaskWith::Partial;
  }

  void read_checked(yaml::Mapping& fields, std::string_view key, std::vector<std::string>& out, std::string (*check)(std::string_view)) {
    const auto* node = fields.get(key);
    if (!node) return;
    for (const auto* item : one_or_many(*node, diagnostics_, key)) {
      if (auto problem = check(item->scalar); !problem.empty()) diagnostics_.error(item->place, std::move(problem));
      out.push_back(item->scalar);
    }
  }

  const target::Catalog& catalog_;
  yaml::Diagnostics& diagnostics_;
  std::set<std::string> ids_;
};

}  // namespace

std::vector<Rule> read_rules(const yaml::Node& node, const target::Catalog& catalog, yaml::Diagnostics& diagnostics) {
  std::vector<Rule> rules;
  if (node.kind == yaml::Node::Kind::Null) return rules;
  if (node.kind != yaml::Node::Kind::Sequence) {
    diagnostics.error(node.place, "policy is a list of rules: - { id: …, allow: { … } }");
    return rules;
  }
  if (node.items.size() > kMaxRules) {
    diagnostics.error(node.place, fmt::format("policy has more than {} rules", kMaxRules));
    return rules;
  }
  RuleReader reader(catalog, diagnostics);
  for (const auto& item : node.items) rules.push_back(reader.read(item));
  std::ranges::sort(rules, {}, &Rule::id);
  return rules;
}

}  // namespace sallyport::enforce
