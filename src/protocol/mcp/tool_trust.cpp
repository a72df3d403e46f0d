#include "protocol/mcp/tool_trust.h"

#include <algorithm>

#include "base/clock.h"
#include "protocol/mcp/tool_findings.h"
#include "protocol/mcp/tool_text.h"

namespace sallyport::protocol::mcp {

using boost::asio::awaitable;
using enforce::Pin;
using enforce::PinKind;
using enforce::PinState;

namespace {

constexpr const char* kUnseen = "the target says that this list of its has changed, and it could not be listed since; list it and call again";
constexpr std::int64_t kLongestLook = 250'000'000;  // of a worker's time, at what is new on one page; the rest waits for the next list

struct Element {
  json::Value value;
  std::string name, definition;
  Digest digest{};
};

std::vector<Element> elements_of(const Message& answer, const ListKind& kind) {
  std::vector<Element> out;
  for (const auto value : answer.result[kind.array]) {
    const auto name = value[kind.name_key];
    if (!name.is_string()) continue;  // cut out anyway: it cannot be judged
    Element one{value, std::string(name.as_string()), pinned_definition(value), {}};
    one.digest = sha256(as_bytes(one.definition));
    out.push_back(std::move(one));
  }
  return out;
}

bool is_known(const enforce::TargetPins& pins, PinKind kind, const Element& one) {
  const auto* pin = pins.find(kind, one.name);
  return pin != nullptr && (pin->state == PinState::Pinned ? pin->accepted_digest : pin->offered_digest) == one.digest;
}

std::string quoted(std::string_view name) { return "\"" + written_out(name.substr(0, 100), true) + "\""; }

std::string why_held(const Pin& pin, const std::string& target) {
  std::string why = "its definition has changed since it was trusted";
  if (pin.why == "renamed") why = "it has the text of " + quoted(pin.of) + " under another name";
  if (pin.why == "new") why = "it came after the first catalogue";
  if (pin.why == "suspicious") why = "its text is suspicious" + (pin.findings.empty() ? std::string() : " (" + pin.findings.front().kind + ")");
  const std::string what = std::string("the ") + to_string(pin.kind) + " " + quoted(pin.name);
  if (pin.state == PinState::Rejected) return what + " was looked at and rejected; an administrator can accept it with `sallyport mcp review " + target + "`";
  return what + " is quarantined: " + why + ". An administrator looks at it with `sallyport mcp review " + target + "`";
}

/// Why it may not be used at all; "" when it may.
std::string why_not(const Pin* pin, PinKind kind, const std::string& name, const std::string& target) {
  if (pin == nullptr)
    return std::string("the ") + to_string(kind) + " " + quoted(name) + " was never listed through this gateway, so nothing is known of it; list the " + to_string(kind) + "s of the target first";
  return pin->state == PinState::Pinned ? "" : why_held(*pin, target);
}

std::string why_not_these(const Pin& pin, const target::ToolTrust& terms, const json::Value& arguments) {
  using Arguments = target::ToolTrust::Arguments;
  if (terms.arguments == Arguments::Off) return "";
  if (terms.arguments == Arguments::Strict && (!pin.arguments || !pin.unchecked.empty()))
    return "the schema of tool " + quoted(pin.name) + " cannot be judged whole, and the target is strict: " + (pin.unchecked.empty() ? "it has none" : written_out(pin.unchecked.front()));
  if (!pin.arguments) return "";
  static const auto kNone = *json::Document::parse("{}");
  const auto wrong = pin.arguments->violation(arguments.valid() ? arguments : kNone.root());
  if (!wrong) return "";
  return "the arguments do not fit the schema of tool " + quoted(pin.name) + ": at " + (wrong->path.empty() ? "the top" : written_out(wrong->path)) + ", " + written_out(wrong->what) + " (" +
         wrong->keyword + ")";
}

}  // namespace

std::optional<PinKind> pin_kind(const ListKind& kind) {
  if (kind.array == "tools") return PinKind::Tool;
  if (kind.array == "prompts") return PinKind::Prompt;
  if (kind.array == "resourceTemplates") return PinKind::Template;
  return std::nullopt;  // resources are data: they come and go
}

awaitable<Result<Untrusted>> look_at_list(ListScene scene, const Message& answer, const ListKind& kind) {
  Untrusted out;
  const auto pinned = pin_kind(kind);
  if (!pinned || !scene.terms.pinning || !answer.result[kind.array].is_array()) co_return out;
  auto elements = elements_of(answer, kind);
  auto known = scene.pins.of(scene.target);
  const bool last = !answer.result["nextCursor"].is_string();
  const bool all_known = std::ranges::all_of(elements, [&](const auto& one) { return is_known(*known, *pinned, one); });
  if (!all_known || (last && !known->is_complete(*pinned))) {
    enforce::Sighting sighting{scene.target, scene.terms, *pinned, {}, last, std::move(scene.who), std::move(scene.request_id)};
    std::vector<std::string> names;
    for (const auto& [key, pin] : known->pins)
      if (key.first == *pinned) names.push_back(key.second);
    for (const auto& one : elements)
      if (names.size() < 2 * enforce::ToolPins::kMostPins && known->find(*pinned, one.name) == nullptr) names.push_back(one.name);
    const OtherNames others(names);
    std::set<std::string> taken;
    const auto begun = system_clock().mono_ns();
    for (const auto& one : elements) {
      // Of two with one name the first counts: the other has another digest and is cut, or is the same.
      if (is_known(*known, *pinned, one) || !taken.insert(one.name).second || one.definition.size() > enforce::ToolPins::kMostDefinition) continue;
      if (!sighting.seen.empty() && (sighting.seen.size() >= enforce::ToolPins::kMostPins || system_clock().mono_ns() - begun > kLongestLook)) {
        sighting.last = out.whole = false;
        break;
      }
      sighting.seen.push_back({one.name, one.definition, one.digest, findings(one.value, others)});
    }
    CO_TRY(known, co_await scene.pins.observe(std::move(sighting)));
  }
  for (const auto& one : elements) {
    const auto* pin = known->find(*pinned, one.name);
    if (pin != nullptr && pin->state == PinState::Pinned && pin->accepted_digest == one.digest) continue;
    out.elements.insert(one.value.offset());
    out.record.append(out.record.empty() ? "[" : ",").append(one.value.raw());
  }
  if (!out.record.empty()) out.record += "]";
  co_return out;
}

void bind_to_pins(enforce::Action& action, const enforce::ToolPins& pins, Sights& sights, const std::string& target, const target::ToolTrust& terms) {
  if (!terms.pinning) return;
  if (auto* call = std::get_if<enforce::ToolCall>(&action)) {
    const auto known = pins.of(target);
    const auto* pin = known->find(PinKind::Tool, call->tool);
    if (pin != nullptr && pin->state == PinState::Pinned) call->definition = hex(pin->accepted_digest);
    call->problem = [&pins, &sights, target, terms, tool = call->tool, arguments = call->arguments, bound = call->definition]() -> std::string {
      if (!sights.is_seen(target, PinKind::Tool)) return kUnseen;
      const auto now = pins.of(target);
      const auto* current = now->find(PinKind::Tool, tool);
      if (auto why = why_not(current, PinKind::Tool, tool, target); !why.empty()) return why;
      if (hex(current->accepted_digest) != bound) return "the definition of tool " + quoted(tool) + " was changed while the call was held; list the tools and call again";
      return why_not_these(*current, terms, arguments);
    };
  } else if (auto* request = std::get_if<enforce::McpRequest>(&action); request != nullptr && request->method == "prompts/get") {
    request->problem = [&pins, &sights, target, prompt = request->prompt]() -> std::string {
      if (!sights.is_seen(target, PinKind::Prompt)) return kUnseen;
      return why_not(pins.of(target)->find(PinKind::Prompt, prompt), PinKind::Prompt, prompt, target);
    };
  }
}

}  // namespace sallyport::protocol::mcp
