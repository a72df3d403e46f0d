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

class RuleReader {
 public:
  RuleReader(const target::Catalog& catalog, const std::vector<std::string>& access, yaml::Diagnostics& diagnostics)
      : selectors_(catalog, &access, diagnostics), diagnostics_(diagnostics) {}

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
    if (const auto* who = fields.get("who")) rule.who = selectors_.who(*who);
    if (const auto* target = fields.get("target")) rule.target = selectors_.target(*target);
    if (const auto* when = fields.get("when")) read_when(*when, rule);
    if (rule.kind == RuleKind::Approve) read_terms(fields, rule);
    if (rule.kind == RuleKind::Mask) read_mask(fields, rule);
    if (rule.kind == RuleKind::Allow) read_limits(fields, rule);
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
    const auto* steps = fields.get("steps");
    const auto* by = steps ? fields.get("by") : fields.require("by");
    ApproverNeed need;
    if (by) need.group = read_group(*by, "by", diagnostics_);
    fields.integer("quorum", need.count, 1, 10);
    if (steps && (by || fields.has("quorum"))) diagnostics_.error(fields.place(), "steps say who approves; by and quorum are the short form of a single step");
    if (steps) terms.steps = read_steps(*steps, diagnostics_);
    else if (!need.group.empty()) terms.steps = {{need}};
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

  SelectorReader selectors_;
  yaml::Diagnostics& diagnostics_;
  std::set<std::string> ids_;
};

}  // namespace

std::vector<Rule> read_rules(const yaml::Node& node, const target::Catalog& catalog, const std::vector<std::string>& access,
                             yaml::Diagnostics& diagnostics) {
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
  RuleReader reader(catalog, access, diagnostics);
  for (const auto& item : node.items) rules.push_back(reader.read(item));
  std::ranges::sort(rules, {}, &Rule::id);
  return rules;
}

}  // namespace sallyport::enforce
