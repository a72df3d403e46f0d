#pragma once
// The commands of the `sallyport` program. Each group lives in its own file and adds itself here by name, in the order
// `sallyport --help` shows. A command writes its result to stdout, everything else to stderr, and leaves its exit code:
// 0 done, 1 error, 2 usage or configuration, 3 not found, 4 not authenticated, 5 denied, 6 still pending, 7 approval
// denied, 8 gateway unreachable. Main thread only.
#include <CLI/CLI.hpp>
#include <string>

namespace sallyport::cli {

namespace exit_code {
inline constexpr int kDone = 0, kError = 1, kUsage = 2, kNotFound = 3, kUnauthenticated = 4, kDenied = 5, kPending = 6,
                     kApprovalDenied = 7, kUnreachable = 8;
}

void add_config_commands(CLI::App& app, int& exit);     // config check|show|schema
void add_policy_commands(CLI::App& app, int& exit);     // policy check|test|explain
void add_identity_commands(CLI::App& app, int& exit);   // token issue, user hash, whoami
void add_login_commands(CLI::App& app, int& exit);      // login, logout, tokens
void add_approval_commands(CLI::App& app, int& exit);   // requests, request, approve, deny, revoke, renew, review
void add_tool_commands(CLI::App& mcp, int& exit);         // mcp tools|review
void add_session_commands(CLI::App& app, int& exit);    // sessions ls|show|play
void add_evidence_commands(CLI::App& app, int& exit);   // evidence ls|show|keygen
void add_export_command(CLI::App& evidence, int& exit); // evidence export; evidence_commands.cpp calls it
void add_receipt_command(CLI::App& app, int& exit);     // receipt
void add_keeping_commands(CLI::App& evidence, int& exit);  // evidence erase|hold|release|holds|prune
void add_incarnation_command(CLI::App& evidence, int& exit);  // evidence incarnation
void add_mcp_commands(CLI::App& mcp, int& exit);        // mcp stdio
void add_witness_command(CLI::App& app, int& exit);     // witness
void add_notary_command(CLI::App& app, int& exit);      // notary

/// `sallyport serve -c FILE`: main.cpp's, for it builds the whole program.
using Serve = int (*)(const std::string& config_file);

/// Reads the command line and runs one command. Returns the exit code.
int run(int argc, char** argv, Serve serve);

}  // namespace sallyport::cli
