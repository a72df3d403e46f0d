#pragma once
// Whom and what a rule is for: `who` and `target`, the same words in `policy:` and in `access:`. Plain data, any thread; the
// reader lives while one file is loaded and reports each mistake at its place.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "enforce/policy.h"

namespace sallyport::enforce {

/// One alternative of `who`.
struct WhoSelector {
  enum class Kind : std::uint8_t { Anyone, Group, User, Agent, AnyAgent, Access };
  Kind kind = Kind::Anyone;
  std::string name;

  bool matches(const identity::Principal& who) const;
};
/// As it is written: "group:leads".
std::string text_of(const WhoSelector& selector);

/// `target`: any of the names, and for every label any of the values. Empty = every target.
struct TargetSelector {
  std::vector<std::string> names;
  std::map<std::string, std::vector<std::string>> labels;

  bool matches(const target::Target& target) const;
};

class SelectorReader {
 public:
  /// `access`: the ids that `access:ID` may name; null where there can be no such selector.
  SelectorReader(const target::Catalog& catalog, const std::vector<std::string>* access, yaml::Diagnostics& diagnostics)
      : catalog_(catalog), access_(access), diagnostics_(diagnostics) {}

  std::vector<WhoSelector> who(const yaml::Node& node);
  TargetSelector target(const yaml::Node& node);

 private:
  std::optional<WhoSelector> selector(const yaml::Node& node);
  void labels(const yaml::Node& node, TargetSelector& out);
  bool check_label(const std::string& label, yaml::Place label_place, const yaml::Node& value);

  const target::Catalog& catalog_;
  const std::vector<std::string>* access_;
  yaml::Diagnostics& diagnostics_;
};

/// A place that has one string or a list of them: "any of".
std::vector<const yaml::Node*> one_or_many(const yaml::Node& node, yaml::Diagnostics& diagnostics, std::string_view what);
/// `group:NAME`; "" after an error.
std::string read_group(const yaml::Node& node, std::string_view key, yaml::Diagnostics& diagnostics);
/// `[[{ by: group:leads, n: 2 }, …], …]`; at most 10 steps of 10 needs.
ApprovalSteps read_steps(const yaml::Node& node, yaml::Diagnostics& diagnostics);

}  // namespace sallyport::enforce
