#pragma once
// What goes in and out of the routes, as JSON Schema 2020-12, by the names that the route table uses. Plain data, any thread.
#include <span>
#include <string_view>

namespace sallyport::admin {

struct Schema {
  std::string_view name, text;
};
std::span<const Schema> schemas();

}  // namespace sallyport::admin
