#pragma once
// What can be reached: the `targets:` section of the configuration. Immutable after load and shared by all workers;
// a reload swaps the whole catalog.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/secret.h"

namespace sallyport::target {

struct McpTarget {
  std::string url;              // http(s)://host[:port]/path
  SecretRef bearer;             // sent upstream as Authorization: Bearer; the client's own token never is
  std::map<std::string, SecretRef> headers;  // further credential headers
  std::string ca_file;          // extra trust anchor for https; "" = the system's
  std::vector<std::string> extra_methods;  // methods this version does not know, to be judged and forwarded all the same
  std::int64_t timeout_ns = 120LL * 1'000'000'000;  // silence on an answer
  std::size_t max_message = 16u << 20;              // bytes of one JSON-RPC message
};

struct Target {
  std::string name;
  std::map<std::string, std::string> labels;
  std::variant<McpTarget> kind;
};

struct Catalog {
  std::map<std::string, Target> targets;
  const Target* find(const std::string& name) const {
    const auto at = targets.find(name);
    return at == targets.end() ? nullptr : &at->second;
  }
};
using CatalogPtr = std::shared_ptr<const Catalog>;

}  // namespace sallyport::target
