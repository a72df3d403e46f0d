#include "enforce/tool_pin_steps.h"

#include <algorithm>

namespace sallyport::enforce {
namespace {

bool is_grave(const std::vector<Finding>& findings) { return std::ranges::any_of(findings, &Finding::grave); }

PinStep quarantined(Pin pin, const PinScene& scene, const Sighting::One& one, std::string why) {
  pin.state = PinState::Quarantined;
  pin.offered = one.definition;
  pin.offered_digest = one.digest;
  pin.offered_wall_ns = scene.wall_ns;
  pin.findings = one.findings;
  pin.why = std::move(why);
  PinStep out{std::move(pin), "", one.digest, {}};
  out.before = out.next.accepted_digest;
  out.action = out.next.why;
  return out;
}

PinStep pinned(Pin pin, const PinScene& scene, const Sighting::One& one) {
  pin.state = PinState::Pinned;
  pin.accepted = one.definition;
  pin.accepted_digest = one.digest;
  pin.accepted_wall_ns = scene.wall_ns;
  pin.findings = one.findings;
  // Nobody has looked at it: said wherever it is listed.
  pin.why = !scene.first ? "new" : one.findings.empty() ? "" : "suspicious";
  return {std::move(pin), scene.first ? "pinned" : "new", one.digest, {}};
}

/// A name that was not there before.
PinStep first_seen(const PinScene& scene, const Sighting::One& one) {
  Pin pin;
  pin.kind = scene.kind;
  pin.name = one.name;
  if (!scene.first) {
    const auto own = scene.likeness(one.definition);
    for (const auto& [key, other] : scene.known.pins) {
      if (other->kind != scene.kind || !renamed(other->likeness, own)) continue;
      pin.of = other->name;
      return quarantined(std::move(pin), scene, one, "renamed");
    }
  }
  if (scene.terms.quarantine_suspicious && is_grave(one.findings)) return quarantined(std::move(pin), scene, one, "suspicious");
  if (!scene.first && scene.terms.quarantine_new) return quarantined(std::move(pin), scene, one, "new");
  return pinned(std::move(pin), scene, one);
}

std::string input_schema_of(const json::Value& definition) {
  const auto schema = definition["inputSchema"];
  return schema.is_object() ? std::string(schema.raw()) : std::string();
}

}  // namespace

std::optional<PinStep> sighted(const PinScene& scene, const Sighting::One& one) {
  const auto* known = scene.known.find(scene.kind, one.name);
  if (known == nullptr) return first_seen(scene, one);
  if (known->state == PinState::Pinned) {
    if (known->accepted_digest == one.digest) return std::nullopt;
    return quarantined(*known, scene, one, "changed");
  }
  if (known->offered_digest == one.digest) return std::nullopt;
  if (known->accepted_digest == one.digest) {
    // What changed once stays in quarantine until somebody has looked, also when it goes back; after a refusal it may go back.
    if (known->state == PinState::Quarantined) return std::nullopt;
    Pin pin = *known;
    pin.state = PinState::Pinned;
    pin.offered.clear();
    pin.offered_digest = {};
    pin.offered_wall_ns = 0;
    pin.findings = one.findings;
    pin.why.clear();
    pin.of.clear();
    return PinStep{std::move(pin), "restored", one.digest, one.digest};
  }
  return quarantined(*known, scene, one, known->accepted.empty() ? known->why : "changed");
}

Result<PinStep> reviewed(const Pin& pin, const PinReview& review, std::int64_t wall_ns) {
  const bool pinned = pin.state == PinState::Pinned;
  const auto& shown = pinned ? pin.accepted_digest : pin.offered_digest;
  if (shown != review.digest) return fail(ErrorKind::Denied, std::string(to_string(pin.kind)) + " \"" + pin.name + "\" has another definition by now; look at it again");
  if (pinned && review.accept && pin.why.empty()) return fail(ErrorKind::Denied, std::string(to_string(pin.kind)) + " \"" + pin.name + "\" is pinned already");
  if (pin.state == PinState::Rejected && !review.accept) return fail(ErrorKind::Denied, std::string(to_string(pin.kind)) + " \"" + pin.name + "\" is rejected already");
  PinStep out{pin, review.accept ? "accepted" : "rejected", review.digest, pinned ? Digest{} : pin.accepted_digest};
  auto& next = out.next;
  if (review.accept) {
    next.state = PinState::Pinned;
    if (!pinned) next.accepted = pin.offered, next.accepted_digest = pin.offered_digest;
    next.accepted_wall_ns = wall_ns;
    next.accepted_by = review.who->display();
    next.offered.clear();
    next.offered_digest = {};
    next.offered_wall_ns = 0;
    next.why.clear();
    next.of.clear();
  } else {
    next.state = PinState::Rejected;
    if (pinned) {
      next.offered = std::exchange(next.accepted, {});
      next.offered_digest = std::exchange(next.accepted_digest, {});
      next.offered_wall_ns = std::exchange(next.accepted_wall_ns, 0);
      next.accepted_by.clear();
    }
  }
  return out;
}

void load_up(Pin& pin, const std::function<Likeness(const std::string&)>& likeness) {
  pin.likeness = likeness(pin.accepted.empty() ? pin.offered : pin.accepted);
  pin.arguments = nullptr;
  pin.unchecked.clear();
  if (pin.kind != PinKind::Tool || pin.accepted.empty()) return;
  const auto document = json::Document::parse(pin.accepted);
  const auto schema = document ? input_schema_of(document->root()) : std::string();
  auto compiled = schema.empty() ? fail(ErrorKind::Malformed, "there is no inputSchema") : JsonSchema::compile(schema);
  if (compiled) {
    pin.arguments = std::move(*compiled);
    pin.unchecked = pin.arguments->unchecked();
  } else {
    pin.unchecked = {"/inputSchema: " + compiled.error().what};
  }
}

}  // namespace sallyport::enforce
