// Calls of a database's tools become statements, and answers become JSON, without a server.
#include "protocol/mcp/database_tools.h"

#include <gtest/gtest.h>

namespace sallyport::protocol::mcp {
namespace {

const target::DatabaseTools kOffered{"shop", "", {"query", "explain", "describe"}, false, 100, 1u << 20};

Result<DatabaseCall> call(const std::string& params) {
  static std::optional<json::Document> kept;
  kept = json::Document::parse(params).value();
  return database_call(kept->root(), kOffered);
}
std::string why(const std::string& params) {
  const auto made = call(params);
  return made ? "no error" : made.error().what;
}

TEST(DatabaseTools, AreWellFormedAndOnlyThoseOffered) {
  for (const bool write : {false, true}) {
    auto offered = kOffered;
    offered.write = write;
    const auto tools = json::Document::parse(database_tools(offered)).value();
    ASSERT_EQ(tools.root().size(), 3u);
    for (const auto tool : tools.root()) {
      EXPECT_EQ(tool["inputSchema"]["additionalProperties"].raw(), "false") << tool["name"].as_string();
      EXPECT_TRUE(tool["outputSchema"]["required"].is_array());
    }
    EXPECT_EQ((*tools.root().begin())["annotations"]["readOnlyHint"].as_bool(), !write);
  }
  auto one = kOffered;
  one.tools = {"explain"};
  const auto tools = json::Document::parse(database_tools(one)).value();
  ASSERT_EQ(tools.root().size(), 1u);
  EXPECT_EQ((*tools.root().begin())["name"].as_string(), "explain");
}

TEST(DatabaseTools, ParametersKeepTheirDigits) {
  const auto made = call(R"({"name":"query","arguments":{"sql":"select $1","params":["a\"b",12345678901234567890,0.10,true,null]}})");
  ASSERT_TRUE(made);
  EXPECT_EQ(made->parameters, (std::vector<std::optional<std::string>>{"a\"b", "12345678901234567890", "0.10", "true", std::nullopt}));
  EXPECT_TRUE(made->read_only);
  EXPECT_EQ(made->max_rows, 100u);
}

TEST(DatabaseTools, ExplainPutsTheStatementBehindItsOwnWordsOnly) {
  EXPECT_EQ(call(R"({"name":"explain","arguments":{"sql":"select 1"}})")->text, "EXPLAIN (FORMAT JSON) select 1");
  EXPECT_EQ(call(R"({"name":"explain","arguments":{"sql":"select 1","analyze":true}})")->text, "EXPLAIN (FORMAT JSON, ANALYZE, BUFFERS) select 1");
}

TEST(DatabaseTools, NamesAreReadAsTheServerReadsThem) {
  using Parameters = std::vector<std::optional<std::string>>;
  const auto named = [](const std::string& name) { return call(R"({"name":"describe","arguments":{"name":)" + json::quote(name) + "}}"); };
  EXPECT_EQ(named("Orders")->parameters, (Parameters{"orders", std::nullopt}));
  EXPECT_EQ(named("HR.Orders")->parameters, (Parameters{"orders", "hr"}));
  EXPECT_EQ(named(R"("H""R.x"."O")")->parameters, (Parameters{"O", "H\"R.x"}));
  for (const auto* wrong : {"", ".", "a.", ".a", "a..b", "\"\"", "\"a\"b", "\"a", "a.b.c"}) EXPECT_FALSE(named(wrong)) << wrong;
}

TEST(DatabaseTools, RefuseWhatTheyDoNotKnowInWords) {
  EXPECT_EQ(why(R"({"name":"drop","arguments":{}})"), "there is no tool \"drop\" here; there are query, explain, describe");
  EXPECT_EQ(why(R"({"name":"query","arguments":[]})"), "arguments is an object");
  EXPECT_EQ(why(R"({"name":"query"})"), "sql is missing: one SQL statement as text");
  EXPECT_EQ(why(R"({"name":"query","arguments":{"sql":"select 1","max_rows":101}})"), "max_rows is a number from 1 to 100");
  EXPECT_EQ(why(R"({"name":"query","arguments":{"sql":"select 1","analyze":true}})"), "there is no argument \"analyze\" here; there are sql, params, max_rows");
  EXPECT_EQ(why(R"({"name":"describe","arguments":{"name":7}})"), "name is a text");
}

TEST(DatabaseTools, ValuesAreJsonWhereThatIsExactAndTextElsewhere) {
  DatabaseAnswer answer;
  for (const auto* type : {"int4", "int8", "numeric", "bool", "float8", "float8", "json", "json", "text", "int4"}) answer.columns.push_back({"c", type});
  answer.rows = {{"-7", "9007199254740993", "0.10", "t", "1.5e10", "NaN", R"({"a": [1]})", R"({"a":1,"a":2})", "7", std::nullopt}};
  answer.more = true;
  answer.session = "ab";
  const auto result = json::Document::parse(database_result("query", answer)).value();
  const auto rows = result.root()["structuredContent"]["rows"];
  EXPECT_EQ(rows.raw(), R"x([[-7,"9007199254740993","0.10",true,1.5e10,"NaN",{"a": [1]},"{\"a\":1,\"a\":2}","7",null]])x");
  EXPECT_TRUE(result.root()["structuredContent"]["more"].as_bool());
  EXPECT_EQ((*result.root()["content"].begin())["text"].as_string(), result.root()["structuredContent"].raw());
  EXPECT_EQ(result.root()["_meta"]["sallyport/session"].as_string(), "ab");
}

TEST(DatabaseTools, TheRecordHasNoLiteralsAndNoParameters) {
  const auto recorded = [](const std::string& params) { return std::string(database_record(json::Document::parse(params).value().root()).value().text()); };
  EXPECT_EQ(recorded(R"({"name":"query","arguments":{"sql":"select 1 from t where ssn = '111'","params":["x",2]}})"),
            R"({"name":"query","arguments":{"sql":"select $1 from t where ssn = $2","params":["***","***"]}})");
  EXPECT_EQ(recorded(R"({"name":"query","arguments":{"sql":"selec '111'"}})"), R"x({"name":"query","arguments":{"sql":"(no SQL that can be read, 11 bytes)"}})x");
  EXPECT_EQ(recorded(R"({"name":"describe","arguments":{"name":"t"}})"), R"({"name":"describe","arguments":{"name":"t"}})");
}

}  // namespace
}  // namespace sallyport::protocol::mcp
