#include "enforce/json_schema.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sallyport::enforce {
namespace {

/// "" when it fits, else "PATH KEYWORD".
std::string judged(const std::string& schema, const std::string& value) {
  const auto compiled = JsonSchema::compile(schema);
  const auto document = json::Document::parse(value);
  EXPECT_TRUE(compiled) << schema;
  EXPECT_TRUE(document) << value;
  const auto wrong = (*compiled)->violation(document->root());
  return wrong ? wrong->path + " " + wrong->keyword : "";
}

std::vector<std::string> unchecked(const std::string& schema) { return (*JsonSchema::compile(schema))->unchecked(); }

TEST(JsonSchema, NamesThePlaceAndTheKeyword) {
  const std::string schema = R"({"type":"object","properties":{"path":{"type":"string","minLength":2},"n":{"type":"array","items":{"type":"integer","minimum":1}}},
    "required":["path"],"additionalProperties":false})";
  EXPECT_EQ(judged(schema, R"({"path":"/a","n":[1,2]})"), "");
  EXPECT_EQ(judged(schema, R"({"n":[1]})"), " required");
  EXPECT_EQ(judged(schema, R"({"path":5})"), "/path type");
  EXPECT_EQ(judged(schema, R"({"path":"é"})"), "/path minLength");
  EXPECT_EQ(judged(schema, R"({"path":"/a","n":[1,0]})"), "/n/1 minimum");
  EXPECT_EQ(judged(schema, R"({"path":"/a","a/b~c":1})"), " additionalProperties");
  EXPECT_EQ(judged(schema, "[]"), " type");
}

TEST(JsonSchema, SaysNothingOfTheValueInItsWords) {
  const auto compiled = *JsonSchema::compile(R"({"properties":{"a":{"enum":["x"]},"b":{"pattern":"^k"},"c":{"maxLength":1}}})");
  for (const auto* value : {R"({"a":"hunter2"})", R"({"b":"hunter2"})", R"({"c":"hunter2"})"}) {
    const auto document = *json::Document::parse(value);
    const auto wrong = compiled->violation(document.root());
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->what.find("hunter2"), std::string::npos);
  }
}

TEST(JsonSchema, KnowsWhatIsNewIn2020) {
  EXPECT_EQ(judged(R"({"prefixItems":[{"type":"string"}],"items":false})", R"(["a"])"), "");
  EXPECT_EQ(judged(R"({"prefixItems":[{"type":"string"}],"items":false})", R"(["a",1])"), "/1 false");
  EXPECT_EQ(judged(R"({"dependentRequired":{"a":["b"]}})", R"({"a":1})"), " dependentRequired");
  EXPECT_EQ(judged(R"({"dependentSchemas":{"a":{"required":["b"]}}})", R"({"a":1})"), " required");
  EXPECT_EQ(judged(R"({"contains":{"type":"string"},"minContains":2})", R"(["a",1])"), " contains");
  EXPECT_EQ(judged(R"({"contains":{"type":"string"},"minContains":0})", "[1]"), "");
  EXPECT_EQ(judged(R"({"contains":{"type":"string"},"maxContains":1})", R"(["a","b"])"), " maxContains");
  EXPECT_EQ(judged(R"({"$ref":"#/$defs/a","maximum":5,"$defs":{"a":{"type":"number"}}})", "6"), " maximum");
  EXPECT_EQ(judged(R"({"$ref":"#here","$defs":{"a":{"$anchor":"here","type":"number"}}})", R"("x")"), " type");
  EXPECT_EQ(judged(R"({"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false})", R"({"a":1})"), "");
  EXPECT_EQ(judged(R"({"allOf":[{"properties":{"a":true}}],"unevaluatedProperties":false})", R"({"a":1,"b":2})"), "/b false");
  EXPECT_EQ(judged(R"({"anyOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":true}}],"unevaluatedProperties":false})", R"({"a":1,"b":2})"), "/a false");
  EXPECT_EQ(judged(R"({"if":{"properties":{"k":{"const":1}}},"then":{"properties":{"x":true}},"unevaluatedProperties":false})", R"({"k":1,"x":1})"), "");
  EXPECT_EQ(judged(R"({"prefixItems":[true],"unevaluatedItems":{"type":"string"}})", "[1,2]"), "/1 type");
  EXPECT_EQ(judged(R"({"contains":{"type":"string"},"unevaluatedItems":false})", R"(["a",1])"), "/1 false");
}

TEST(JsonSchema, ReadsOldDialectsAsTheyWere) {
  const std::string seven = R"("$schema":"http://json-schema.org/draft-07/schema#")";
  EXPECT_EQ(judged("{" + seven + R"(,"items":[{"type":"string"}],"additionalItems":false})", R"(["a",1])"), "/1 false");
  EXPECT_EQ(judged("{" + seven + R"(,"properties":{"a":{"$ref":"#/definitions/n","maximum":1}},"definitions":{"n":{"type":"number"}}})", R"({"a":5})"), "");
  EXPECT_EQ(judged(R"({"$schema":"http://json-schema.org/draft-04/schema","minimum":3,"exclusiveMinimum":true})", "3"), " minimum");
}

TEST(JsonSchema, FetchesNothingAndSaysWhatItDoesNotJudge) {
  EXPECT_EQ(unchecked(R"({"properties":{"a":{"$ref":"https://example.com/a.json"}}})"),
            (std::vector<std::string>{"/properties/a/$ref: it refers to something outside of the schema, which is not fetched"}));
  EXPECT_EQ(judged(R"({"properties":{"a":{"$ref":"https://example.com/a.json","type":"string"}}})", R"({"a":1})"), "/a type");
  EXPECT_EQ(unchecked(R"s({"pattern":"(?!x)"})s"), (std::vector<std::string>{"/pattern: a pattern that RE2 does not know"}));
  // What thousands of tools would cost to keep and to resolve.
  std::string patterns, long_ones, references;
  for (int i = 0; i < 200; ++i) patterns += (i ? "," : "") + std::string(R"("p)") + std::to_string(i) + R"(":{"pattern":"^)" + std::to_string(i) + R"($"})";
  for (int i = 0; i < 40; ++i) long_ones += (i ? "," : "") + std::string(R"("p)") + std::to_string(i) + R"(":{"pattern":"[^)" + static_cast<char>('0' + i) + R"(]{100}"})";
  for (int i = 0; i < 300; ++i) references += (i ? "," : "") + std::string(R"({"$ref":"#/$defs/d)") + std::to_string(i) + R"("})";
  EXPECT_EQ(unchecked(R"({"properties":{)" + patterns + "}}").front(), "/properties/p100/pattern: more patterns than are kept");
  EXPECT_NE(unchecked(R"({"properties":{)" + long_ones + "}}").front().find("too long to be kept"), std::string::npos);
  EXPECT_NE(unchecked(R"({"allOf":[)" + references + "]}").back().find("there is no such place"), std::string::npos);
  EXPECT_EQ(unchecked(R"({"$ref":"#/nowhere"})").size(), 1u);
  EXPECT_EQ(unchecked(R"({"$schema":"https://example.com/mine"})").size(), 1u);
  EXPECT_EQ(judged(R"({"$schema":"https://example.com/mine","type":"string"})", "1"), "");
  EXPECT_EQ(unchecked(R"({"properties":{"x":{"$id":"https://example.com/x","type":"string"}}})").size(), 1u);
  EXPECT_TRUE(unchecked(R"({"type":"object","properties":{"a":{"pattern":"^\\u00e9[^/]\\/$"}}})").empty());
  EXPECT_EQ(judged(R"({"$ref":"#/mine/a","mine":{"a":{"$ref":"#/mine/b"},"b":{"pattern":"^x$"}}})", R"("y")"), " pattern");
  EXPECT_FALSE(JsonSchema::compile("[]"));
  EXPECT_FALSE(JsonSchema::compile("{"));
}

TEST(JsonSchema, EndsWhereASchemaDoesNot) {
  EXPECT_EQ(judged(R"({"$ref":"#"})", "1"), " limit");
  EXPECT_EQ(judged(R"({"not":{"$ref":"#"}})", "1"), " limit");
  std::string doubling = R"({"$defs":{"d0":{"type":"string"})";
  for (int i = 1; i < 60; ++i) {
    const auto one = R"({"$ref":"#/$defs/d)" + std::to_string(i - 1) + "\"}";
    doubling += ",\"d" + std::to_string(i) + "\":{\"anyOf\":[" + one + "," + one + "]}";
  }
  EXPECT_EQ(judged(doubling + R"(},"$ref":"#/$defs/d59"})", "1"), " limit");
  std::string properties, value;
  for (int i = 0; i < 20'000; ++i) {
    properties += (i ? "," : "") + std::string("\"p") + std::to_string(i) + "\":true";
    value += (i ? "," : "") + std::string("\"p") + std::to_string(i) + "\":1";
  }
  EXPECT_NE(judged("{\"properties\":{" + properties + "}}", "{" + value + "}").find("limit"), std::string::npos);
}

TEST(JsonSchema, CountsNumbersAsTheyAre) {
  EXPECT_EQ(judged(R"({"type":"integer"})", "1.0"), "");
  EXPECT_EQ(judged(R"({"type":"integer"})", "1.5"), " type");
  EXPECT_EQ(judged(R"({"multipleOf":0.0001})", "0.0075"), "");
  EXPECT_EQ(judged(R"({"multipleOf":0})", "1"), " multipleOf");
  EXPECT_EQ(judged(R"({"multipleOf":-1})", "-9223372036854775808"), "");
  EXPECT_EQ(judged(R"({"maximum":9007199254740993})", "9007199254740994"), " maximum");
  EXPECT_EQ(judged(R"({"const":1.0})", "1"), "");
}

/// The public test suite as Debian has it (json-schema-test-suite), but for what is documented as not judged.
class Suite : public testing::TestWithParam<const char*> {};

TEST_P(Suite, HoldsForEveryCaseThatIsJudged) {
  const std::filesystem::path folder = std::filesystem::path("/usr/share/json-schema-test-suite/tests") / GetParam();
  ASSERT_TRUE(std::filesystem::is_directory(folder)) << "install json-schema-test-suite";
  std::size_t judged_cases = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".json") continue;
    std::ifstream in(file.path());
    const auto suite = json::Document::parse(std::string(std::istreambuf_iterator<char>(in), {}));
    ASSERT_TRUE(suite) << file.path();
    for (const auto group : suite->root()) {
      std::string text(group["schema"].raw());
      if (text.starts_with('{') && !group["schema"]["$schema"].valid())
        text.insert(1, std::string(R"("$schema":"http://json-schema.org/)") + (GetParam() == std::string("draft7") ? "draft-07" : GetParam() == std::string("draft6") ? "draft-06" : "draft-04") +
                           "/schema#\"" + (text == "{}" ? "" : ","));
      const auto schema = JsonSchema::compile(text);
      ASSERT_TRUE(schema) << text;
      if (!(*schema)->unchecked().empty()) continue;
      for (const auto one : group["tests"]) {
        const auto wrong = (*schema)->violation(one["data"]);
        EXPECT_EQ(!wrong, one["valid"].as_bool()) << file.path() << ": " << group["description"].as_string() << ": " << one["description"].as_string();
        ++judged_cases;
      }
    }
  }
  EXPECT_GT(judged_cases, 290u);
}
INSTANTIATE_TEST_SUITE_P(Drafts, Suite, testing::Values("draft7", "draft6", "draft4"));

}  // namespace
}  // namespace sallyport::enforce
