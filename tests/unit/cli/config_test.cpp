#include "cli/config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <regex>

#include "base/json.h"
#include "cli/config_schema.h"
#include "cli/config_show.h"

namespace sallyport::cli {
namespace {

constexpr const char* kGood = R"(version: 1
gateway: { name: gw1, public_url: "https://gw.example:8443" }
identity: { local: { users: { alice: { groups: [engineers] } } } }
targets: { tickets: { mcp: { url: "http://127.0.0.1:3001/mcp" }, labels: { env: prod } } }
)";

class ConfigFile : public testing::Test {
 protected:
  ConfigFile() : folder_(std::filesystem::temp_directory_path() / fmt::format("sallyport-config-{}", ::getpid())) { std::filesystem::create_directories(folder_); }
  ~ConfigFile() override { std::filesystem::remove_all(folder_); }
  LoadedConfig load(const std::string& text) const {
    std::ofstream(folder_ / "c.yaml", std::ios::binary) << text;
    return load_config((folder_ / "c.yaml").string());
  }
  /// kGood with one piece of it replaced.
  static std::string with(const std::string& piece, const std::string& by) {
    std::string text = kGood;
    text.replace(text.find(piece), piece.size(), by);
    return text;
  }
  void refuses(const std::string& text, const std::string& problem) const {
    const auto loaded = load(text);
    EXPECT_FALSE(loaded.config) << text;
    EXPECT_NE(loaded.problems.find(problem), std::string::npos) << text << "\ngave\n" << loaded.problems << "\nnot\n" << problem;
  }
  std::filesystem::path folder_;
};

const std::string kGateway = R"({ name: gw1, public_url: "https://gw.example:8443" })";
const std::string kUser = "{ groups: [engineers] }";
const std::string kMcp = R"({ url: "http://127.0.0.1:3001/mcp" })";
const std::string kIdentity = "{ local: { users: { alice: { groups: [engineers] } } } }";

TEST_F(ConfigFile, FillsInDefaultsAndResolvesPathsBesideTheFile) {
  const auto loaded = load(with(kMcp, "{ url: \"http://127.0.0.1:3001/mcp\", credential: { bearer: { file: t/x } } }"));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  const auto& config = *loaded.config;
  EXPECT_EQ(config.gateway.listen_mcp, "127.0.0.1:8443");
  EXPECT_EQ(config.gateway.state_directory, (folder_ / "state").string());
  EXPECT_EQ(config.evidence.directory, (folder_ / "evidence").string());
  EXPECT_EQ(config.file, (folder_ / "c.yaml").string());
  EXPECT_TRUE(config.gateway.tls);
  EXPECT_EQ(config.digest, config.policy->digest());
  const auto& mcp = std::get<target::McpTarget>(config.targets->find("tickets")->kind);
  EXPECT_EQ(mcp.bearer.name, (folder_ / "t/x").string());
}

TEST_F(ConfigFile, ReadsAnMcpServerThatIsACommand) {
  const auto plain = load(with(kMcp, "{ command: [node, server.mjs] }"));
  ASSERT_TRUE(plain.config) << plain.problems;
  EXPECT_EQ(plain.warnings, std::vector<std::string>{"target tickets is a command without a user: it runs as the gateway's own and can read its keys and its log"});
  const auto& command = *std::get<target::McpTarget>(plain.config->targets->find("tickets")->kind).command;
  EXPECT_EQ(command.argv, (std::vector<std::string>{"node", "server.mjs"}));
  EXPECT_FALSE(command.network);
  EXPECT_EQ(command.pool, target::McpCommand::Pool::Principal);
  const auto full = load(with(kMcp, "{ command: [bin/server, -x], env: { HOME: /srv, EMPTY: '', KEY: { env: K } }, user: nobody, network: host, directory: d, pool: shared, idle: 1m, "
                                    "limits: { memory: 64MiB, cpu: 90s, files: 40, processes: 9, instances: 3 } }"));
  ASSERT_TRUE(full.config) << full.problems;
  EXPECT_TRUE(full.warnings.empty());
  target::McpCommand expected;
  expected.argv = {(folder_ / "bin/server").string(), "-x"};
  expected.env = {{"HOME", "/srv"}, {"EMPTY", ""}};
  expected.secrets = {{"KEY", {SecretRef::From::Env, "K"}}};
  expected.user = "nobody";
  expected.network = true;
  expected.directory = (folder_ / "d").string();
  expected.pool = target::McpCommand::Pool::Shared;
  expected.idle_ns = 60'000'000'000;
  expected.memory = 64u << 20;
  expected.cpu_seconds = 90;
  expected.files = 40;
  expected.processes = 9;
  expected.instances = 3;
  EXPECT_EQ(*std::get<target::McpTarget>(full.config->targets->find("tickets")->kind).command, expected);
  EXPECT_EQ(secrets_of(*full.config).size(), 1u);
  const auto again = load(show_yaml(*full.config));
  ASSERT_TRUE(again.config) << again.problems;
  EXPECT_EQ(show_json(*again.config), show_json(*full.config));
}

TEST_F(ConfigFile, RefusesACommandThatIsHalfAServerWithAUrl) {
  refuses(with(kMcp, "{}"), "an mcp target has a url, a command");
  refuses(with(kMcp, "{ command: [] }"), "command is a list, the program first");
  refuses(with(kMcp, "{ command: node server.mjs }"), "command");
  refuses(with(kMcp, "{ command: [a], url: \"http://127.0.0.1:1/\" }"), "url is for a server with a url");
  refuses(with(kMcp, "{ command: [a], credential: { bearer: { env: A } } }"), "credential is for a server with a url");
  refuses(with(kMcp, "{ url: \"http://127.0.0.1:1/\", network: none }"), "network is for a command");
  refuses(with(kMcp, "{ url: \"http://127.0.0.1:1/\", transport: ws }"), "transport");
  refuses(with(kMcp, "{ command: [a], network: some }"), "network");
  refuses(with(kMcp, "{ command: [a], pool: global }"), "pool");
  refuses(with(kMcp, "{ command: [a], env: { 'A=B': c } }"), "a variable's name is letters");
  refuses(with(kMcp, "{ command: [a], env: { KEY: { value: hunter2 } } }"), "KEY has exactly one of env and file");
  refuses(with(kMcp, "{ command: [a], limits: { files: 1 } }"), "files");
  EXPECT_EQ(load(with(kMcp, "{ command: [a], env: { KEY: hunter2 }, bogus: 1 }")).problems.find("hunter2"), std::string::npos);
}

TEST_F(ConfigFile, TheExampleLoads) {
  const auto loaded = load_config(SALLYPORT_SOURCE_DIR "/deploy/sallyport.example.yaml");
  ASSERT_TRUE(loaded.config) << loaded.problems;
  EXPECT_EQ(loaded.config->rule_count, 9u);
  EXPECT_EQ(loaded.config->policy->test_results().size(), 9u);
  EXPECT_EQ(secrets_of(*loaded.config).size(), 8u);
}

TEST_F(ConfigFile, ReportsEachMistakeAtItsPlace) {
  refuses(with("version: 1", "version: 2"), "c.yaml:1:10: version is 1");
  refuses(with("version: 1\n", ""), "c.yaml:1:1: the configuration needs the key \"version\"");
  refuses(with("gateway:", "gatway:"), "c.yaml:2:1: unknown key \"gatway\" in the configuration (did you mean \"gateway\"?)");
  refuses(with("name: gw1", "name: 'gw 1'"), "c.yaml:2:18: gateway.name has 1 to 64 letters");
  refuses(with("https://gw", "http://gw"), "c.yaml:2:35: public_url begins with https://");
  refuses(with("https://gw.example:8443", "https://gw.example/x"), "c.yaml:2:35: public_url has no path");
  refuses(with("https://gw", "https://me:pw@gw"), "c.yaml:2:35: public_url has user information");
  refuses(with("gw1,", "gw1, tls: no,"), "c.yaml:2:28: no means a boolean");
  refuses(with("gw1,", "gw1, tls: { certificate: { file: a } },"), "c.yaml:2:28: tls has certificate and key, or neither");
  refuses(with("gw1,", "gw1, tls: off, listen: { mcp: 0.0.0.0:1, admin: 127.0.0.1:2 },"), "c.yaml:2:48: tls is off, and 0.0.0.0:1 is not a loopback address");
  refuses(with("gw1,", "gw1, listen: { mcp: host:1 },"), "c.yaml:2:38: listen.mcp is an IP address and a port");
  refuses(with("gw1,", "gw1, listen: { mcp: 127.0.0.1:99999 },"), "listen.mcp is an IP address and a port");
  refuses(with("gw1,", "gw1, listen: { mcp: 127.0.0.1:9443 },"), "listen.mcp and listen.admin are both 127.0.0.1:9443");
  refuses(with("gw1,", "gw1, workers: 1000,"), "workers is a whole number from 0 to 256");
  refuses(with("gw1,", "gw1, drain: 30,"), "drain is a duration");
  refuses(with("gw1,", "gw1, origins: ['https://a.example/x'],"), "an origin has no path");
  refuses(with("gw1,", "gw1, hosts: ['*'],"), "a host is a name");
  refuses(with(kIdentity, "{ local: { users: {} } }"), "c.yaml:3:11: identity has nobody who could come");
  refuses(with("alice:", "'a b':"), "a user's name has 1 to 128 letters");
  refuses(with("[engineers]", "['x y']"), "a group's name has");
  refuses(with(kIdentity, "{ oidc: [ { issuer: 'http://idp.example', audience: a } ] }"), "issuer begins with https://");
  refuses(with(kIdentity, "{ oidc: [ { issuer: 'https://idp.example' } ] }"), "oidc needs the key \"audience\"");
  refuses(with(kIdentity, "{ oidc: [ { issuer: 'https://i.example', audience: a, algorithms: [HS256] } ] }"), "HS256 is never accepted");
  refuses(with(kIdentity, "{ oidc: [ { issuer: 'https://i.example', audience: a, algorithms: [none] } ] }"), "none is never accepted");
  refuses(with(kIdentity, "{ oidc: [ { issuer: 'https://i.example', audience: a, algorithms: [RS255] } ] }"), "RS255 is no known algorithm");
  refuses(with(kIdentity, "{ oidc: [ { issuer: 'https://i.example', audience: a, leeway: 3m } ] }"), "leeway is a duration from 0s to 2m");
  refuses(with("targets:", "evidence: { high_water: 30% }\ntargets:"), "high_water is a share of the disk from 50% to 99%");
  for (const char* veil : {"[subject]", "[peer, peer]", "[groups]"})
    refuses(with("targets:", std::string("evidence: { veil: ") + veil + " }\ntargets:"), "veil is a list of target, peer, software, action, object, facts, error and reason, each once");
  refuses(with("targets:", "evidence: { segment: 64MB }\ntargets:"), "segment is a size");
  refuses(with("http://127", "ftp://127"), "url is no http or https URL");
  refuses(with("http://127", "http://u:p@127"), "url has user information");
  refuses(with("tickets:", "'tick ets':"), "a target's name has");
  refuses(with(kMcp, "{ url: \"http://a.example/\", credential: { headers: { Host: { env: A } } } }"), "the header Host belongs to the protocol");
  refuses(with(kMcp, "{ url: \"http://a.example/\", credential: { bearer: { env: A, file: B } } }"), "bearer has exactly one of env and file");
}

const std::string kSaml = "{ saml: [ { name: corp, metadata: idp.xml, keys: [ { certificate: { file: a.crt }, key: { env: KEY } } ], sign_requests: true, signed: response, subject_attribute: uid } ] }";

TEST_F(ConfigFile, ReadsSamlProviders) {
  const auto loaded = load(with(kIdentity, kSaml));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  const auto& one = loaded.config->identity.saml.at(0);
  EXPECT_EQ(one.metadata, (folder_ / "idp.xml").string());
  EXPECT_EQ(one.subject_attribute, "uid");
  EXPECT_EQ(one.groups_attribute, "groups");
  EXPECT_TRUE(one.sign_requests && one.signed_response);
  EXPECT_FALSE(one.idp_initiated || one.cbc);
  EXPECT_EQ(secrets_of(*loaded.config).size(), 2u);
  const auto again = load(show_yaml(*loaded.config));
  ASSERT_TRUE(again.config) << again.problems;
  EXPECT_EQ(show_json(*again.config), show_json(*loaded.config));
}

TEST_F(ConfigFile, SamlProvidersBySettings) {
  const std::string single = "{ saml: [ { name: corp, idp: { entity_id: e, sso_url: 'https://i.example/sso', slo_url: 'https://i.example/slo', certificates: [a.crt, b.crt] } } ] }";
  const auto loaded = load(with(kIdentity, single));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  EXPECT_EQ(loaded.config->identity.saml.at(0).certificates.at(1), (folder_ / "b.crt").string());
  const auto again = load(show_yaml(*loaded.config));
  ASSERT_TRUE(again.config) << again.problems;
  EXPECT_EQ(show_json(*again.config), show_json(*loaded.config));
  const auto saml = [&](const std::string& piece, const std::string& by) {
    auto text = single;
    return with(kIdentity, text.replace(text.find(piece), piece.size(), by));
  };
  refuses(saml("name: corp, ", ""), "saml needs the key \"name\"");
  refuses(saml("name: corp", "name: ../x"), "identity.saml.name has 1 to 64 letters");
  refuses(saml("name: corp", "name: corp, metadata: m.xml"), "saml has exactly one of metadata");
  refuses(saml("https://i.example/sso", "http://i.example/sso"), "sso_url begins with https://");
  refuses(saml("[a.crt, b.crt]", "[]"), "certificates is a list of PEM files");
  refuses(saml("name: corp", "name: corp, sign_requests: true"), "sign_requests needs keys");
  refuses(saml("name: corp", "name: corp, signed: both"), "signed");
  refuses(saml("name: corp", "name: corp, groups_attribute: ''"), "groups_attribute is empty");
  refuses(saml("name: corp", "name: corp, leeway: 3m"), "leeway is a duration from 0s to 2m");
  refuses(saml("name: corp", "name: corp, keys: [ { certificate: { file: a }, key: hunter2 } ]"), "key is a secret and named by reference only");
  EXPECT_EQ(load(saml("name: corp", "name: corp, keys: [ { certificate: { file: a }, key: hunter2 } ]")).problems.find("hunter2"), std::string::npos);
  refuses(with(kIdentity, "{ saml: [ { name: a, metadata: m }, { name: a, metadata: n } ] }"), "the provider a stands here a second time");
  refuses(with(kIdentity, "{ saml: {} }"), "saml is a list of providers");
}

TEST_F(ConfigFile, ReportsAllMistakesAtOnceInFileOrder) {
  const auto loaded = load("version: 1\ngateway: { name: 'g w', publicurl: x }\nidentity: {}\ntargets: { a: { mcp: {} } }\npolicy: [ { id: A, allow: {} } ]\n");
  EXPECT_FALSE(loaded.config);
  std::vector<std::string> places;
  const std::regex place("c\\.yaml:(\\d+):(\\d+):");
  for (std::sregex_iterator at(loaded.problems.begin(), loaded.problems.end(), place), end; at != end; ++at) places.push_back((*at)[1]);
  EXPECT_EQ(places, (std::vector<std::string>{"2", "2", "2", "3", "4", "5"})) << loaded.problems;
}

TEST_F(ConfigFile, NeverPrintsASecretThatWasWrittenOut) {
  for (const std::string& text : {with(kMcp, "{ url: \"http://a.example/\", credential: { bearer: hunter2 } }"),
                                  with(kMcp, "{ url: \"http://a.example/\", credential: { bearer: { value: hunter2 } }, bogus: 1 }"),
                                  with(kMcp, "{ url: \"http://a.example/\", token: hunter2 }"),
                                  with(kMcp, "{ url: \"http://u:hunter2@a.example/\" }"),
                                  with(kUser, "{ password: hunter2 }"), with(kUser, "{ password_hash: \"hunter2\" }"),
                                  with("targets:", "evidence: { signing_key: |\n    hunter2\n    more\n  }\ntargets:"),
                                  with("targets:", "evidence:\n  signing_key: |\n    hunter2\n    more\ntargets:"),
                                  with("gw1,", "gw1, tls: { certificate: { file: a }, key: hunter2 },")}) {
    const auto loaded = load(text);
    EXPECT_FALSE(loaded.config) << text;
    EXPECT_NE(loaded.problems.find("c.yaml:"), std::string::npos);
    EXPECT_EQ(loaded.problems.find("hunter2"), std::string::npos) << loaded.problems;
  }
  refuses(with(kMcp, "{ url: \"http://a.example/\", credential: { bearer: hunter2 } }"), "bearer is a secret and named by reference only");
}

TEST_F(ConfigFile, TlsMayBeOffOnLoopbackOnly) {
  const auto loaded = load(with(kGateway, "{ name: g, public_url: \"http://127.0.0.1:8443\", tls: off, listen: { mcp: 127.0.0.1:0, admin: \"[::1]:0\" } }"));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  EXPECT_FALSE(loaded.config->gateway.tls);
}

TEST_F(ConfigFile, AFileThatCannotBeReadIsSaidSo) {
  EXPECT_NE(load_config((folder_ / "none").string()).problems.find("cannot be read: No such file"), std::string::npos);
  EXPECT_NE(load_config(folder_.string()).problems.find("cannot be read"), std::string::npos);
}

TEST_F(ConfigFile, ShownConfigurationLoadsAgain) {
  const auto loaded = load(with(kMcp, "{ url: \"http://a.example/\", credential: { bearer: { env: T }, headers: { X-Key: { file: k } } }, methods: [x/y], trust: { arguments: strict } }"));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  const auto shown = show_yaml(*loaded.config);
  const auto again = load(shown);
  ASSERT_TRUE(again.config) << again.problems << shown;
  EXPECT_EQ(show_json(*again.config), show_json(*loaded.config));
}

TEST_F(ConfigFile, ToolsArePinnedUnlessItIsSaidOtherwise) {
  const auto trust_of = [&](const std::string& more) {
    const auto loaded = load(with(kMcp, "{ url: \"http://a.example/\"" + more + " }"));
    EXPECT_TRUE(loaded.config) << loaded.problems;
    const auto& targets = loaded.config->targets->targets;
    const auto found = std::ranges::find_if(targets, [](const auto& one) { return std::holds_alternative<target::McpTarget>(one.second.kind); });
    return std::get<target::McpTarget>(found->second.kind).trust;
  };
  EXPECT_EQ(trust_of(""), target::ToolTrust{});
  EXPECT_TRUE(trust_of("").pinning && trust_of("").quarantine_suspicious && !trust_of("").quarantine_new);
  EXPECT_FALSE(trust_of(", trust: { pinning: false }").pinning);
  const auto strict = trust_of(", trust: { new_tools: quarantine, suspicious: flag, arguments: strict }");
  EXPECT_TRUE(strict.quarantine_new && !strict.quarantine_suspicious && strict.arguments == target::ToolTrust::Arguments::Strict);
  refuses(with(kMcp, "{ url: \"http://a.example/\", trust: { pinning: false, arguments: strict } }"), "arguments means nothing with pinning: false");
  refuses(with(kMcp, "{ url: \"http://a.example/\", trust: { new: allow } }"), "unknown key \"new\"");
}

TEST_F(ConfigFile, RolesAreEverybodysUntilSaidAndNobodysWhenTheListIsEmpty) {
  const auto silent = load(kGood);
  ASSERT_TRUE(silent.config) << silent.problems;
  EXPECT_FALSE(silent.config->roles.engineer);
  EXPECT_FALSE(silent.config->roles.approver);
  const auto said = load(std::string(kGood) + "roles: { engineer: [engineers], approver: [], auditor: [audit] }\nevidence: { log_readers: [siem], keepers: [legal] }\n");
  ASSERT_TRUE(said.config) << said.problems;
  const auto& roles = said.config->roles;
  EXPECT_EQ(roles.engineer, std::vector<std::string>{"engineers"});
  EXPECT_EQ(roles.approver, std::vector<std::string>{});
  EXPECT_EQ(roles.auditor, std::vector<std::string>{"audit"});
  EXPECT_EQ(roles.log_readers, std::vector<std::string>{"siem"});
  EXPECT_EQ(roles.keepers, std::vector<std::string>{"legal"});
  refuses(std::string(kGood) + "roles: { admin: [x] }\n", "unknown key \"admin\"");
}

TEST_F(ConfigFile, WarnsOfPeopleWhoseRolesExcludeEachOther) {
  const auto text = std::string(kGood).replace(std::string(kGood).find(kUser), kUser.size(), "{ groups: [a, p] }");
  const auto loaded = load(text + "roles: { policy_admin: [p], auditor: [a] }\n");
  ASSERT_TRUE(loaded.config) << loaded.problems;
  ASSERT_EQ(loaded.warnings.size(), 1u);
  EXPECT_EQ(loaded.warnings[0], "user alice is auditor and policy_admin: as an auditor they change nothing");
  EXPECT_TRUE(load(text + "roles: { policy_admin: [p] }\n").warnings.empty());
}

TEST_F(ConfigFile, AccessRulesAndLinkedAccountsAreShownAsTheyAreRead) {
  const std::string access = R"(access:
  - { id: prod, who: [group:engineers, "agent:*"], target: { env: prod }, longest: 8h, valid: 2h, steps: [[{ by: group:leads, n: 2 }], [{ by: group:security }]] }
  - { id: fire, who: user:alice, target: tickets, longest: 1h, ahead: 0s, break_glass: { review_by: group:security, review_within: 2h } }
policy: [ { id: a, allow: { who: [access:prod, access:fire] } } ]
)";
  const auto loaded = load(with("identity: { ", "identity: { same_person: [[\"local|alice\", \"https://id.example|a|b\"]], ") + access);
  ASSERT_TRUE(loaded.config) << loaded.problems;
  EXPECT_EQ(loaded.config->identity.same_person, (std::vector<std::vector<std::string>>{{"local\nalice", "https://id.example|a\nb"}}));
  const auto shown = show_json(*loaded.config);
  const auto document = json::Document::parse(shown);
  ASSERT_TRUE(document) << shown;
  EXPECT_EQ(document->root()["access"].size(), 2u);
  const auto again = load(show_yaml(*loaded.config));
  ASSERT_TRUE(again.config) << again.problems;
  EXPECT_EQ(show_json(*again.config), shown);
}

TEST_F(ConfigFile, LinkedAccountsAreSaidToBeWrongAtTheirPlace) {
  const auto people = [&](const std::string& list) { return with("identity: { ", "identity: { same_person: " + list + ", "); };
  refuses(people("[[\"local|alice\"]]"), "c.yaml:3:27: same_person is a list of people");
  refuses(people("[[\"local|alice\", bob]]"), "an account is \"ISSUER|SUBJECT\"");
  refuses(people("[[\"local|a\", \"local|b\"], [\"local|a\", \"local|c\"]]"), "local|a stands here a second time");
}

TEST_F(ConfigFile, AVirtualServerIsShownAsItIsReadAndIsNoTarget) {
  const auto more = R"(targets: { files: { mcp: { url: "http://127.0.0.1:2/", search: { over: 9 } } }, tools: { mcp: { timeout: 3s, search: { always: [t_x] }, servers: { z: { target: tickets, prefix: t_ }, files: { prefix: "" } } } }, )";
  const auto loaded = load(with("targets: { ", more));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  const auto& catalog = *loaded.config->targets;
  EXPECT_EQ(catalog.find("tools"), nullptr);
  const auto* tools = catalog.find_virtual("tools");
  ASSERT_NE(tools, nullptr);
  EXPECT_EQ(tools->members, (std::vector<target::VirtualMember>{{"z", "tickets", "t_"}, {"files", "files", ""}}));
  EXPECT_EQ(tools->search, (target::ToolSearch{50, {"t_x"}}));
  EXPECT_EQ(tools->timeout_ns, 3'000'000'000);
  ASSERT_NE(catalog.find_virtual("files"), nullptr);
  EXPECT_EQ(catalog.find_virtual("files")->search.over, 9u);
  EXPECT_EQ(catalog.find_virtual("tickets"), nullptr);
  const auto again = load(show_yaml(*loaded.config));
  ASSERT_TRUE(again.config) << again.problems;
  EXPECT_EQ(show_json(*again.config), show_json(*loaded.config));
  EXPECT_EQ(again.config->targets->virtual_servers, catalog.virtual_servers);
}

TEST_F(ConfigFile, AVirtualServerWhoseNamesWouldCollideIsRefusedAtItsPlace) {
  const auto servers = [](const std::string& members, const std::string& beside = "") { return with("targets: { ", "targets: { files: { mcp: { url: \"http://127.0.0.1:2/\" } }, v: { mcp: { servers: { " + members + " }" + beside + " } }, "); };
  refuses(servers("tickets: { prefix: a_ }, files: { prefix: a_ }"), "have the prefix \"a_\" both");
  refuses(servers("tickets: { prefix: a_ }, files: { prefix: a_b_ }"), "begin alike");
  refuses(servers("tickets: { prefix: a_ }, files: { }"), "files needs a prefix beside others");
  refuses(servers("tickets: { prefix: a_ }, b: { target: tickets, prefix: b_ }"), "stands here twice");
  refuses(servers("v: { }"), "v is a virtual server itself");
  refuses(servers("nowhere: { }"), "there is no target nowhere");
  refuses(servers("tickets: { prefix: \"a/\" }"), "a prefix has at most");
  refuses(servers("tickets: { prefix: search_ }", ", search: { }"), "take another prefix");
  refuses(servers("tickets: { prefix: a_ }", ", search: { always: [b] }"), "begins with the prefix of no member");
  refuses(servers("tickets: { }", ", url: \"http://127.0.0.1:2/\""), "unknown key \"url\"");
  refuses(with("targets: { ", "targets: { v: { mcp: { servers: { tickets: { } } }, labels: { a: b } }, "), "a virtual server has no labels");
}

TEST_F(ConfigFile, ACredentialForATargetIsOneOfItsKindsAndWhole) {
  const auto credential = [&](const std::string& text) { return with(kMcp, "{ url: \"https://mcp.example/mcp\", credential: { " + text + " } }"); };
  const std::string client = "client: { id: gw, secret: { env: S } }";
  const auto loaded = load(credential("oauth: { issuer: \"https://as.example\", " + client + ", scopes: [a] }, certificate: { file: c.pem }, key: { file: k.pem }"));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  const auto& mcp = std::get<target::McpTarget>(loaded.config->targets->find("tickets")->kind);
  ASSERT_TRUE(mcp.oauth);
  EXPECT_EQ(mcp.oauth->resource, "https://mcp.example/mcp");
  EXPECT_EQ(mcp.oauth->proof, identity::UpstreamClient::Proof::Basic);
  EXPECT_EQ(show_json(*loaded.config).find("\"env\":\"S\"") != std::string::npos, true);
  refuses(credential("bearer: { env: B }, oauth: { " + client + " }"), "one of them");
  refuses(credential("aws: { service: s, region: r }, oauth: { " + client + " }"), "one of them");
  refuses(credential("oauth: { issuer: \"http://as.example\", " + client + " }"), "issuer begins with https://");
  refuses(credential("oauth: { issuer: \"https://as.example\", token_endpoint: \"https://as.example/t\", " + client + " }"), "one of them");
  refuses(credential("oauth: { grant: authorization_code, token_endpoint: \"https://as.example/t\", " + client + " }"), "needs an authorization_endpoint");
  refuses(credential("oauth: { client: { id: gw } }"), "without one anybody is this client");
  refuses(credential("oauth: { client: { id: gw, secret: { env: S }, auth: private_key_jwt } }"), "do not fit");
  refuses(credential("oauth: { client: { id: gw, secret: literal } }"), "named by reference only");
  refuses(credential("certificate: { file: c.pem }"), "stand together");
  refuses(credential("aws: { service: s, region: r, access_key: { env: A } }"), "stand together");
  refuses(credential("aws: { service: s, region: r, from: web_identity }"), "role and token_file");
  refuses(credential("aws: { service: s, region: r, from: web_identity, role: x, token_file: t, endpoint: \"http://sts.example\" }"), "keys come from there");
  refuses(with(kMcp, "{ url: \"https://mcp.example/mcp\", scopes: { use: [\"a b\"] } }"), "a scope has no spaces");
  refuses(with(kMcp, "{ url: \"https://mcp.example/mcp\", scopes: { tools: { \"a*b\": [x] } } }"), "one * at its end");
}

TEST_F(ConfigFile, ClientsOfTheMcpDoorHaveRedirectsOrADocument) {
  const auto oauth = [&](const std::string& text) { return with("identity: { ", "identity: { oauth: { " + text + " }, "); };
  const auto loaded = load(oauth("clients: { a: { redirect_uris: [\"https://a.example/cb\"] }, b: { id: \"https://b.example/c.json\" } }, document_hosts: [\"*.example.com\"], lifetime: 7d"));
  ASSERT_TRUE(loaded.config) << loaded.problems;
  EXPECT_TRUE(loaded.config->identity.oauth.on);
  EXPECT_EQ(loaded.config->identity.oauth.clients[0].id, "a");
  EXPECT_FALSE(loaded.config->identity.oauth.registration);
  EXPECT_FALSE(load(kGood).config->identity.oauth.on);
  refuses(oauth("clients: { a: { } }"), "redirect_uris, or an https id");
  refuses(oauth("clients: { a: { id: \"https://b.example/c\", redirect_uris: [\"https://a.example/cb\"] } }"), "redirect_uris, or an https id");
  refuses(oauth("clients: { a: { redirect_uris: [\"http://a.example/cb\"] } }"), "a redirect address begins with https://");
  refuses(oauth("clients: { a: { id: x, redirect_uris: [\"https://a.example/cb\"] }, b: { id: x, redirect_uris: [\"https://a.example/cb\"] } }"), "a second time");
  refuses(oauth("document_hosts: [\"https://a.example\"]"), "a host is a lower-case name");
  refuses(oauth("document_hosts: [\"a*.example\"]"), "a host is a lower-case name");
}

// One table is the schema; this is what keeps it and the reader together.
TEST_F(ConfigFile, TheReaderKnowsEveryKeyOfTheSchema) {
  ASSERT_TRUE(json::Document::parse(config_schema()));
  for (const auto& key : config_keys()) {
    if (key.type == "rule" || key.type == "test") continue;
    // The key alone, in a document that has nothing else: only what is missing may be reported, never an unknown key.
    std::string text, indent;
    for (std::string_view rest = key.path; !rest.empty();) {
      const auto dot = rest.find('.');
      std::string part(rest.substr(0, dot));
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
      const bool list = part.ends_with("[]");
      if (list) part.resize(part.size() - 2);
      text += fmt::format("{}{}:\n", indent, part == "*" ? "any" : part);
      indent += "  ";
      if (list) text += indent + "-\n", indent += "  ";
    }
    text.pop_back();
    const auto problems = load(text + " { }\n").problems;
    EXPECT_EQ(problems.find("unknown key"), std::string::npos) << key.path << "\n" << problems;
    EXPECT_EQ(problems.find("not valid YAML"), std::string::npos) << problems;
  }
}

TEST_F(ConfigFile, TheDocumentationListsEveryKeyOfTheSchema) {
  std::ifstream in(SALLYPORT_SOURCE_DIR "/docs/configuration.md");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (const auto& key : config_keys()) {
    const auto row = key.required ? fmt::format("| **`{}`** |", key.path) : fmt::format("| `{}` |", key.path);
    EXPECT_NE(text.find(row), std::string::npos) << row;
    EXPECT_NE(text.find(std::string(key.doc)), std::string::npos) << key.path;
  }
}

TEST_F(ConfigFile, TheSchemaKnowsEveryKeyOfTheReader) {
  // What an unknown key's message lists is what the reader knows.
  const std::pair<const char*, std::string> kSections[] = {
      {"gateway.", "gateway: { zzzzzzzz: 1 }\n"}, {"gateway.listen.", "gateway: { listen: { zzzzzzzz: 1 } }\n"}, {"gateway.tls.", "gateway: { tls: { zzzzzzzz: 1 } }\n"},
      {"identity.oidc[].", "identity: { oidc: [ { zzzzzzzz: 1 } ] }\n"}, {"identity.saml[].", "identity: { saml: [ { zzzzzzzz: 1 } ] }\n"},
      {"identity.saml[].idp.", "identity: { saml: [ { idp: { zzzzzzzz: 1 } } ] }\n"}, {"identity.saml[].keys[].", "identity: { saml: [ { keys: [ { zzzzzzzz: 1 } ] } ] }\n"}, {"identity.local.users.*.", "identity: { local: { users: { a: { zzzzzzzz: 1 } } } }\n"},
      {"evidence.", "evidence: { zzzzzzzz: 1 }\n"}, {"access[].", "access: [ { zzzzzzzz: 1 } ]\n"}, {"access[].break_glass.", "access: [ { break_glass: { zzzzzzzz: 1 } } ]\n"}, {"roles.", "roles: { zzzzzzzz: 1 }\n"}, {"targets.*.", "targets: { a: { zzzzzzzz: 1 } }\n"}, {"targets.*.mcp.", "targets: { a: { mcp: { zzzzzzzz: 1 } } }\n"},
      {"targets.*.mcp.credential.", "targets: { a: { mcp: { credential: { zzzzzzzz: 1 } } } }\n"}, {"targets.*.mcp.database.", "targets: { a: { mcp: { database: { zzzzzzzz: 1 } } } }\n"}, {"targets.*.mcp.limits.", "targets: { a: { mcp: { command: [a], limits: { zzzzzzzz: 1 } } } }\n"},
      {"targets.*.mcp.credential.oauth.", "targets: { a: { mcp: { credential: { oauth: { zzzzzzzz: 1 } } } } }\n"},
      {"targets.*.mcp.credential.oauth.client.", "targets: { a: { mcp: { credential: { oauth: { client: { zzzzzzzz: 1 } } } } } }\n"},
      {"targets.*.mcp.credential.aws.", "targets: { a: { mcp: { credential: { aws: { zzzzzzzz: 1 } } } } }\n"}, {"targets.*.mcp.scopes.", "targets: { a: { mcp: { scopes: { zzzzzzzz: 1 } } } }\n"},
      {"identity.oauth.clients.*.", "identity: { oauth: { clients: { a: { zzzzzzzz: 1 } } } }\n"}};
  for (const auto& [prefix, text] : kSections) {
    const auto problems = load(text).problems;
    std::smatch found;
    ASSERT_TRUE(std::regex_search(problems, found, std::regex("unknown key \"zzzzzzzz\" in [^;]*; \\w+ has ([^\n]*)"))) << problems;
    const std::regex word("[a-z_]+");
    const std::string list = found[1];
    for (std::sregex_iterator at(list.begin(), list.end(), word), end; at != end; ++at) {
      const auto path = prefix + at->str();
      EXPECT_TRUE(std::ranges::any_of(config_keys(), [&](const ConfigKey& key) { return key.path == path || key.path == path + "[]"; })) << path;
    }
  }
}

}  // namespace
}  // namespace sallyport::cli
