#pragma once
// What stands before the first worker: certificate, state, evidence with its notary and witnesses, directory, approvals, notices. Built
// by main on its thread, in the order of the data path. Errors: Unavailable with words for the operator.
#include "worker.h"

namespace sallyport {

/// The configured certificate, or one made at first start and kept, so that clients that trust it go on doing so: for
/// HTTP, and with what PostgreSQL's clients need beside it.
struct Tls {
  std::shared_ptr<const net::TlsServer> http, mcp;   // mcp asks for certificates where there is a CA for them
  protocol::postgres::LoginOptions postgres;
};
Result<Tls> load_tls(const cli::Config& config);
std::string self_made_path(const cli::Config& config);
bool is_loopback(const std::string& address);

/// Everything of `shared` but what belongs to the listeners.
Result<void> open_shared(Shared& shared);

// What a reload makes anew.

/// The text that a policy digest in the log stands for: durable before the entry that says it applies. It names secrets, and holds none.
Result<void> keep_policy(const cli::Config& config);
evidence::Entry config_applied(const cli::Config& config, std::string_view why);
/// How long the sessions of each target are kept.
evidence::RetentionTerms retention_of(const cli::Config& config);
enforce::Access::Setup access_of(const cli::Config& config);
admin::WitnessStatus witness_status(const Shared& shared);

}  // namespace sallyport
