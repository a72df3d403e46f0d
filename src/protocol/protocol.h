#pragma once
// The one extension point: what a worker hands to every protocol. A protocol is a codec (pure), a session (a coroutine
// on one worker) and a target side; it reaches targets, policy, masking and evidence through the Gate alone.
// All references belong to the worker and outlive every session on it; used on the worker's thread only.
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "enforce/gate.h"
#include "enforce/remembered.h"
#include "enforce/tool_pins.h"
#include "identity/authenticator.h"
#include "identity/vault.h"
#include "protocol/database.h"
#include "target/link.h"

namespace sallyport::protocol {

struct Services {
  std::size_t worker = 0;
  boost::asio::io_context& context;
  identity::Authenticator& authenticator;
  enforce::Gate& gate;
  target::Links& links;
  enforce::RememberedSessions& remembered;
  const identity::Vault& vault;
  const std::string& admin_origin;  // where people answer requests; known before the first request is served
  enforce::ToolPins& pins;
  Databases* databases = nullptr;   // of this worker, for protocols whose targets may be databases of another one
};

}  // namespace sallyport::protocol
