#include "protocol/mcp/sights.h"

namespace sallyport::protocol::mcp {
namespace {

constexpr std::size_t kMostTools = 4096;  // of a target

/// As a list of the definition would have them; a definition that breaks the rules has none, and its tool is in no list.
std::vector<ParamHeader> headers_in(const std::string& definition) {
  const auto document = json::Document::parse(definition);
  if (!document) return {};
  return param_headers(document->root()["inputSchema"]).value_or(std::vector<ParamHeader>{});
}

}  // namespace

void Sights::listed(const std::string& target, const std::string& tool, std::vector<ParamHeader> headers) {
  const std::lock_guard lock(mutex_);
  auto& known = tools_[target];
  if (headers.empty()) known.erase(tool);
  else if (known.size() < kMostTools || known.contains(tool)) known[tool] = {{}, std::make_shared<const std::vector<ParamHeader>>(std::move(headers))};
}

Sights::Headers Sights::headers_of(const std::string& target, const target::ToolTrust& trust, const std::string& tool) {
  static const auto kNone = std::make_shared<const std::vector<ParamHeader>>();
  const auto pins = trust.pinning ? pins_.of(target) : nullptr;
  const auto* pin = pins ? pins->find(enforce::PinKind::Tool, tool) : nullptr;
  if (pins && (pin == nullptr || pin->accepted.empty())) return kNone;
  const std::lock_guard lock(mutex_);
  auto& of_target = tools_[target];
  const auto at = of_target.find(tool);
  if (at != of_target.end() && (!pin || at->second.definition == pin->accepted_digest)) return at->second.headers;
  if (!pin) return kNone;
  return (of_target[tool] = {pin->accepted_digest, std::make_shared<const std::vector<ParamHeader>>(headers_in(pin->accepted))}).headers;
}

void Sights::forget() {
  const std::lock_guard lock(mutex_);
  tools_.clear();
}

}  // namespace sallyport::protocol::mcp
