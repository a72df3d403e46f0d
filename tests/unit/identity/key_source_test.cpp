// The keys' source against a provider that the test plays.
#include "identity/key_source.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <atomic>
#include <gtest/gtest.h>

#include "identity/attempts.h"
#include "identity/authenticator.h"
#include "identity/password.h"
#include "identity/token_cache.h"

namespace sallyport::identity {
namespace {

struct Hand : Clock {
  std::atomic<std::int64_t> now = 1'000'000'000'000;
  std::int64_t wall_ns() const override { return now; }
  std::int64_t mono_ns() const override { return now; }
};

struct Provider {
  std::atomic<int> asked = 0;
  std::atomic<bool> up = true;
  std::atomic<int> kid = 1;
  std::string issuer = "http://127.0.0.1:1";
  Fetch fetch() {
    return [this](const std::string& url, const std::string&, std::int64_t, const std::function<bool()>&) -> Result<Fetched> {
      if (url.ends_with("/openid-configuration")) {
        ++asked;
        if (!up) return fail(ErrorKind::Unavailable, "down");
        return Fetched{R"({"issuer":")" + issuer + R"(","jwks_uri":"http://127.0.0.1:1/jwks"})", -1};
      }
      return Fetched{R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k)" + std::to_string(kid) +
                     R"(","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})", -1};
    };
  }
};

Result<std::shared_ptr<const Keys>> ask(KeySource& source, const std::string& kid) {
  boost::asio::io_context context;
  Result<std::shared_ptr<const Keys>> result = fail(ErrorKind::Internal, "no answer");
  boost::asio::co_spawn(context, source.keys("http://127.0.0.1:1", kid), [&](std::exception_ptr, auto answer) { result = std::move(answer); });
  context.run();
  return result;
}

constexpr std::int64_t kSecond = 1'000'000'000;
const OidcConfig kConfig{.issuer = "http://127.0.0.1:1", .audience = "a", .ca_file = ""};

TEST(KeySource, FetchesAnewForAnUnknownKidOnceAtOnceAndThenEveryTenSeconds) {
  Hand clock;
  Provider provider;
  KeySource source({kConfig}, clock, provider.fetch());
  ASSERT_TRUE(ask(source, "k1").has_value());
  EXPECT_EQ(provider.asked, 1);
  provider.kid = 2;
  ASSERT_EQ((*ask(source, "k2"))->front().kid, "k2");
  EXPECT_EQ(provider.asked, 2);
  provider.kid = 3;
  ASSERT_EQ((*ask(source, "k3"))->front().kid, "k2");
  EXPECT_EQ(provider.asked, 2);
  clock.now += 10 * kSecond;
  ASSERT_EQ((*ask(source, "k3"))->front().kid, "k3");
  EXPECT_EQ(provider.asked, 3);
}

TEST(KeySource, KeepsItsKeysForADayWhileTheProviderIsDown) {
  Hand clock;
  Provider provider;
  KeySource source({kConfig}, clock, provider.fetch());
  ASSERT_TRUE(ask(source, "k1").has_value());
  provider.up = false;
  clock.now += 23 * 3600 * kSecond;
  EXPECT_TRUE(ask(source, "k1").has_value());
  clock.now += 2 * 3600 * kSecond;
  const auto gone = ask(source, "k1");
  ASSERT_FALSE(gone.has_value());
  EXPECT_EQ(gone.error().kind, ErrorKind::Unavailable);
}

TEST(KeySource, RefusesADiscoveryDocumentOfAnotherIssuer) {
  Hand clock;
  Provider provider;
  provider.issuer += "/";
  KeySource source({kConfig}, clock, provider.fetch());
  const auto keys = ask(source, "k1");
  ASSERT_FALSE(keys.has_value());
  EXPECT_NE(keys.error().what.find("another issuer"), std::string::npos);
}

TEST(KeySource, TakesHttpsAndLoopbackOnly) {
  for (const auto* url : {"https://idp.example/x", "http://127.0.0.1:80/", "http://localhost/", "http://[::1]:9/"}) EXPECT_TRUE(is_safe_url(url)) << url;
  for (const auto* url : {"http://idp.example/", "http://127.0.0.1.evil.example/", "http://u@127.0.0.1/", "file:///etc/passwd", "ftp://127.0.0.1/", "x", ""})
    EXPECT_FALSE(is_safe_url(url)) << url;
}

TEST(TokenCache, ForgetsTheLeastRecentlyUsedAndTheOld) {
  TokenCache<int> cache(2);
  const Digest a{1}, b{2}, c{3};
  cache.put(a, 1, 10);
  cache.put(b, 2, 20);
  ASSERT_NE(cache.find(a, 5), nullptr);
  cache.put(c, 3, 20);
  EXPECT_EQ(cache.find(b, 5), nullptr);
  EXPECT_EQ(cache.find(a, 10), nullptr);
  EXPECT_EQ(cache.size(), 1u);
}

TEST(Attempts, LetFiveThroughAMinuteAndGiveGoodOnesBack) {
  Attempts attempts(5);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(attempts.begin("alice", i));
  EXPECT_FALSE(attempts.begin("alice", 5));
  EXPECT_TRUE(attempts.begin("bob", 5));
  attempts.give_back("alice", 4);
  EXPECT_TRUE(attempts.begin("alice", 6));
  EXPECT_FALSE(attempts.begin("alice", 7));
  EXPECT_TRUE(attempts.begin("alice", 60 * kSecond));
}

TEST(Password, HoldsForItsOwnHashOnly) {
  const auto hash = hash_password("correct horse");
  EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=65536,t=3,"));
  EXPECT_TRUE(check_password(hash, "correct horse"));
  EXPECT_FALSE(check_password(hash, "correct horsf"));
  EXPECT_FALSE(check_password("", "nobody"));
  EXPECT_FALSE(check_password("$argon2id$broken", ""));
}

}  // namespace
}  // namespace sallyport::identity
