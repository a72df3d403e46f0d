#include "enforce/action.h"

namespace sallyport::enforce {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// Order of mcp_schema(): method, tool, resource, prompt, args, direction.
Facts mcp_facts(std::string method, std::string tool, std::string resource, std::string prompt, json::Value args,
                bool from_server) {
  Facts facts;
  facts.schema = &mcp_schema();
  for (const auto& field : facts.schema->fields) {
    if (field.name == "mcp.method") facts.values.emplace_back(method);
    else if (field.name == "mcp.tool") facts.values.emplace_back(tool);
    else if (field.name == "mcp.resource") facts.values.emplace_back(resource);
    else if (field.name == "mcp.prompt") facts.values.emplace_back(prompt);
    else if (field.name == "mcp.args") facts.values.emplace_back(args);
    else if (field.name == "mcp.direction") facts.values.emplace_back(std::string(from_server ? "server" : "client"));
    else facts.values.emplace_back(Unknown{});
  }
  return facts;
}

}  // namespace

Facts facts_of(const Action& action) {
  return std::visit(
      Overloaded{
          [](const ToolCall& call) { return mcp_facts("tools/call", call.tool, "", "", call.arguments, false); },
          [](const McpRequest& request) {
            return mcp_facts(request.method, "", request.resource, request.prompt,
                             request.prompt.empty() ? json::Value() : request.params["arguments"], request.from_server);
          },
          [](const Raw&) { return Facts{}; },
      },
      action);
}

std::string verb_of(const Action& action) {
  return std::visit(Overloaded{[](const ToolCall&) { return std::string("tools/call"); },
                               [](const McpRequest& request) { return request.method; },
                               [](const Raw& raw) { return raw.what; }},
                    action);
}

std::string object_of(const Action& action) {
  return std::visit(Overloaded{[](const ToolCall& call) { return call.tool; },
                               [](const McpRequest& request) {
                                 return !request.resource.empty() ? request.resource : request.prompt;
                               },
                               [](const Raw&) { return std::string(); }},
                    action);
}

std::string canonical_of(const Action& action) {
  const auto text = [](const json::Value& value) { return value.valid() ? json::canonical(value) : std::string("{}"); };
  return std::visit(
      Overloaded{[&](const ToolCall& call) { return "tools/call\n" + json::quote(call.tool) + "\n" + text(call.arguments); },
                 [&](const McpRequest& request) {
                   return json::quote(request.method) + (request.from_server ? "\nserver\n" : "\nclient\n") + text(request.params);
                 },
                 [](const Raw& raw) { return "raw\n" + json::quote(raw.what); }},
      action);
}

}  // namespace sallyport::enforce
