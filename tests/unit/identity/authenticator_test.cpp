// The whole of authentication on a real log and a real store.
#include "evidence/notary.h"
#include "identity/authenticator.h"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace sallyport::identity {
namespace {

namespace asio = boost::asio;

struct AuthenticatorTest : testing::Test {
  std::string dir = [] { std::string name = "/tmp/sallyport-auth-XXXXXX"; return std::string(mkdtemp(name.data())); }();
  std::unique_ptr<evidence::Log> log;
  std::unique_ptr<state::Store> store;
  asio::io_context context;
  std::unique_ptr<evidence::Port> port;
  std::unique_ptr<Directory> directory;
  std::unique_ptr<Authenticator> who;

  void SetUp() override {
    std::ofstream(dir + "/hash") << hash_password("secret") << "\n";
    const std::string origin = "gw1/evidence";
    auto signer = evidence::ed25519_signer(origin, evidence::generate_note_key(origin).first, dir + "/head");
    ASSERT_TRUE(signer.has_value()) << signer.error().what;
    evidence::Options options;
    options.directory = dir + "/evidence";
    options.origin = origin;
    options.high_water = 1.0;
    auto opened = evidence::Log::open(options, std::move(*signer));
    ASSERT_TRUE(opened.has_value()) << opened.error().what;
    log = std::move(*opened);
    store = std::move(*state::Store::open(":memory:"));
    port = std::make_unique<evidence::Port>(*log, context);
    directory = std::move(*Directory::open(*store, *log, config(true), ""));
    who = std::make_unique<Authenticator>(context, config(true), make_key_source({}), *directory, *port);
  }
  void TearDown() override {
    who.reset();
    directory.reset();
    port.reset();
    store.reset();
    log.reset();
    std::filesystem::remove_all(dir);
  }
  std::shared_ptr<const IdentityConfig> config(bool with_alice) const {
    auto made = std::make_shared<IdentityConfig>();
    if (with_alice) made->users["alice"] = {.name = "alice", .groups = {"ops", "dev"}, .password_hash = {SecretRef::From::File, dir + "/hash"}};
    return made;
  }
  template <class T>
  Result<T> run(asio::awaitable<Result<T>> task) {
    Result<T> result = fail(ErrorKind::Internal, "no answer");
    bool done = false;
    asio::co_spawn(context, std::move(task), [&](std::exception_ptr, Result<T> answer) { result = std::move(answer); done = true; });
    context.restart();
    while (!done) context.run_one();
    return result;
  }
  Result<IssuedToken> issue(std::string user, std::string password, std::string agent = "", std::int64_t life = 0) {
    TokenTerms terms;
    terms.agent = std::move(agent);
    terms.peer = "127.0.0.1:9";
    return run(who->issue({std::move(user), std::move(password), ""}, std::move(terms), life));
  }
  Result<PrincipalPtr> ask(std::string token) { return run(who->authenticate(std::move(token), Door::Any, "127.0.0.1:9")); }
};

TEST_F(AuthenticatorTest, IssuesATokenThatNamesItsUserUntilTheUserIsRemoved) {
  const auto issued = issue("alice", "secret", "bot");
  ASSERT_TRUE(issued.has_value()) << issued.error().what;
  EXPECT_TRUE(issued->token.starts_with("sp_"));
  const auto before = log->status().size;
  const auto principal = ask(issued->token);
  ASSERT_TRUE(principal.has_value()) << principal.error().what;
  EXPECT_EQ((*principal)->subject, "alice");
  EXPECT_EQ((*principal)->agent, "bot");
  EXPECT_EQ((*principal)->groups, (std::vector<std::string>{"dev", "ops"}));
  EXPECT_EQ(log->status().size, before + 1);
  ASSERT_TRUE(ask(issued->token).has_value());
  EXPECT_EQ(log->status().size, before + 1);  // from the cache
  directory->reconfigure(config(false));
  who->reconfigure(config(false), make_key_source({}));
  EXPECT_EQ(ask(issued->token).error().kind, ErrorKind::Denied);
  EXPECT_EQ(log->status().size, before + 2);
}

TEST_F(AuthenticatorTest, RefusesGarbageInOneWordingAndRecordsIt) {
  const auto before = log->status().size;
  const auto first = ask("sp_" + std::string(43, 'A'));
  const auto second = ask("a.b.c");
  ASSERT_FALSE(first.has_value());
  EXPECT_EQ(first.error().kind, ErrorKind::Denied);
  EXPECT_EQ(first.error().what, second.error().what);
  EXPECT_EQ(log->status().size, before + 2);
}

TEST_F(AuthenticatorTest, RefusesTheSixthWrongPasswordAMinuteEvenIfItIsRight) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(issue("alice", "wrong").error().kind, ErrorKind::Denied);
  EXPECT_EQ(issue("alice", "secret").error().kind, ErrorKind::Overloaded);
}

TEST_F(AuthenticatorTest, RefusesUnknownUsersBadAgentNamesAndLongLives) {
  EXPECT_EQ(issue("mallory", "secret").error().what, issue("alice", "wrong").error().what);
  EXPECT_EQ(issue("alice", "secret", "a b").error().kind, ErrorKind::Denied);
  EXPECT_EQ(issue("alice", "secret", "", 7200LL * 1'000'000'000).error().kind, ErrorKind::Denied);
}

TEST_F(AuthenticatorTest, LetsNobodyInWithoutEvidence) {
  const auto issued = issue("alice", "secret");
  ASSERT_TRUE(issued.has_value());
  log->stop();
  EXPECT_EQ(ask(issued->token).error().kind, ErrorKind::Unavailable);
}

}  // namespace
}  // namespace sallyport::identity
