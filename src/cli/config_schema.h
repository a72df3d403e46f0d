#pragma once
// Every key of the configuration in one table: `config schema` is generated from it, docs/configuration.md lists it, and a
// test shows that the reader takes each. Plain data, any thread.
#include <span>
#include <string>
#include <string_view>

namespace sallyport::cli {

struct ConfigKey {
  std::string_view path;  // dotted; `*` is any name, `[]` an item of a list
  std::string_view type;  // string, bool, integer, duration, size, percent, secret, strings, any_of, targets, steps, strings_map, secrets_map, tls, object, rule, test, version
  bool required;
  std::string_view doc;
};
std::span<const ConfigKey> config_keys();

/// JSON Schema, draft 2020-12.
std::string config_schema();

}  // namespace sallyport::cli
