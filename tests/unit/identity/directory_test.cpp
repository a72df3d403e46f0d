// People and tokens as they are now, on a real log and a real store: who leaves is out whatever else happens at the same moment.
#include "identity/directory.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "evidence/notary.h"

namespace sallyport::identity {
namespace {

namespace asio = boost::asio;
constexpr std::int64_t kHour = 3600LL * 1'000'000'000;

struct DirectoryTest : testing::Test {
  std::string dir = [] { std::string name = "/tmp/sallyport-directory-XXXXXX"; return std::string(mkdtemp(name.data())); }();
  std::unique_ptr<evidence::Log> log;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<Directory> directory;
  asio::io_context context;

  void SetUp() override {
    const std::string origin = "gw1/evidence";
    auto signer = evidence::ed25519_signer(origin, evidence::generate_note_key(origin).first, dir + "/head");
    ASSERT_TRUE(signer.has_value()) << signer.error().what;
    evidence::Options options;
    options.directory = dir + "/evidence";
    options.origin = origin;
    options.high_water = 1.0;
    log = std::move(*evidence::Log::open(options, std::move(*signer)));
    store = std::move(*state::Store::open(dir + "/state.db"));
    open();
  }
  void TearDown() override {
    directory.reset();
    store.reset();
    log.reset();
    std::filesystem::remove_all(dir);
  }
  void open() {
    directory.reset();
    directory = std::move(*Directory::open(*store, *log, std::make_shared<IdentityConfig>(), ""));
  }
  static Person ada(std::vector<std::string> groups = {"engineers"}, bool active = true, bool provisioned = false) {
    Person out;
    out.issuer = "https://id.example";
    out.subject = "ada";
    out.groups = std::move(groups);
    out.active = active;
    out.provisioned = provisioned;
    return out;
  }
  static PrincipalPtr jwt(std::int64_t issued = 1) {
    auto out = std::make_shared<Principal>();
    out->issuer = "https://id.example";
    out->subject = "ada";
    out->method = "oidc";
    out->given_groups = {"claimed"};
    out->issued_wall_ns = issued;
    return out;
  }
  /// Begins all of them, and then waits for all.
  template <class... Works>
  void together(Works... works) {
    int left = sizeof...(works);
    (asio::co_spawn(context, std::move(works), [&](std::exception_ptr failure, auto&&...) { EXPECT_FALSE(failure); --left; }), ...);
    context.restart();
    while (left > 0) context.run_one();
  }
  template <class T>
  T run(asio::awaitable<T> work) {
    std::optional<T> out;
    auto into = [](asio::awaitable<T> inner, std::optional<T>& to) -> asio::awaitable<void> { to.emplace(co_await std::move(inner)); };
    together(into(std::move(work), out));
    return std::move(*out);
  }
  TokenTerms terms(std::string sign_in = "") {
    TokenTerms out;
    out.issuer = "https://id.example";
    out.subject = out.login = "ada";
    out.sign_in = std::move(sign_in);
    out.expires_wall_ns = system_clock().wall_ns() + kHour;
    return out;
  }
  std::string sign_in() {
    SignInTerms out;
    out.issuer = "https://id.example";
    out.subject = "ada";
    out.provider = "corp";
    out.secrets = R"({"refresh_token":"r"})";
    out.asks = true;
    out.expires_wall_ns = system_clock().wall_ns() + kHour;
    auto made = run(directory->sign_in(std::move(out), jwt()));
    EXPECT_TRUE(made.has_value());
    return made->id;
  }
  Judged<PrincipalPtr> judge(const std::string& token, Door door = Door::Any) { return run(directory->judge(sha256(as_bytes(token)), door)); }
};

TEST_F(DirectoryTest, AProvidersTokenHasItsOwnGroupsUntilScimSaysOthers) {
  EXPECT_EQ((*directory->current(jwt()))->groups, (std::vector<std::string>{"claimed"}));
  ASSERT_TRUE(run(directory->learn(ada({"signed-in"}), "sign-in")).has_value());
  EXPECT_EQ((*directory->current(jwt()))->groups, (std::vector<std::string>{"claimed"}));
  ASSERT_TRUE(run(directory->learn(ada({"provisioned"}, true, true), "scim")).has_value());
  EXPECT_EQ((*directory->current(jwt()))->groups, (std::vector<std::string>{"provisioned"}));
  ASSERT_TRUE(run(directory->learn(ada({"signed-in"}), "sign-in")).has_value());
  EXPECT_EQ((*directory->current(jwt()))->groups, (std::vector<std::string>{"provisioned"})) << "a sign-in does not overrule SCIM";
  open();
  EXPECT_EQ((*directory->current(jwt()))->groups, (std::vector<std::string>{"provisioned"})) << "nor does a restart";
}

TEST_F(DirectoryTest, ALeaverIsOutWhateverComesAtTheSameMoment) {
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(run(directory->learn(ada({"engineers"}, true, true), "scim")).has_value());
    together(directory->learn(ada({fmt::format("round-{}", round)}), "sign-in"), directory->learn(ada({}, false, true), "scim"), directory->learn(ada({fmt::format("late-{}", round)}), "sign-in"));
    EXPECT_EQ(directory->current(jwt(INT64_MAX)).error(), Reason::Deactivated) << round;
  }
}

TEST_F(DirectoryTest, WhoComesBackBeginsAnew) {
  ASSERT_TRUE(run(directory->learn(ada({"engineers"}, true, true), "scim")).has_value());
  const auto issued = run(directory->issue(terms()));
  ASSERT_TRUE(issued.has_value());
  ASSERT_TRUE(run(directory->learn(ada({"engineers"}, false, true), "scim")).has_value());
  ASSERT_TRUE(run(directory->learn(ada({"engineers"}, true, true), "scim")).has_value());
  EXPECT_EQ(judge(issued->token).error(), Reason::Revoked);
  EXPECT_EQ(directory->current(jwt()).error(), Reason::Revoked);
  EXPECT_TRUE(directory->current(jwt(INT64_MAX)).has_value());
}

TEST_F(DirectoryTest, NoTokenEscapesTheRevocationOfItsSignIn) {
  ASSERT_TRUE(run(directory->learn(ada(), "sign-in")).has_value());
  for (int round = 0; round < 20; ++round) {
    const auto id = sign_in();
    std::vector<std::string> tokens;
    const auto issue = [&]() -> asio::awaitable<void> {
      auto made = co_await directory->issue(terms(id));
      if (made) tokens.push_back(made->token);
    };
    const auto revoke = [&]() -> asio::awaitable<void> {
      Revocation what;
      what.id = id;
      EXPECT_TRUE((co_await directory->revoke(std::move(what), "", "test")).has_value());
    };
    together(issue(), issue(), revoke(), issue(), issue());
    for (const auto& token : tokens) EXPECT_EQ(judge(token).error(), Reason::Revoked) << round;
    EXPECT_FALSE(run(directory->issue(terms(id))).has_value());
  }
}

TEST_F(DirectoryTest, ATokenIsGoodAtItsDoorAndAnyDoorMeansAll) {
  ASSERT_TRUE(run(directory->learn(ada(), "sign-in")).has_value());
  auto narrow = terms();
  narrow.door = Door::Mcp;
  const auto mcp = run(directory->issue(narrow)), any = run(directory->issue(terms()));
  EXPECT_TRUE(judge(mcp->token, Door::Mcp).has_value());
  EXPECT_EQ(judge(mcp->token, Door::Database).error(), Reason::WrongDoor);
  EXPECT_EQ((*judge(mcp->token, Door::Mcp))->door, Door::Mcp);
  for (const auto door : {Door::Api, Door::Mcp, Door::Database}) EXPECT_TRUE(judge(any->token, door).has_value());
}

TEST_F(DirectoryTest, SecretsOfASignInComeBackOpenedAndGoWithIt) {
  ASSERT_TRUE(run(directory->learn(ada(), "sign-in")).has_value());
  const auto id = sign_in();
  const auto kept = run(directory->find_sign_in(id));
  ASSERT_TRUE(kept.has_value() && kept->has_value());
  EXPECT_EQ((*kept)->secrets, R"({"refresh_token":"r"})");
  EXPECT_EQ(run(directory->to_confirm(INT64_MAX, 10))->size(), 1u);
  ASSERT_TRUE(run(directory->tried(id)).has_value());
  EXPECT_TRUE(run(directory->to_confirm(1, 10))->empty());
  Revocation what;
  what.id = id;
  EXPECT_EQ(run(directory->revoke(what, "", "test")).value(), 1u);
  EXPECT_FALSE(run(directory->find_sign_in(id))->has_value());
}

TEST_F(DirectoryTest, NothingChangesWithoutEvidence) {
  ASSERT_TRUE(run(directory->learn(ada({"engineers"}, true, true), "scim")).has_value());
  log->stop();
  EXPECT_FALSE(run(directory->learn(ada({"leads"}, true, true), "scim")).has_value());
  EXPECT_FALSE(run(directory->issue(terms())).has_value());
  EXPECT_EQ((*directory->current(jwt()))->groups, (std::vector<std::string>{"engineers"}));
}

}  // namespace
}  // namespace sallyport::identity
