#include "protocol/mcp/open_back.h"

#include <algorithm>

#include "protocol/mcp/auto_back.h"
#include "protocol/mcp/database_back.h"
#include "protocol/mcp/held_calls.h"
#include "protocol/mcp/stdio_back.h"

namespace sallyport::protocol::mcp {

Result<std::unique_ptr<Back>> open_back(Services& services, StdioPool& pool, const target::Target& target, std::shared_ptr<const enforce::Session> session,
                                        Owner owner, std::string resume_key) {
  const auto* settings = std::get_if<target::McpTarget>(&target.kind);
  if (settings == nullptr) return fail(ErrorKind::Unavailable, "the target is no MCP server");
  if (settings->database && services.databases == nullptr) return fail(ErrorKind::Unavailable, "no databases are served here");
  if (settings->database) return std::make_unique<DatabaseBack>(services.context, *services.databases, std::move(session));
  if (settings->command) return std::make_unique<StdioBack>(pool.shared_from_this(), std::move(owner));
  TRY(auto link, services.links.get(target));
  using Transport = target::McpTarget::Transport;
  if (settings->transport == Transport::Sse || resume_key == kSseResumeKey) return std::make_unique<SseBack>(services.context, std::move(link), *settings);
  auto http = std::make_unique<HttpBack>(link, *settings, resume_key);
  if (settings->transport == Transport::Http || !resume_key.empty()) return http;
  return std::make_unique<AutoBack>(std::move(http), std::make_unique<SseBack>(services.context, std::move(link), *settings));
}

std::vector<std::string> methods_of(const target::McpTarget& target) {
  auto out = target.extra_methods;
  if (std::ranges::find(target.extensions, kTasks) != target.extensions.end()) out.insert(out.end(), {"tasks/get", "tasks/update", "tasks/cancel"});
  return out;
}

}  // namespace sallyport::protocol::mcp
