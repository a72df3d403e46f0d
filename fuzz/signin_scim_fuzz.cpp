// Any JSON as a SCIM resource, patch and filter: no crash; what is kept can be written, and reads back as it was.
#include <cstdint>
#include <cstdlib>

#include "signin/scim_resource.h"

using namespace sallyport;
using namespace sallyport::signin;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)read_filter(text);
  auto document = json::Document::parse(text, {.max_bytes = 1u << 16, .max_depth = 32, .max_nodes = 10'000});
  if (!document) return 0;
  ScimUser user;
  user.id = "u";
  user.user_name = "before";
  for (const bool patch : {false, true}) {
    if (!(patch ? patch_user(document->root(), user) : read_user(document->root(), user))) continue;
    const auto again = json::Document::parse(user_json(user, "https://gw.example"));
    ScimUser back;
    if (!again || !read_user(again->root(), back)) std::abort();
    if (back.user_name != user.user_name || back.external_id != user.external_id || back.active != user.active || back.email != user.email) std::abort();
  }
  ScimGroup group;
  group.id = "g";
  group.display_name = "before";
  for (const bool patch : {false, true}) {
    if (!(patch ? patch_group(document->root(), group) : read_group(document->root(), group))) continue;
    const auto again = json::Document::parse(group_json(group, "https://gw.example"));
    ScimGroup back;
    if (!again || !read_group(again->root(), back) || back.members != group.members || back.display_name != group.display_name) std::abort();
  }
  return 0;
}
