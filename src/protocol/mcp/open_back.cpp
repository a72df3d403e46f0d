#include "protocol/mcp/open_back.h"

#include "protocol/mcp/http_back.h"

namespace sallyport::protocol::mcp {

Result<std::unique_ptr<Back>> open_back(Services& services, const target::Target& target, std::string resume_key) {
  const auto* settings = std::get_if<target::McpTarget>(&target.kind);
  if (settings == nullptr) return fail(ErrorKind::Unavailable, "the target is no MCP server");
  TRY(auto link, services.links.get(target));
  return std::make_unique<HttpBack>(std::move(link), *settings, std::move(resume_key));
}

}  // namespace sallyport::protocol::mcp
