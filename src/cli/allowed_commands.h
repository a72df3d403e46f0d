#pragma once
// `sallyport consents` and `sallyport connections`: what a person allowed programs at the MCP door, and which accounts of theirs are connected
// at targets (docs/mcp-authorization.md). Main thread.
#include "cli/command.h"

namespace sallyport::cli {

void add_allowed_commands(CLI::App& app, int& exit);

}  // namespace sallyport::cli
