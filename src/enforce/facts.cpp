#include "enforce/facts.h"

namespace sallyport::enforce {

const FactSchema& mcp_schema() {
  static const FactSchema kSchema{
      "mcp",
      {
          {"mcp.method", FactType::String, "JSON-RPC method: \"tools/call\", \"resources/read\", \"prompts/get\", …"},
          {"mcp.tool", FactType::String, "name of the tool that is called; \"\" for other methods"},
          {"mcp.resource", FactType::String, "URI of the resource that is read; \"\" for other methods"},
          {"mcp.prompt", FactType::String, "name of the prompt that is got; \"\" for other methods"},
          {"mcp.args", FactType::Dyn, "the arguments of the call, as JSON; {} when there are none"},
          {"mcp.direction", FactType::String, "who asks: \"client\", or \"server\" for sampling, elicitation and roots"},
      }};
  return kSchema;
}

const std::vector<const FactSchema*>& all_schemas() {
  static const std::vector<const FactSchema*> kSchemas{&mcp_schema()};
  return kSchemas;
}

}  // namespace sallyport::enforce
