// What a command's decision costs of this thread's CPU with no grants, with one, and with 10,000 grants and 1,000 pending requests, in
// interleaved rounds: the look whether the session's access still holds, and the policy. Beside it: reading a session's access
// anew after a change of grants, and listing all that is pending. Medians, least and most (docs/performance.md).
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>

#include "admin/request_api.h"
#include "base/yaml.h"
#include "enforce/approval_rows.h"
#include "enforce/gate.h"
#include "evidence/notary.h"
#include "state/store.h"

using namespace sallyport;
using namespace sallyport::enforce;

namespace {

constexpr int kGrants = 10'000, kPending = 1'000, kDecisions = 50'000;
constexpr const char* kConfig = R"(policy:
  - { id: engineers, allow: { who: group:engineers, when: 'mcp.tool.startsWith("read_")' } }
  - { id: no-shell, block: { when: 'mcp.tool == "run_command"' } }
  - { id: granted, allow: { who: access:prod } }
access:
  - { id: prod, who: anyone, target: tickets, longest: 1h, steps: [[{ by: group:leads }]] }
)";

double now_us() { return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// What this thread has used: others on the machine do not count.
double cpu_us() {
  timespec at{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return static_cast<double>(at.tv_sec) * 1e6 + static_cast<double>(at.tv_nsec) / 1e3;
}

/// A gateway's share of it: state with rows in it, approvals, one Gate with one session of alice, who has a grant herself.
class Side {
 public:
  Side(const std::string& directory, int grants, int pending) : catalog_(catalog()) {
    store_ = std::move(state::Store::open(":memory:").value());
    boost::asio::co_spawn(store_->context(), store_->run([&](state::Database& database) { return fill(database, grants, pending); }), boost::asio::use_future).get().value();
    const auto [key, verifier] = evidence::generate_note_key("bench");
    evidence::Options options;
    options.directory = directory + "/evidence";
    options.origin = "bench";
    options.high_water = 0.999;
    log_ = std::move(evidence::Log::open(options, std::move(evidence::ed25519_signer("bench", key, directory + "/head").value())).value());
    yaml::Diagnostics diagnostics("bench.yaml", kConfig);
    const auto root = yaml::parse(diagnostics);
    ApprovalLinks links;
    links.access = std::make_shared<Access>(Access::Setup{load_access(*root.find("access"), *catalog_, diagnostics), catalog_, {}});
    policy_ = Policy::load(root.find("policy"), nullptr, kConfig, *catalog_, diagnostics, {"prod"});
    if (!policy_) throw std::runtime_error(diagnostics.print());
    approvals_ = std::move(Approvals::open(*store_, *log_, system_clock(), links).value());
    port_ = std::make_unique<evidence::Port>(*log_, context_);
    gate_ = std::make_unique<Gate>(context_, *log_, *port_, *approvals_, policy_, catalog_);
    auto who = std::make_shared<identity::Principal>();
    who->subject = "alice";
    who->issuer = "local";
    who->groups = {"engineers"};
    session_ = await(gate_->open(who, "tickets", "b", {"127.0.0.1:1", "mcp", "bench", ""})).value();
  }
  ~Side() {
    session_.reset();
    gate_.reset();
    port_.reset();
    approvals_.reset();
    log_.reset();
  }

  /// Nanoseconds a decision.
  double decide() {
    const auto document = json::Document::parse("{}");
    const Action action = ToolCall{"read_ticket", document->root()};
    const auto& target = catalog_->targets.at("tickets");
    const auto from = cpu_us();
    for (int i = 0; i < kDecisions; ++i) {
      if (gate_->why_over(*session_)) throw std::runtime_error("the session is over");
      if (policy_->decide(*session_->who, target, facts_of(action)).effect != Effect::Allow) throw std::runtime_error("not allowed");
    }
    return (cpu_us() - from) * 1000 / kDecisions;
  }
  /// Nanoseconds to read a session's access after a change.
  double read_anew() {
    constexpr int kTimes = 20'000;
    double spent = 0;
    for (int i = 0; i < kTimes; ++i) {
      approvals_->access()->remove("nobody", "");
      approvals_->access()->put({"apr_other", "prod", "local\nother", "", false, {{"tickets"}, {}}, 0, INT64_MAX});
      const auto from = cpu_us();
      (void)gate_->why_over(*session_);
      spent += cpu_us() - from;
      approvals_->access()->remove("local\nother", "apr_other");
    }
    return spent * 1000 / kTimes;
  }
  /// Milliseconds to list what is pending, as the admin API answers it.
  double list(std::size_t& count) {
    const auto from = now_us();
    auto all = await(approvals_->list(true, 1000)).value();
    std::string text;
    for (const auto& one : all) text += admin::approval_json(one);
    count = all.size();
    return (now_us() - from) / 1000;
  }

 private:
  static target::CatalogPtr catalog() {
    auto out = std::make_shared<target::Catalog>();
    out->targets["tickets"] = target::Target{"tickets", {}, target::McpTarget{}};
    return out;
  }
  static Result<void> fill(state::Database& database, int grants, int pending) {
    std::vector<Approval> rows;
    const auto now = system_clock().wall_ns();
    for (int i = 0; i < grants + pending; ++i) {
      Approval one;
      one.id = fmt::format("apr_{:020}", i);
      one.kind = RequestKind::Access;
      one.state = i < grants ? ApprovalState::Granted : ApprovalState::Pending;
      one.digest[0] = static_cast<std::uint8_t>(i);
      one.digest[1] = static_cast<std::uint8_t>(i >> 8);
      one.requester = i == 0 ? "local\nalice" : fmt::format("local\nperson{}", i);
      one.requester_subject = one.requester_display = one.requester.substr(6);
      one.summary = "access prod to tickets for 1h";
      ApprovalTerms terms;
      terms.steps = {{{"leads", 1}}};
      one.terms = {{"prod", terms}};
      one.access.targets.names = {"tickets"};
      one.access.duration_ns = 3'600'000'000'000;
      one.created_wall_ns = now;
      one.expires_wall_ns = now + one.access.duration_ns;
      if (i < grants) one.access.begins_wall_ns = now, one.access.ends_wall_ns = one.expires_wall_ns;
      rows.push_back(std::move(one));
    }
    std::vector<const Approval*> all;
    for (const auto& row : rows) all.push_back(&row);
    return insert_approvals(database, all, now);
  }
  template <class T>
  T await(boost::asio::awaitable<T> work) {
    auto future = boost::asio::co_spawn(context_, std::move(work), boost::asio::use_future);
    context_.restart();
    auto guard = boost::asio::make_work_guard(context_);
    while (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready) context_.run_one_for(std::chrono::milliseconds(50));
    return future.get();
  }

  boost::asio::io_context context_;
  target::CatalogPtr catalog_;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<evidence::Log> log_;
  PolicyPtr policy_;
  std::unique_ptr<Approvals> approvals_;
  std::unique_ptr<evidence::Port> port_;
  std::unique_ptr<Gate> gate_;
  std::shared_ptr<Session> session_;
};

struct Rounds {
  std::vector<double> values;
  double median() const {
    auto sorted = values;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
};

void print(bool json, const char* metric, const Rounds& rounds, const char* unit, const char* peer, double ratio, double goal, bool met) {
  const auto [least, most] = std::ranges::minmax(rounds.values);
  if (json)
    fmt::print(R"({{"case":"access","metric":"{}","value":{:.1f},"unit":"{}","peer":"{}","ratio":{:.3f},"goal":{},"met":{},"rounds":{},"min":{:.1f},"max":{:.1f}}})" "\n", metric,
               rounds.median(), unit, peer, ratio, goal, met, rounds.values.size(), least, most);
  else
    fmt::print("{:<44} {:>10.1f} {:<4} [{:.1f}, {:.1f}]  ratio {:.2f}, goal {}: {}\n", metric, rounds.median(), unit, least, most, ratio, goal, met ? "met" : "not met");
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  int rounds = 15;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") json = true;
    if (std::string_view(argv[i]) == "--quick") rounds = 3;
  }
  const auto directory = std::filesystem::temp_directory_path() / ("sallyport-bench-" + hex(random_id()));
  for (const char* name : {"none", "one", "many"}) std::filesystem::create_directories(directory / name);
  {
    Side none((directory / "none").string(), 0, 0), one((directory / "one").string(), 1, 0), many((directory / "many").string(), kGrants, kPending);
    Rounds empty, few, full, anew, listed;
    std::size_t count = 0;
    for (int i = 0; i < rounds; ++i) {
      empty.values.push_back(none.decide());
      few.values.push_back(one.decide());
      full.values.push_back(many.decide());
      anew.values.push_back(many.read_anew());
      listed.values.push_back(many.list(count));
    }
    const double ratio = full.median() / few.median();
    print(json, "decision, no grants", empty, "ns", "", 1, 1, true);
    print(json, "decision, one grant, of who asks", few, "ns", "no grants", few.median() / empty.median(), 1.5, few.median() <= 1.5 * empty.median());
    print(json, "decision, 10000 grants and 1000 pending", full, "ns", "one grant", ratio, 1.1, ratio <= 1.1);
    print(json, "access read anew after a change", anew, "ns", "a decision", anew.median() / full.median(), 10, anew.median() <= 10 * full.median());
    print(json, "1000 pending listed", listed, "ms", "", listed.median() / 1000, 1, count == kPending && listed.median() <= 1000);
  }
  std::filesystem::remove_all(directory);
  return 0;
}
