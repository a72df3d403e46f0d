// The MCP door as an OAuth resource: what it says, and which scopes a message needs.
#include "protocol/mcp/resource_server.h"

#include <gtest/gtest.h>

namespace sallyport::protocol::mcp {
namespace {

const ResourceServer kServer({"https://gw.example:8443", {"https://gw.example:9443"}, {"mcp", "tickets.read"}});

Message call(std::string_view tool) {
  return std::move(*parse_message(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":")" + std::string(tool) + R"(","arguments":{}}})", From::Client, 1 << 20));
}

TEST(ResourceServer, DescribesEachNameInTheSameWords) {
  const auto one = kServer.metadata("/.well-known/oauth-protected-resource/mcp/tickets");
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, R"({"resource":"https://gw.example:8443/mcp/tickets","authorization_servers":["https://gw.example:9443"],"scopes_supported":["mcp","tickets.read"],)"
                  R"("bearer_methods_supported":["header"],"resource_name":"Sallyport"})");
  EXPECT_EQ(kServer.metadata("/.well-known/oauth-protected-resource")->find(R"({"resource":"https://gw.example:8443",)"), 0u);
  for (const char* bad : {"/.well-known/oauth-protected-resource/", "/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resource/mcp/a/b", "/.well-known/oauth-protected-resource/mcp/a%20b",
                          "/.well-known/oauth-protected-resource/mcp/\"", "/.well-known/oauth-protected-resource/x"})
    EXPECT_FALSE(kServer.metadata(bad)) << bad;
  EXPECT_FALSE(ResourceServer::is_metadata("/.well-known/oauth-protected-resourcex"));
  EXPECT_FALSE(ResourceServer::is_metadata("/mcp/x"));
}

TEST(ResourceServer, EchoesNoNameThatIsNone) {
  EXPECT_EQ(kServer.challenge("a\"b", false).find('b' + std::string("\",")), std::string::npos);
  EXPECT_NE(kServer.challenge("a\"b", false).find("oauth-protected-resource/mcp\""), std::string::npos);
  EXPECT_EQ(kServer.challenge("t", false).find("error"), std::string::npos);
  EXPECT_NE(kServer.challenge("t", true).find("error=\"invalid_token\""), std::string::npos);
  EXPECT_EQ(kServer.step_up("t", {"a", "b"}),
            R"(Bearer realm="sallyport", error="insufficient_scope", scope="a b", resource_metadata="https://gw.example:8443/.well-known/oauth-protected-resource/mcp/t")");
}

TEST(ResourceServer, FindsATokenInTheAddressHoweverItIsSpelled) {
  for (const char* bad : {"/mcp/t?access_token=x", "/mcp/t?a=b&access_token=", "/mcp/t?access%5Ftoken=x", "/mcp/t?%61ccess_token=x", "/mcp/t?access_token"}) EXPECT_TRUE(ResourceServer::has_token_in_query(bad)) << bad;
  for (const char* fine : {"/mcp/t", "/mcp/t?", "/mcp/t?a=access_token", "/mcp/access_token", "/mcp/t?a=%20"}) EXPECT_FALSE(ResourceServer::has_token_in_query(fine)) << fine;
}

TEST(Scopes, OfAnOperationAreNamedTogetherWhenOneIsMissing) {
  target::ScopeNeeds needs;
  needs.use = {"t.use"};
  needs.tools = {{"write_*", {"t.write", "t.read"}}, {"write_ticket", {"t.one"}}, {"read", {"t.read"}}};
  identity::Principal who;
  EXPECT_TRUE(missing_scopes(who, needs, call("write_ticket")).empty()) << "not by OAuth: nothing to lack";
  who.scoped = true;
  EXPECT_EQ(missing_scopes(who, needs, call("other")), (std::vector<std::string>{"t.use"}));
  who.scopes = {"t.use"};
  EXPECT_TRUE(missing_scopes(who, needs, call("other")).empty());
  EXPECT_EQ(missing_scopes(who, needs, call("write_ticket")), (std::vector<std::string>{"t.one", "t.read", "t.use", "t.write"}));
  EXPECT_EQ(missing_scopes(who, needs, call("write_x")), (std::vector<std::string>{"t.read", "t.use", "t.write"}));
  EXPECT_TRUE(missing_scopes(who, needs, call("Read")).empty()) << "names are exact";
  who.scopes = {"t.read", "t.use"};
  EXPECT_TRUE(missing_scopes(who, needs, call("read")).empty());
}

TEST(Scopes, ThatAnyTargetKnowsAreOneList) {
  target::Catalog catalog;
  target::McpTarget one, two;
  one.scopes.use = {"b"};
  two.scopes.tools = {{"x", {"a", "b"}}};
  catalog.targets["1"].kind = one;
  catalog.targets["2"].kind = two;
  EXPECT_EQ(known_scopes(catalog), (std::vector<std::string>{"a", "b", "mcp"}));
}

}  // namespace
}  // namespace sallyport::protocol::mcp
