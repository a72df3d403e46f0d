// The command line: one group of commands a file, each run when CLI11 has read the arguments.
#include <fmt/format.h>

#include "cli/command.h"

namespace sallyport::cli {

int run(int argc, char** argv, Serve serve) {
  CLI::App app("Sallyport: an access gateway that knows who asks, decides, and keeps evidence.", "sallyport");
  app.set_version_flag("--version", "sallyport 0.1.0");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 1 error, 2 usage or configuration, 3 not found, 4 not authenticated, 5 denied,\n"
             "6 still pending, 7 approval denied, 8 gateway unreachable.");
  int exit = exit_code::kDone;

  std::string file;
  auto* command = app.add_subcommand("serve", "Run the gateway");
  command->add_option("-c,--config", file, "Configuration file")->required();
  command->callback([&] { exit = serve(file); });
  add_config_commands(app, exit);
  add_policy_commands(app, exit);
  add_login_commands(app, exit);
  add_identity_commands(app, exit);
  auto* mcp = app.add_subcommand("mcp", "Reach MCP targets, and judge what they say of their tools")->require_subcommand(1);
  add_mcp_commands(*mcp, exit);
  add_approval_commands(app, exit);
  add_tool_commands(*mcp, exit);
  add_session_commands(app, exit);
  add_evidence_commands(app, exit);
  add_receipt_command(app, exit);
  add_notary_command(app, exit);
  add_witness_command(app, exit);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help and --version come this way as well, with code 0.
    return app.exit(error) == 0 ? exit_code::kDone : exit_code::kUsage;
  }
  return exit;
}

}  // namespace sallyport::cli
