#include "protocol/mcp/open_back.h"

#include <algorithm>

#include "protocol/mcp/held_calls.h"
#include "protocol/mcp/http_back.h"

namespace sallyport::protocol::mcp {

Result<std::unique_ptr<Back>> open_back(Services& services, const target::Target& target, std::string resume_key) {
  const auto* settings = std::get_if<target::McpTarget>(&target.kind);
  if (settings == nullptr) return fail(ErrorKind::Unavailable, "the target is no MCP server");
  TRY(auto link, services.links.get(target));
  return std::make_unique<HttpBack>(std::move(link), *settings, std::move(resume_key));
}

std::vector<std::string> methods_of(const target::McpTarget& target) {
  auto out = target.extra_methods;
  if (std::ranges::find(target.extensions, kTasks) != target.extensions.end()) out.insert(out.end(), {"tasks/get", "tasks/update", "tasks/cancel"});
  return out;
}

}  // namespace sallyport::protocol::mcp
