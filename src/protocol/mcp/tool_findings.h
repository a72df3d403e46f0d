#pragma once
// What is suspicious about a tool's text: characters that nobody sees, instructions that are meant for the model and not for its user,
// names that look like another's. Patterns, and so neither complete nor free of false alarms: a finding makes a person look. Codec: pure.
// Written after the tool-poisoning, shadowing and line-jumping attacks that are known of MCP servers.
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "enforce/tool_pin.h"

namespace sallyport::protocol::mcp {

/// The names of a catalogue in the forms that texts are searched by: made once for a list.
struct OtherNames {
  OtherNames(const std::vector<std::string>& names);
  struct One {
    std::string name, lower, skeleton;
    bool compound = false;   // no plain word
  };
  std::vector<One> all;
};

/// Of one definition. `others`: the names of the other tools of the same catalogue that were there before it. Bounded in time: more text than
/// can be looked at is a finding.
std::vector<enforce::Finding> findings(const json::Value& definition, const OtherNames& others);

/// Names that people and models take for one another have the same: case, separators and look-alike letters do not count.
std::string skeleton(std::string_view name);

}  // namespace sallyport::protocol::mcp
