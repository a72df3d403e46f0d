// What a modern request must say twice alike, and messages of one era in the words of the other.
#include "protocol/mcp/era.h"

#include <gtest/gtest.h>

#include "protocol/mcp/bridge_text.h"
#include "protocol/mcp/modern_answer.h"

namespace sallyport::protocol::mcp {
namespace {

Message message(std::string text, From from = From::Client) {
  auto parsed = parse_message(std::move(text), from, 1u << 20);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().what);
  return parsed ? std::move(*parsed) : Message{};
}

const std::string kMeta = R"("_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}})";
Message call(const std::string& arguments = "{}", const std::string& name = "refund") {
  return message(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":)" + json::quote(name) + R"(,"arguments":)" + arguments + "," + kMeta + "}}");
}
MirrorHeaders headers() { return {{"mcp-protocol-version", "2026-07-28"}, {"mcp-method", "tools/call"}, {"mcp-name", "refund"}}; }
int refused(const Message& request, const MirrorHeaders& with) {
  const auto wrong = check_modern(request, with);
  return wrong ? wrong->code : 0;
}
json::Document parsed(std::string text) { return std::move(*json::Document::parse(std::move(text))); }

TEST(McpEra, ARequestWhoseHeadersSayWhatItSaysIsInOrder) { EXPECT_EQ(refused(call(), headers()), 0); }

TEST(McpEra, EachHeaderThatLacksOrDiffersIsAMismatch) {
  for (const auto* name : {"mcp-protocol-version", "mcp-method", "mcp-name"}) {
    auto with = headers();
    with.erase(name);
    EXPECT_EQ(refused(call(), with), code::kHeaderMismatch) << "without " << name;
    with[name] = "else";
    EXPECT_EQ(refused(call(), with), code::kHeaderMismatch) << name;
    with[name] = headers()[name] + ", " + headers()[name];
    EXPECT_EQ(refused(call(), with), code::kHeaderMismatch) << name << " twice";
  }
  auto wrong_case = headers();
  wrong_case["mcp-method"] = "Tools/Call";
  EXPECT_EQ(refused(call(), wrong_case), code::kHeaderMismatch) << "values have a case";
}

TEST(McpEra, WhatMetaMustHave) {
  EXPECT_EQ(refused(message(R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}})"), {{"mcp-protocol-version", "2026-07-28"}}), code::kInvalidParams);
  EXPECT_EQ(refused(message(R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}})"),
                    {{"mcp-protocol-version", "2026-07-28"}, {"mcp-method", "tools/list"}}), code::kInvalidParams) << "capabilities";
  const auto later = message(R"({"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01"}}})");
  const auto wrong = check_modern(later, {{"mcp-protocol-version", "2099-01-01"}, {"mcp-method", "tools/list"}});
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->code, code::kUnsupportedVersion);
  EXPECT_EQ(parsed(wrong->data).root()["requested"].as_string(), "2099-01-01");
}

TEST(McpEra, ANameThatNoHeaderCanHaveIsInBase64) {
  for (const std::string name : {"us-west1", "Hello, 世界", " padded ", "line1\nline2", "=?base64?literal?=", ""}) {
    auto with = headers();
    with["mcp-name"] = header_encoded(name);
    EXPECT_EQ(refused(call("{}", name), with), 0) << name;
    EXPECT_EQ(header_decoded(header_encoded(name)).value(), name);
  }
  EXPECT_EQ(header_encoded("line1\nline2"), "=?base64?bGluZTEKbGluZTI=?=");  // the specification's example
  for (const std::string bad : {"a\x01", "caf\xc3\xa9", " a", "=?base64?***?="}) EXPECT_FALSE(header_decoded(bad)) << bad;
}

TEST(McpEra, AnnotatedParametersAreComparedByValue) {
  const auto schema = parsed(R"({"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"opt":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}})");
  const auto annotated = param_headers(schema.root());
  ASSERT_TRUE(annotated);
  ASSERT_EQ(annotated->size(), 2u);
  const auto check = [&](const std::string& arguments, MirrorHeaders with) { return check_params(call(arguments), with, *annotated).has_value(); };
  EXPECT_FALSE(check(R"({"region":"eu","opt":{"n":42}})", {{"mcp-param-region", "eu"}, {"mcp-param-n", "42.0"}}));
  EXPECT_TRUE(check(R"({"region":"eu","opt":{"n":42}})", {{"mcp-param-region", "us"}, {"mcp-param-n", "42"}}));
  EXPECT_TRUE(check(R"({"region":"eu"})", {})) << "missing";
  EXPECT_TRUE(check(R"({"region":null})", {{"mcp-param-region", "eu"}})) << "for nothing";
  EXPECT_FALSE(check("{}", {}));
  const auto mirrored = mirror_params(parsed(R"({"region":"é","opt":{"n":7}})").root(), *annotated);
  EXPECT_EQ(mirrored, (std::vector<std::pair<std::string, std::string>>{{"Mcp-Param-Region", "=?base64?w6k=?="}, {"Mcp-Param-N", "7"}}));
}

TEST(McpEra, AnnotationsThatBreakTheRulesSpoilTheTool) {
  for (const auto* bad : {R"({"properties":{"a":{"type":"string","x-mcp-header":""}}})", R"({"properties":{"a":{"type":"string","x-mcp-header":"a b"}}})",
                          R"({"properties":{"a":{"type":"number","x-mcp-header":"A"}}})", R"({"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}})",
                          R"({"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}})", R"({"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]})",
                          R"({"x-mcp-header":"A","type":"string"})", R"({"properties":{"a":{"type":"string","x-mcp-header":5}}})"})
    EXPECT_FALSE(param_headers(parsed(bad).root())) << bad;
  EXPECT_TRUE(param_headers(parsed(R"({"properties":{"a":{"default":{"x-mcp-header":"no annotation"}}}})").root())->empty());
}

TEST(McpEra, ResultsAreMadeModernAndPrivate) {
  const auto told = [](const char* result, const char* method) {
    return parsed(modern_result(message(R"({"jsonrpc":"2.0","id":1,"result":)" + std::string(result) + "}", From::Server), method, {}, ""));
  };
  auto list = told(R"({"tools":[],"cacheScope":"public","ttlMs":-5,"resultType":"complete"})", "tools/list");
  EXPECT_EQ(list.root()["result"]["cacheScope"].as_string(), "private");
  EXPECT_EQ(list.root()["result"]["ttlMs"].as_int(), 0);
  EXPECT_EQ(told("{}", "tools/call").root()["result"]["resultType"].as_string(), "complete");
  EXPECT_FALSE(told("{}", "tools/call").root()["result"]["ttlMs"].valid());
  const auto seen = told(R"({"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"tasks":{},"extensions":{"x.y/z":{}}}})", "server/discover");
  EXPECT_FALSE(seen.root()["result"]["capabilities"]["tasks"].valid());
  EXPECT_FALSE(seen.root()["result"]["capabilities"]["extensions"]["x.y/z"].valid());
}

TEST(McpEra, CapabilitiesThatNobodyMediatesAreNotOffered) {
  const auto all = parsed(R"({"sampling":{},"elicitation":{"url":{}},"roots":{},"tasks":{},"extensions":{"a.b/c":{},"d.e/f":{"x":1}},"experimental":{}})");
  EXPECT_EQ(allowed_capabilities(all.root(), {}, {}), R"({"extensions":{},"experimental":{}})");
  EXPECT_EQ(allowed_capabilities(all.root(), {"elicitation"}, {"d.e/f"}), R"({"elicitation":{"url":{}},"extensions":{"d.e/f":{"x":1}},"experimental":{}})");
}

TEST(McpEra, AFormThatAsksForASecretIsRecognised) {
  const auto form = [](const std::string& name, const std::string& title) {
    return asked_secret(parsed(R"({"message":"m","requestedSchema":{"properties":{)" + json::quote(name) + R"(:{"type":"string","title":)" + json::quote(title) + "}}}}").root());
  };
  for (const auto* name : {"password", "userPassword", "api_key", "apiKey", "API-Key", "access_token", "pin", "credentials", "db.passphrase"}) EXPECT_EQ(form(name, ""), name) << name;
  EXPECT_EQ(form("value", "Your one-time code"), "value");
  for (const auto* name : {"name", "shipping", "opinion", "email", "keyboard", "tokenizer", "pinned"}) EXPECT_EQ(form(name, ""), "") << name;
}

TEST(McpBridge, AModernRequestInLegacyWords) {
  const auto request = message(R"({"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"t","arguments":{"x":1.50},"requestState":"s","inputResponses":{},"_meta":{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"mine":1}}})");
  EXPECT_EQ(legacy_request(request, "7"), R"({"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":{"x":1.50},"_meta":{"progressToken":7,"mine":1}}})");
}

TEST(McpBridge, LegacyAnswersInModernWords) {
  const auto told = [](const char* text, const char* method) { return parsed(modern_response(message(text, From::Server), "\"c\"", method)); };
  const auto read = told(R"({"jsonrpc":"2.0","id":7,"result":{"contents":[]}})", "resources/read");
  EXPECT_EQ(read.root()["id"].as_string(), "c");
  EXPECT_EQ(read.root()["result"]["cacheScope"].as_string(), "private");
  EXPECT_EQ(told(R"({"jsonrpc":"2.0","id":7,"error":{"code":-32002,"message":"no","data":{"uri":"u"}}})", "resources/read").root()["error"]["code"].as_int(), code::kInvalidParams);
  const auto url = told(R"({"jsonrpc":"2.0","id":7,"error":{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url","elicitationId":"e","url":"https://a","message":"go"}]}}})", "tools/call");
  EXPECT_TRUE(is_input_required(url.root()["result"]));
  EXPECT_FALSE(url.root()["result"]["inputRequests"]["url-1"]["params"]["elicitationId"].valid());
}

TEST(McpBridge, LogMessagesByLevel) {
  EXPECT_TRUE(is_wanted("error", "warning"));
  EXPECT_FALSE(is_wanted("info", "warning"));
  EXPECT_FALSE(is_wanted("emergency", "")) << "nobody asked";
}

TEST(McpBridge, DiscoveryAsInitialize) {
  const auto discovered = message(R"({"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"extensions":{}},"instructions":"i","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n","version":"1"}}}})", From::Server);
  EXPECT_EQ(initialize_result(discovered, "5", "2025-06-18"),
            R"({"jsonrpc":"2.0","id":5,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"n","version":"1"},"instructions":"i"}})");
}

}  // namespace
}  // namespace sallyport::protocol::mcp
