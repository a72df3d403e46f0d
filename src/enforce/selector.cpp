#include "enforce/selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace sallyport::enforce {
namespace {

constexpr std::size_t kMaxSteps = 10, kMaxNeeds = 10;

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto near = yaml::nearest(word, known);
  return near.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", near);
}

}  // namespace

bool WhoSelector::matches(const identity::Principal& who) const {
  switch (kind) {
    case Kind::Anyone: return true;
    case Kind::Group: return who.in_group(name);
    case Kind::User: return who.subject == name;
    case Kind::Agent: return who.agent == name || (who.service && who.agent.empty() && who.subject == name);
    case Kind::AnyAgent: return who.is_agent();
    case Kind::Access: return std::ranges::binary_search(who.access, name);
  }
  return false;
}

std::string text_of(const WhoSelector& selector) {
  switch (selector.kind) {
    case WhoSelector::Kind::Anyone: return "anyone";
    case WhoSelector::Kind::Group: return "group:" + selector.name;
    case WhoSelector::Kind::User: return "user:" + selector.name;
    case WhoSelector::Kind::Agent: return "agent:" + selector.name;
    case WhoSelector::Kind::AnyAgent: return "agent:*";
    case WhoSelector::Kind::Access: return "access:" + selector.name;
  }
  return "";
}

bool TargetSelector::matches(const target::Target& target) const {
  if (!names.empty() && std::ranges::find(names, target.name) == names.end()) return false;
  return std::ranges::all_of(labels, [&](const auto& label) {
    const auto at = target.labels.find(label.first);
    return at != target.labels.end() && std::ranges::find(label.second, at->second) != label.second.end();
  });
}

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

std::string read_group(const yaml::Node& node, std::string_view key, yaml::Diagnostics& diagnostics) {
  if (node.kind == yaml::Node::Kind::Scalar && node.scalar.starts_with("group:") && node.scalar.size() > 6) return node.scalar.substr(6);
  diagnostics.error(node.place, fmt::format("{} names the group that approves: group:NAME", key));
  return "";
}

ApprovalSteps read_steps(const yaml::Node& node, yaml::Diagnostics& diagnostics) {
  ApprovalSteps out;
  constexpr std::string_view kForm = "steps is a list of steps, each a list of groups: [[{ by: group:leads, n: 1 }]]";
  if (node.kind != yaml::Node::Kind::Sequence) return diagnostics.error(node.place, std::string(kForm)), out;
  if (node.items.size() > kMaxSteps) diagnostics.error(node.place, fmt::format("there are at most {} steps", kMaxSteps));
  for (const auto& item : node.items) {
    if (item.kind != yaml::Node::Kind::Sequence) {
      diagnostics.error(item.place, std::string(kForm));
      continue;
    }
    if (item.items.empty() || item.items.size() > kMaxNeeds) diagnostics.error(item.place, fmt::format("a step names 1 to {} groups", kMaxNeeds));
    auto& step = out.emplace_back();
    for (const auto& each : item.items) {
      yaml::Mapping fields(each, diagnostics, "step");
      if (!fields.valid()) continue;
      ApproverNeed need;
      if (const auto* by = fields.require("by")) need.group = read_group(*by, "by", diagnostics);
      fields.integer("n", need.count, 1, 10);
      if (std::ranges::any_of(step, [&](const auto& other) { return other.group == need.group; }) && !need.group.empty())
        diagnostics.error(each.place, fmt::format("group {} stands twice in one step; one entry with a larger n", need.group));
      step.push_back(std::move(need));
    }
  }
  return out;
}

std::vector<WhoSelector> SelectorReader::who(const yaml::Node& node) {
  std::vector<WhoSelector> out;
  for (const auto* item : one_or_many(node, diagnostics_, "who"))
    if (auto one = selector(*item)) out.push_back(std::move(*one));
  return out;
}

std::optional<WhoSelector> SelectorReader::selector(const yaml::Node& node) {
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
    if (kind == "access" && access_ == nullptr) {
      diagnostics_.error(node.place, "who may ask for access cannot hang on another access rule");
      return std::nullopt;
    }
    if (kind == "access") {
      if (std::ranges::find(*access_, name) != access_->end()) return WhoSelector{Kind::Access, name};
      diagnostics_.error(node.place, fmt::format("unknown access rule \"{}\"{}", name, did_you_mean(name, *access_)));
      return std::nullopt;
    }
  }
  const auto near = yaml::nearest(colon == std::string::npos ? text : kind, {"group", "user", "agent", "anyone", "access"});
  const auto meant = near == "anyone" ? near : near + ":" + (name.empty() ? "NAME" : name);
  diagnostics_.error(node.place, near.empty() ? fmt::format("\"{}\" is no selector; write group:NAME, user:NAME, agent:NAME, agent:*, access:ID or anyone", text)
                                              : fmt::format("\"{}\" is no selector (did you mean \"{}\"?)", text, meant));
  return std::nullopt;
}

TargetSelector SelectorReader::target(const yaml::Node& node) {
  TargetSelector out;
  if (node.kind == yaml::Node::Kind::Mapping) return labels(node, out), out;
  std::vector<std::string> names;
  for (const auto& [name, target] : catalog_.targets) names.push_back(name);
  for (const auto* item : one_or_many(node, diagnostics_, "target")) {
    out.names.push_back(item->scalar);
    if (!catalog_.targets.contains(item->scalar))
      diagnostics_.error(item->place, fmt::format("unknown target \"{}\"{}", item->scalar, did_you_mean(item->scalar, names)));
  }
  return out;
}

void SelectorReader::labels(const yaml::Node& node, TargetSelector& out) {
  if (node.members.empty()) diagnostics_.error(node.place, "target has no label; leave it out for every target");
  bool known = true;
  for (const auto& [label, place, value] : node.members) {
    auto& values = out.labels[label];
    for (const auto* item : one_or_many(value, diagnostics_, "a label's value")) {
      values.push_back(item->scalar);
      known &= check_label(label, place, *item);
    }
  }
  const bool matched = std::ranges::any_of(catalog_.targets, [&](const auto& entry) { return out.matches(entry.second); });
  if (known && !matched && diagnostics_.ok()) diagnostics_.error(node.place, "no target has all of these labels");
}

// A label that no target has is a slip that would leave a block rule without effect.
bool SelectorReader::check_label(const std::string& label, yaml::Place label_place, const yaml::Node& value) {
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

}  // namespace sallyport::enforce
