// What programs say of themselves: read strictly, and their redirect addresses matched exactly.
#include "signin/client_metadata.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sallyport::signin {
namespace {

constexpr const char* kId = "https://app.example/client.json";

std::string document(std::string_view more, std::string_view uris = R"(["https://app.example/cb"])") {
  return fmt::format(R"({{"client_id":"{}","redirect_uris":{}{}}})", kId, uris, more);
}

TEST(ClientDocument, IsReadWithItsNameAndRedirects) {
  const auto client = read_client_document(document(R"(,"client_name":"App","grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none")",
                                                    R"(["https://app.example/cb","http://127.0.0.1/callback"])"),
                                           kId);
  ASSERT_TRUE(client) << client.error().what;
  EXPECT_EQ(client->name, "App");
  EXPECT_EQ(client->redirect_uris, (std::vector<std::string>{"https://app.example/cb", "http://127.0.0.1/callback"}));
}

TEST(ClientDocument, OfAnotherAddressIsNobodys) {
  EXPECT_FALSE(read_client_document(document(""), "https://app.example/client.json/"));
  EXPECT_FALSE(read_client_document(document(""), "https://APP.example/client.json"));
  EXPECT_FALSE(read_client_document(R"({"redirect_uris":["https://app.example/cb"]})", kId));
}

TEST(ClientDocument, ThatAsksForMoreOrIsUnclearIsRefused) {
  for (const char* more : {R"(,"client_secret":"x")", R"(,"token_endpoint_auth_method":"client_secret_basic")", R"(,"token_endpoint_auth_method":"private_key_jwt")", R"(,"grant_types":["client_credentials"])",
                           R"(,"response_types":["token"])", R"(,"client_name":7)", ",\"client_name\":\"a\\u202eb\"", ",\"client_name\":\"a\\nb\"", R"(,"application_type":"x")", R"(,"client_id":"https://app.example/client.json")"})
    EXPECT_FALSE(read_client_document(document(more), kId)) << more;
  for (const char* uris : {"[]", "7", R"("https://app.example/cb")", R"(["http://app.example/cb"])", R"(["https://app.example/cb#x"])", R"(["https://u@app.example/cb"])", R"x(["javascript:alert(1)"])x",
                           R"(["cursor://x"])", R"([7])", R"(["https://app.example/c b"])", R"(["http://127.0.0.1.evil.example/cb"])"})
    EXPECT_FALSE(read_client_document(document("", uris), kId)) << uris;
  EXPECT_FALSE(read_client_document(std::string(kMaxClientDocument + 1, ' '), kId));
  EXPECT_FALSE(read_client_document("", kId));
}

TEST(ClientDocument, OfAWebApplicationLeadsToHttpsOnly) {
  EXPECT_FALSE(read_client_document(document(R"(,"application_type":"web")", R"(["http://127.0.0.1/cb"])"), kId));
  EXPECT_TRUE(read_client_document(document(R"(,"application_type":"native")", R"(["http://127.0.0.1/cb"])"), kId));
}

TEST(ClientDocument, HasAnAddressWithAPathAndNothingElse) {
  EXPECT_EQ(document_id_problem(kId), "");
  for (const char* bad : {"http://app.example/c", "https://app.example", "https://app.example/", "https://app.example/c?x=1", "https://app.example/c#x", "https://u@app.example/c", "https://app.example/a/../c",
                          "https://app.example/./c", "https://app.example/c d"})
    EXPECT_NE(document_id_problem(bad), "") << bad;
}

TEST(Registration, IsAnsweredAsAPublicClientWhateverWasAsked) {
  const auto client = read_registration(R"({"redirect_uris":["http://localhost:8000/cb"],"token_endpoint_auth_method":"client_secret_post","client_name":"X"})");
  ASSERT_TRUE(client);
  const auto text = registration_text(*client, "dcr_1", 5'000'000'000);
  const auto answer = json::Document::parse(text);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->root()["token_endpoint_auth_method"].as_string(), "none");
  EXPECT_EQ(answer->root()["client_id"].as_string(), "dcr_1");
  EXPECT_FALSE(answer->root()["client_secret"].valid());
  const auto again = read_registration(registration_text(*client, "", 0));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->redirect_uris, client->redirect_uris);
}

TEST(Redirect, IsExactButForThePortOnLoopback) {
  EXPECT_TRUE(redirect_fits("https://a.example/cb", "https://a.example/cb"));
  for (const char* other : {"https://a.example/cb/", "https://a.example/CB", "https://a.example:8443/cb", "https://a.example/cb?x=1", "http://a.example/cb", "https://a.example.evil/cb", ""})
    EXPECT_FALSE(redirect_fits("https://a.example/cb", other)) << other;
  EXPECT_TRUE(redirect_fits("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"));
  EXPECT_TRUE(redirect_fits("http://localhost:1/cb", "http://localhost:2/cb"));
  for (const char* other : {"http://127.0.0.1:5/other", "http://localhost:5/cb", "https://127.0.0.1:5/cb", "http://127.0.0.1:5/cb?x", "http://127.0.0.1:5@evil.example/cb"})
    EXPECT_FALSE(redirect_fits("http://127.0.0.1/cb", other)) << other;
}

}  // namespace
}  // namespace sallyport::signin
