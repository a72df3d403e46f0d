// The route table's patterns, and the strict reading of paths, queries and forms.
#include "admin/router.h"

#include <gtest/gtest.h>

namespace sallyport::admin {
namespace {

Route route(std::string method, std::string pattern, Permission need = Permission::OwnIdentity) {
  return {.method = std::move(method), .pattern = std::move(pattern), .need = need, .handler = Handler([](Call) -> boost::asio::awaitable<Answer> { co_return Answer{}; })};
}
Route stream(std::string method, std::string pattern) {
  auto out = route(std::move(method), std::move(pattern));
  out.handler = StreamHandler([](Call, net::HttpServerConnection&) -> boost::asio::awaitable<std::optional<Answer>> { co_return std::nullopt; });
  return out;
}

class RouterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    router.add(route("GET", "/api/requests/{id}"));
    router.add(route("GET", "/api/requests/watch"));
    router.add(route("POST", "/api/requests/{id}/approve"));
    router.add(route("GET", "/api/things"));
    router.add(route("POST", "/api/things"));
    router.add(route("POST", "/api/tokens", Permission::Open));
    router.add(route("GET", "/log/{path...}"));
    router.add(stream("GET", "/api/events"));
  }
  std::string pattern(std::string_view method, std::string_view path) {
    const auto found = router.find(method, path);
    return found.route ? found.route->pattern : "";
  }
  Router router;
};

TEST_F(RouterTest, FindsLiteralsBeforeParametersWhateverWasAddedFirst) {
  EXPECT_EQ(pattern("GET", "/api/requests/watch"), "/api/requests/watch");
  EXPECT_EQ(pattern("GET", "/api/requests/apr_1"), "/api/requests/{id}");
  EXPECT_EQ(router.find("GET", "/api/requests/apr_1").params.at("id"), "apr_1");
  EXPECT_EQ(router.find("POST", "/api/requests/apr_1/approve").params.at("id"), "apr_1");
}

TEST_F(RouterTest, AParameterIsOneSegmentThatIsNotEmpty) {
  for (const auto* path : {"/api/requests/", "/api/requests//approve", "/api/requests/a/b", "/api/requests/a/approve/", "/api//requests/a", "api/requests/a", "", "/", "/log", "/log/", "/API/things", "/api/thing%73"})
    EXPECT_TRUE(router.find("GET", path).allow.empty()) << path;
}

TEST_F(RouterTest, AParameterIsDecodedOnceAndStrictly) {
  EXPECT_EQ(router.find("GET", "/api/requests/a%20b%2525").params.at("id"), "a b%25");
  EXPECT_EQ(router.find("GET", "/api/requests/a+b").params.at("id"), "a+b");
  for (const auto* path : {"/api/requests/a%", "/api/requests/a%2", "/api/requests/a%zz", "/api/requests/a%2Fb", "/api/requests/%00", "/api/requests/%0a", "/api/requests/%ff", "/api/requests/%c0%af"})
    EXPECT_FALSE(router.find("GET", path).malformed.empty()) << path;
  EXPECT_TRUE(router.find("GET", "/api/requests/" + std::string(256, 'a')).malformed.empty());
  EXPECT_FALSE(router.find("GET", "/api/requests/" + std::string(257, 'a')).malformed.empty());
}

TEST_F(RouterTest, TheRestOfAPathIsTakenAsItIs) { EXPECT_EQ(router.find("GET", "/log/tile/0/x001/234.p/5%20").params.at("path"), "tile/0/x001/234.p/5%20"); }

TEST_F(RouterTest, HeadIsForWhatGetAnswersButNotForStreams) {
  EXPECT_EQ(pattern("HEAD", "/api/things"), "/api/things");
  EXPECT_EQ(router.find("HEAD", "/api/things").route->method, "GET");
  EXPECT_EQ(router.find("HEAD", "/api/events").route, nullptr);
  EXPECT_EQ(router.find("HEAD", "/api/events").allow, "GET");
  EXPECT_EQ(router.find("HEAD", "/api/tokens").route, nullptr);
}

TEST_F(RouterTest, AMethodThatIsNotThereGetsTheOnesThatAre) {
  const auto found = router.find("DELETE", "/api/things");
  EXPECT_EQ(found.route, nullptr);
  EXPECT_EQ(found.allow, "GET, HEAD, POST");
  EXPECT_FALSE(found.open);
  EXPECT_TRUE(router.find("GET", "/api/tokens").open);
}

TEST_F(RouterTest, AMistakeInTheTableIsSeenAtStart) {
  for (const auto* bad : {"no/slash", "/a/{}", "/a/{rest...}/b", "/a/b{c}", "/a/%41"}) EXPECT_THROW(router.add(route("GET", bad)), std::logic_error) << bad;
  EXPECT_THROW(router.add(route("GET", "/api/things")), std::logic_error);
  EXPECT_THROW(router.add(route("DELETE", "/api/requests/{other}")), std::logic_error);
}

TEST(FormTest, ReadsPairsInOrderAndRefusesWhatHasTwoMeanings) {
  const auto form = parse_form("a=1&b=x%20y+z&c&d=");
  ASSERT_TRUE(form);
  EXPECT_EQ(form_value(*form, "b"), "x y z");
  EXPECT_EQ(form->size(), 4u);
  EXPECT_EQ(form_value(*form, "none"), "");
  for (const auto* bad : {"a=1&a=2", "a=%", "a=%g0", "a=%00", "a=%ff", "a=\x01"}) EXPECT_FALSE(parse_form(bad)) << bad;
  std::string many;
  for (int i = 0; i < 65; ++i) many += "k" + std::to_string(i) + "=&";
  EXPECT_FALSE(parse_form(many));
}

TEST(AnswerTest, HasStrictHeadersUnlessItSaysItsOwn) {
  const auto plain = full_headers(json_answer("{}"));
  EXPECT_EQ(plain.get("Content-Security-Policy"), "default-src 'none'; frame-ancestors 'none'");
  EXPECT_EQ(plain.get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(plain.get("Referrer-Policy"), "no-referrer");
  EXPECT_EQ(plain.get("Cache-Control"), "no-store");
  EXPECT_EQ(plain.count("WWW-Authenticate"), 0u);
  const auto page = full_headers(html_answer("<p>", 200, "'sha256-x'"));
  EXPECT_EQ(page.count("Content-Security-Policy"), 1u);
  EXPECT_NE(page.get("Content-Security-Policy").find("style-src 'sha256-x'"), std::string_view::npos);
  EXPECT_EQ(page.get("Referrer-Policy"), "same-origin");
  EXPECT_EQ(full_headers(redirect("/x")).get("Location"), "/x");
  EXPECT_EQ(full_headers(problem(401, "a", "b", "c")).count("WWW-Authenticate"), 1u);
}

}  // namespace
}  // namespace sallyport::admin
