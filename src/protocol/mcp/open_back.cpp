#include "protocol/mcp/open_back.h"

#include "protocol/mcp/http_back.h"
#include "protocol/mcp/stdio_back.h"

namespace sallyport::protocol::mcp {

Result<std::unique_ptr<Back>> open_back(Services& services, StdioPool& pool, const target::Target& target, Owner owner, std::string resume_key) {
  const auto* settings = std::get_if<target::McpTarget>(&target.kind);
  if (settings == nullptr) return fail(ErrorKind::Unavailable, "the target is no MCP server");
  if (settings->command) return std::make_unique<StdioBack>(pool.shared_from_this(), std::move(owner));
  TRY(auto link, services.links.get(target));
  return std::make_unique<HttpBack>(std::move(link), *settings, std::move(resume_key));
}

}  // namespace sallyport::protocol::mcp
