#pragma once
// A schema that was looked through, and what judges a value by it. Included by json_schema*.cpp only.
#include <re2/re2.h>

#include <unordered_map>
#include <unordered_set>

#include "enforce/json_schema.h"

namespace sallyport::enforce {

struct JsonSchema::Compiled {
  json::Document document;
  bool old = false;               // draft-07 and before: a $ref hides what stands beside it
  bool nothing = false;           // another dialect: nothing is judged
  bool tracks = false;            // unevaluatedItems or unevaluatedProperties are somewhere
  std::unordered_map<std::string, json::Value> references;             // by their text
  std::unordered_map<std::string, std::unique_ptr<RE2>> patterns;      // by their text
  std::unordered_set<std::size_t> opaque;                              // offsets of subschemas that are not judged
  std::size_t references_sought = 0;
  int program = 0;                // instructions of the patterns
  std::vector<std::string> unchecked;
  std::unordered_set<std::size_t> visited;                             // offsets, while it is looked through
  std::vector<std::pair<json::Value, std::string>> waiting;            // to be looked through, and where they stand

  void look_through(const json::Value& schema, const std::string& at);
  void look_at_children(const json::Value& schema, const std::string& at);
  void read_reference(const json::Value& schema, const char* keyword, const std::string& at);
  void read_pattern(const std::string& text, const std::string& at);
  json::Value find(std::string_view reference) const;
  void note(const std::string& at, const std::string& why);
};

/// One judgement of one value.
class SchemaJudge {
 public:
  using Value = json::Value;
  /// What of an object or array some keyword has looked at.
  struct Seen {
    bool all = false;
    std::unordered_set<std::string_view> keys;
    std::unordered_set<std::size_t> items;
    void add(const Seen& other);
  };

  explicit SchemaJudge(const JsonSchema::Compiled& compiled) : all_(compiled) {}
  bool holds(const Value& schema, const Value& value, Seen* seen, int depth);
  std::optional<JsonSchema::Violation> take() { return std::move(found_); }

 private:
  struct Step {
    std::string_view key;
    std::size_t item;
    bool is_key;
  };
  bool fail(std::string_view keyword, std::string what);
  bool spend(std::size_t units);
  bool reference(const Value& schema, const char* keyword, const Value& value, Seen* seen, int depth);
  bool types(const Value& schema, const Value& value);
  bool numbers(const Value& schema, const Value& value);
  bool strings(const Value& schema, const Value& value);
  bool arrays(const Value& schema, const Value& value, Seen* seen, int depth);
  bool items(const Value& schema, const Value& value, Seen* seen, int depth);
  bool contains(const Value& schema, const Value& value, Seen* seen, int depth);
  bool unique(const Value& value);
  bool objects(const Value& schema, const Value& value, Seen* seen, int depth);
  bool present(const Value& schema, const Value& value, Seen* seen, int depth);
  bool member(const Value& schema, const Value& one, Seen* seen, int depth);
  bool combined(const Value& schema, const Value& value, Seen* seen, int depth);
  bool any_of(const Value& branches, const Value& value, Seen* seen, int depth, bool one);
  bool unevaluated(const Value& schema, const Value& value, Seen* seen, int depth);
  bool quietly(const Value& schema, const Value& value, Seen* seen, int depth);
  bool matches(const std::string& pattern, std::string_view text);
  std::string path() const;

  const JsonSchema::Compiled& all_;
  std::vector<Step> path_;
  std::size_t spent_ = 0;
  int silent_ = 0;
  bool over_ = false;
  std::optional<JsonSchema::Violation> found_;
};

}  // namespace sallyport::enforce
