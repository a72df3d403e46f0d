// Any bytes: no crash, places inside the file, keys unique, depth bounded, and errors that can be printed.
#include <cstdlib>
#include <set>

#include "base/yaml.h"

namespace {

using namespace sallyport;

void demand(bool truth) {
  if (!truth) std::abort();
}

void walk(const yaml::Node& node, std::uint32_t lines, std::size_t depth) {
  demand(depth <= 32 + 1);
  demand(node.place.line <= lines);
  if (node.kind != yaml::Node::Kind::Sequence) demand(node.items.empty());
  if (node.kind != yaml::Node::Kind::Mapping) demand(node.members.empty());
  std::set<std::string> keys;
  for (const auto& item : node.items) walk(item, lines, depth + 1);
  for (const auto& member : node.members) {
    demand(keys.insert(member.key).second);
    demand(node.find(member.key) == &member.value);
    walk(member.value, lines, depth + 1);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  yaml::Diagnostics diagnostics("fuzz", std::string(reinterpret_cast<const char*>(data), size));
  const auto root = yaml::parse(diagnostics, {"tls"});
  std::uint32_t lines = 1;
  for (const char c : diagnostics.text()) lines += c == '\n';
  walk(root, lines, 1);
  for (const auto& error : diagnostics.errors()) demand(error.place.line <= lines && !error.message.empty());
  demand(diagnostics.ok() == diagnostics.print().empty());
  if (root.kind == yaml::Node::Kind::Mapping) {
    yaml::Mapping mapping(root, diagnostics, "top");
    std::int64_t number = 0;
    std::vector<std::string> list;
    mapping.duration("a", number, 0, 1'000'000'000'000);
    mapping.integer("b", number, -5, 5);
    mapping.strings("c", list);
    if (const auto* node = mapping.get("d")) diagnostics.conceal(node->place, node->scalar);
  }
  diagnostics.print();
  return 0;
}
