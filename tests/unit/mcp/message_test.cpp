// JSON-RPC messages of MCP: what is read, what is refused, and what a message is to policy.
#include "protocol/mcp/message.h"

#include <gtest/gtest.h>

namespace sallyport::protocol::mcp {
namespace {

constexpr std::size_t kMax = 1u << 20;

Result<Message> client(std::string text) { return parse_message(std::move(text), From::Client, kMax); }
Result<Message> server(std::string text) { return parse_message(std::move(text), From::Server, kMax); }

std::string why(const Result<Message>& result) { return result ? "accepted" : result.error().what; }

TEST(McpMessage, ARequestIsReadWithIdMethodAndParams) {
  const auto message = client(R"({"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read_ticket","arguments":{"id":1}}})");
  ASSERT_TRUE(message) << why(message);
  EXPECT_EQ(message->kind, Message::Kind::Request);
  EXPECT_EQ(message->method, "tools/call");
  EXPECT_EQ(message->id_text(), "7");
  EXPECT_EQ(message->params["name"].as_string(), "read_ticket");
}

TEST(McpMessage, AStringIdAndANumberIdOfTheSameDigitsAreDifferent) {
  EXPECT_EQ(client(R"({"jsonrpc":"2.0","id":"1","method":"ping"})")->id_text(), "\"1\"");
  EXPECT_EQ(client(R"({"jsonrpc":"2.0","id":1,"method":"ping"})")->id_text(), "1");
}

TEST(McpMessage, KindsAreToldApart) {
  EXPECT_EQ(client(R"({"jsonrpc":"2.0","method":"notifications/initialized"})")->kind, Message::Kind::Notification);
  EXPECT_EQ(server(R"({"jsonrpc":"2.0","id":1,"result":{}})")->kind, Message::Kind::Response);
  EXPECT_EQ(server(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}})")->kind, Message::Kind::Error);
}

struct Refused {
  const char* text;
  const char* because;
};

TEST(McpMessage, WhatIsNotOneWellFormedMessageIsRefused) {
  const Refused cases[] = {
      {"", ""},
      {"null", "one object"},
      {"[]", "one object"},
      {R"({"id":1,"method":"ping"})", "jsonrpc"},
      {R"({"jsonrpc":"1.0","id":1,"method":"ping"})", "jsonrpc"},
      {R"({"jsonrpc":2.0,"id":1,"method":"ping"})", "jsonrpc"},
      {R"({"jsonrpc":"2.0","id":null,"method":"ping"})", "null"},
      {R"({"jsonrpc":"2.0","id":1.5,"method":"ping"})", "string or an integer"},
      {R"({"jsonrpc":"2.0","id":true,"method":"ping"})", "string or an integer"},
      {R"({"jsonrpc":"2.0","id":{},"method":"ping"})", "string or an integer"},
      {R"({"jsonrpc":"2.0","id":1,"method":""})", "method"},
      {R"({"jsonrpc":"2.0","id":1,"method":5})", "method"},
      {R"({"jsonrpc":"2.0","id":1})", "exactly one of"},
      {R"({"jsonrpc":"2.0","id":1,"method":"ping","result":{}})", "both"},
      {R"({"jsonrpc":"2.0","id":1,"result":{},"error":{}})", "exactly one of"},
      {R"({"jsonrpc":"2.0","id":1,"error":"no"})", "object"},
      {R"({"jsonrpc":"2.0","result":{}})", "\"id\""},
      {R"({"jsonrpc":"2.0","id":1,"method":"ping","params":[]})", "params"},
      {R"({"jsonrpc":"2.0","id":1,"method":"ping"} {})", ""},
      {R"({"jsonrpc":"2.0","id":1,"method":"ping"}x)", ""},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping"})", ""},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"ping"})", "case matters"},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}})", ""},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}})", "only in case"},
      {R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":[{"k":1,"K":2}]}}})", "only in case"},
  };
  for (const auto& one : cases) {
    const auto message = client(one.text);
    EXPECT_FALSE(message) << one.text;
    if (!message) {
      EXPECT_EQ(message.error().kind, ErrorKind::Malformed) << one.text;
      EXPECT_NE(message.error().what.find(one.because), std::string::npos) << one.text << " -> " << message.error().what;
    }
  }
}

TEST(McpMessage, AServersDataMayHoldKeysThatDifferInCase) {
  EXPECT_TRUE(server(R"({"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"a":1,"A":2}}})"));
}

TEST(McpMessage, AMessageOverItsLimitIsRefused) {
  const std::string text = R"({"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":")" + std::string(200, 'a') + "\"}}";
  EXPECT_FALSE(parse_message(text, From::Client, 100));
  EXPECT_TRUE(parse_message(text, From::Client, 1000));
}

TEST(McpMessage, EveryPrefixOfAMessageIsRefusedAndNothingElse) {
  const std::string text = R"({"jsonrpc":"2.0","id":"a\u00e9","method":"tools/call","params":{"name":"x","arguments":{"n":[1,2.5e3,null,true]}}})";
  for (std::size_t cut = 0; cut < text.size(); ++cut) EXPECT_FALSE(client(text.substr(0, cut))) << cut;
  EXPECT_TRUE(client(text));
}

TEST(McpMessage, ABatchIsSplitAndAnEmptyOrHugeOneIsRefused) {
  const auto parts = split_batch(R"( [ {"a":1} , {"b":[2]} ] )", kMax, 8);
  ASSERT_TRUE(parts);
  EXPECT_EQ(*parts, (std::vector<std::string>{R"({"a":1})", R"({"b":[2]})"}));
  EXPECT_EQ(split_batch(R"({"a":1})", kMax, 8)->size(), 1u);
  EXPECT_FALSE(split_batch("[]", kMax, 8));
  EXPECT_FALSE(split_batch("[1,2,3]", kMax, 2));
}

std::string kind_of(const std::string& text, From from, const std::vector<std::string>& extra = {}) {
  auto message = parse_message(text, from, kMax);
  if (!message) return "refused";
  const auto action = action_of(*message, from, extra);
  if (std::holds_alternative<enforce::ToolCall>(action)) return "tool " + enforce::object_of(action);
  if (std::holds_alternative<enforce::Raw>(action)) return "raw";
  const auto& request = std::get<enforce::McpRequest>(action);
  return (request.housekeeping ? "housekeeping " : "request ") + request.method + (request.resource.empty() ? "" : " " + request.resource) +
         (request.prompt.empty() ? "" : " " + request.prompt);
}

std::string call(const std::string& method, const std::string& params = "{}") {
  return R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}";
}

TEST(McpAction, EachMethodIsWhatItIsToPolicy) {
  EXPECT_EQ(kind_of(call("tools/call", R"({"name":"t"})"), From::Client), "tool t");
  EXPECT_EQ(kind_of(call("resources/read", R"({"uri":"x://y"})"), From::Client), "request resources/read x://y");
  EXPECT_EQ(kind_of(call("resources/subscribe", R"({"uri":"x://y"})"), From::Client), "request resources/subscribe x://y");
  EXPECT_EQ(kind_of(call("prompts/get", R"({"name":"p"})"), From::Client), "request prompts/get p");
  EXPECT_EQ(kind_of(call("completion/complete", R"({"ref":{"type":"ref/prompt","name":"p"}})"), From::Client), "request completion/complete p");
  EXPECT_EQ(kind_of(call("tools/list"), From::Client), "housekeeping tools/list");
  EXPECT_EQ(kind_of(call("ping"), From::Server), "housekeeping ping");
  EXPECT_EQ(kind_of(call("sampling/createMessage"), From::Server), "request sampling/createMessage");
}

TEST(McpAction, UnknownIsRawUnlessTheTargetNamesIt) {
  EXPECT_EQ(kind_of(call("tools/destroy"), From::Client), "raw");
  EXPECT_EQ(kind_of(call("tools/destroy"), From::Client, {"tools/destroy"}), "request tools/destroy");
  EXPECT_EQ(kind_of(call("sampling/createMessage"), From::Client), "raw") << "a request only servers make";
  EXPECT_EQ(kind_of(call("tools/call", R"({"name":"t"})"), From::Server), "raw") << "a request only clients make";
}

TEST(McpAction, ACallWithoutItsObjectIsRaw) {
  EXPECT_EQ(kind_of(call("tools/call", R"({"arguments":{}})"), From::Client), "raw");
  EXPECT_EQ(kind_of(call("tools/call", R"({"name":5})"), From::Client), "raw");
  EXPECT_EQ(kind_of(call("resources/read", "{}"), From::Client), "raw");
  EXPECT_EQ(kind_of(call("prompts/get", R"({"name":""})"), From::Client), "raw");
  EXPECT_EQ(kind_of(call("completion/complete", R"({"ref":{"name":"p","uri":"x://"}})"), From::Client), "raw");
}

}  // namespace
}  // namespace sallyport::protocol::mcp
