// Names, lists, cursors and searches of virtual servers.
#include <gtest/gtest.h>

#include "protocol/mcp/tool_search.h"
#include "protocol/mcp/virtual_names.h"

namespace sallyport::protocol::mcp {
namespace {

Message message(std::string text, From from = From::Server) {
  auto parsed = parse_message(std::move(text), from, 1u << 20);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().what);
  return parsed ? std::move(*parsed) : Message{};
}

target::VirtualServer server() {
  target::VirtualServer out;
  out.members = {{"tickets", "tickets", "tickets_"}, {"memory", "memory", ""}, {"files", "files", "files."}};
  return out;
}

std::string where(std::string_view name) {
  const auto owned = owner_of(server(), name);
  return owned ? server().members[owned->member].name + ":" + owned->name : "";
}

TEST(VirtualNames, AreTheirsWhosePrefixTheyHaveAndElseOfTheOneWithout) {
  EXPECT_EQ(where("tickets_read"), "tickets:read");
  EXPECT_EQ(where("files.read"), "files:read");
  EXPECT_EQ(where("read"), "memory:read");
  EXPECT_EQ(where("tickets_tickets_x"), "tickets:tickets_x");
  EXPECT_EQ(where("tickets_"), "memory:tickets_") << "a prefix alone names nothing";
  auto without = server();
  without.members.erase(without.members.begin() + 1);
  EXPECT_FALSE(owner_of(without, "read"));
  EXPECT_FALSE(owner_of(without, "Tickets_read"));
}

TEST(VirtualNames, AnElementKeepsEverythingButItsName) {
  const auto list = message(R"({"jsonrpc":"2.0","id":1,"result":{"tools":[ {"title":"name","name" : "re\u0061d","inputSchema":{"name":"read"}}, {"name":"files.x"}]}})");
  const auto tools = list.result["tools"];
  EXPECT_EQ(element_of(server(), 0, *tools.begin(), "name"), R"({"title":"name","name" : "tickets_read","inputSchema":{"name":"read"}})");
  EXPECT_EQ(element_of(server(), 1, *tools.begin(), "name"), (*tools.begin()).raw());
  EXPECT_EQ(element_of(server(), 1, *++tools.begin(), "name"), "") << "without a prefix it would be another member's";
}

TEST(VirtualCursors, SayWhereEachMemberGoesOnAndTakeNothingElse) {
  const Cursors next{{"a", "7"}, {"b \"x\"", "\n"}};
  const auto back = parse_cursor(cursor_of(next));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, next);
  for (const auto* wrong : {"", "x", "7", "e30", "W10", "eyJhIjoxfQ", "!!"}) EXPECT_FALSE(parse_cursor(wrong)) << wrong;
  EXPECT_FALSE(parse_cursor(std::string(100'000, 'a')));
}

TEST(VirtualIds, OfAMembersRequestsComeBackToItAsItWroteThem) {
  for (const std::string id : {"7", R"("a:b")", R"("\"")", "-1"}) {
    const auto ours = message(from_member(message(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":"roots/list","params":{"_meta":{"progressToken":)" + id + "}}}"), "tickets"));
    const auto back = member_id(ours.id);
    ASSERT_TRUE(back) << id;
    EXPECT_EQ(back->member, "tickets");
    EXPECT_EQ(back->raw, id);
    EXPECT_EQ(ours.params["_meta"]["progressToken"].as_string(), ours.id.as_string());
  }
}

TEST(VirtualIds, ThatNobodyMadeAreNobodys) {
  for (const std::string id : {"7", R"("7")", R"("tickets:")", R"("tickets:{}")", R"("tickets:7,\"x\":1")", R"("tickets:null")"})
    EXPECT_FALSE(member_id(message(R"({"jsonrpc":"2.0","id":)" + id + R"(,"result":{}})").id)) << id;
}

TEST(VirtualNotifications, SayWhoSpeaks) {
  const auto logger = [](std::string params) { return std::string(message(from_member(message(R"({"jsonrpc":"2.0","method":"notifications/message","params":)" + params + "}"), "files")).params["logger"].as_string()); };
  EXPECT_EQ(logger(R"({"level":"info","data":1})"), "files");
  EXPECT_EQ(logger(R"({"level":"info","logger":"db","data":1})"), "files/db");
  const auto cancelled = message(from_member(message(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}})"), "files"));
  EXPECT_EQ(cancelled.params["requestId"].as_string(), "files:3");
  const std::string changed = R"({"jsonrpc":"2.0","method":"notifications/tools/list_changed"})";
  EXPECT_EQ(from_member(message(changed), "files"), changed);
}

TEST(VirtualCapabilities, AreWhatAnyMemberHasAndWhatOneThatIsAwayMayHave) {
  const auto one = json::Document::parse(R"({"tools":{},"resources":{"subscribe":true},"extensions":{"x":{"a":1}},"tasks":{},"experimental":{"y":{}}})");
  const auto two = json::Document::parse(R"({"logging":{},"extensions":{"x":{},"z":{}}})");
  EXPECT_EQ(merged_capabilities({one->root(), two->root()}, true),
            R"({"tools":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"logging":{},"extensions":{"x":{"a":1},"z":{}}})");
  EXPECT_EQ(merged_capabilities({}, false), R"({"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true}})");
}

std::vector<ToolText> tools() {
  return {{"files_read", "", "Reads the whole text of one file"},
          {"createTicket", "", "Opens a new ticket for a customer"},
          {"tickets_search", "Find tickets", "Finds tickets by their text"},
          {"weather", "", "Tells what the weather will be like where a ticket holder lives"},
          {"Währung", "", "Rechnet um"}};
}

TEST(ToolSearch, PutsNamesBeforeDescriptionsAndFindsWordsInAnySpelling) {
  const auto found = [](std::string_view query, std::size_t limit = 10) { return find_tools(tools(), query, limit); };
  EXPECT_EQ(found("ticket"), (std::vector<std::size_t>{1, 2, 3}));
  EXPECT_EQ(found("read file").front(), 0u);
  EXPECT_EQ(found("CREATE TICKET", 1), (std::vector<std::size_t>{1}));
  EXPECT_EQ(found("search for tickets").front(), 2u);
  EXPECT_EQ(found("währung"), (std::vector<std::size_t>{4}));
}

TEST(ToolSearch, FindsNothingForNothing) {
  for (const auto* query : {"", "  --", "zebra"}) EXPECT_TRUE(find_tools(tools(), query, 10).empty()) << query;
  EXPECT_TRUE(find_tools({}, "ticket", 10).empty());
  EXPECT_TRUE(find_tools(tools(), "ticket", 0).empty());
}

TEST(ToolSearch, TheToolThatSearchesIsAGoodDefinition) {
  const auto parsed = json::Document::parse(search_tool(137));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->root()["name"].as_string(), kSearchTool);
  EXPECT_NE(parsed->root()["description"].as_string().find("137"), std::string_view::npos);
  EXPECT_EQ(parsed->root()["inputSchema"]["type"].as_string(), "object");
}

}  // namespace
}  // namespace sallyport::protocol::mcp
