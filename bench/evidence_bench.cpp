// What the evidence log gives on this disk, in this run: durable entries a second with many commands in flight, and the
// time of one intent on an idle log beside one bare write+fdatasync of the same size in the same directory. Rounds are
// interleaved; medians, least and most are printed, one JSON line a figure (docs/performance.md).
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "base/json.h"
#include "base/yaml.h"
#include "enforce/gate.h"
#include "evidence/log.h"
#include "evidence/session.h"
#include "evidence/notary.h"
#include "state/store.h"
#include "verify/check.h"
#include "verify/sha256_many.h"
#include "verify/tree.h"

using namespace sallyport;
using boost::asio::awaitable;

namespace {

double now_us() { return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double cpu_us() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) { return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec); };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

/// An intent as the Gate writes it for a small call, without payload.
evidence::Entry intent(const evidence::SessionPtr& session, const Digest& policy) {
  using evidence::Field;
  evidence::Entry entry(evidence::Kind::Command, session);
  entry.text(Field::RequestId, "req_00112233445566778899")
      .text(Field::Subject, "alice")
      .text(Field::Target, "tickets")
      .bytes(Field::PolicyDigest, policy)
      .uint(Field::Decision, 2)  // refused: it owes no outcome
      .texts(Field::Rules, {"engineers"})
      .text(Field::Action, "tools/call")
      .text(Field::Object, "read_ticket");
  return entry;
}

struct Rounds {
  std::vector<double> values;
  double median() const {
    auto sorted = values;
    std::ranges::sort(sorted);
    return sorted[sorted.size() / 2];
  }
};

bool json_only = false;

void print(const std::string& name, const std::string& metric, const Rounds& rounds, const std::string& unit, const std::string& peer, double ratio,
           double goal, bool met) {
  const auto [least, most] = std::ranges::minmax(rounds.values);
  if (json_only) {
    fmt::print(R"({{"case":{},"metric":{},"value":{:.3f},"unit":{},"peer":{},"ratio":{:.3f},"goal":{:.3f},"met":{},"rounds":{},"min":{:.3f},"max":{:.3f}}})" "\n",
               json::quote(name), json::quote(metric), rounds.median(), json::quote(unit), json::quote(peer), ratio, goal, met, rounds.values.size(), least, most);
  } else {
    fmt::print("{:<22} {:<22} {:>12.1f} {:<9} [{:.1f}, {:.1f}]  {} {:.2f}, goal {:.2f}: {}\n", name, metric, rounds.median(), unit, least, most,
               peer.empty() ? "of the goal" : "ratio to " + peer, ratio, goal, met ? "met" : "not met");
  }
}

struct Bench {
  std::string directory, key;
  bool stays = false;
  std::unique_ptr<evidence::Log> log;
  Digest policy{};

  explicit Bench(std::string where) : directory(std::move(where)) {
    std::filesystem::create_directories(directory);
    evidence::Options options;
    options.directory = directory + "/log";
    options.origin = "bench/evidence";
    options.high_water = 0.98;
    const auto keys = evidence::generate_note_key(options.origin);
    key = keys.second;
    auto signer = evidence::ed25519_signer(options.origin, keys.first, directory + "/head");
    if (!signer) throw std::runtime_error(signer.error().what);
    auto opened = evidence::Log::open(std::move(options), std::move(*signer));
    if (!opened) throw std::runtime_error(opened.error().what);
    log = std::move(*opened);
  }
  ~Bench() {
    log.reset();
    if (!stays) std::filesystem::remove_all(directory);
  }

  awaitable<void> produce(evidence::Port& port, evidence::SessionPtr session, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
      if (auto written = co_await port.append(intent(session, policy)); !written) throw std::runtime_error(written.error().what);
  }

  /// `flight` commands in flight at all times, on one worker thread.
  std::pair<double, double> throughput(std::size_t flight, std::size_t total) {
    boost::asio::io_context context{1};
    evidence::Port port(*log, context);
    const double cpu = cpu_us(), begun = now_us();
    for (std::size_t i = 0; i < flight; ++i)
      boost::asio::co_spawn(context, produce(port, log->new_session(), total / flight), [](std::exception_ptr e) { if (e) std::rethrow_exception(e); });
    context.run();
    const double entries = static_cast<double>(total / flight * flight);
    return {entries / (now_us() - begun) * 1e6, (cpu_us() - cpu) / entries};
  }

  struct Busy {
    double per_second = 0, cpu_us = 0, oldest_unsigned_ms = 0;
  };
  /// Decided, recorded and finished calls through two workers' Gates, each `flight` at a time: an intent with its arguments as an encrypted
  /// payload, and an outcome. What a target and a client cost is not in it. The oldest unsigned entry is looked at every millisecond.
  Busy gate_traffic(std::size_t flight, std::size_t calls, const std::string& note = "what an agent asks for") {
    constexpr std::size_t kWorkers = 2;
    const std::string rules = "policy:\n  - { id: all, allow: { who: \"group:engineers\" } }\n  - { id: pii, mask: { detect: [email, pan], with: partial } }\n";
    yaml::Diagnostics diagnostics("bench.yaml", rules);
    auto catalog = std::make_shared<target::Catalog>();
    catalog->targets["tickets"] = target::Target{"tickets", {}, target::McpTarget{}};
    const auto root = yaml::parse(diagnostics);
    const auto compiled = enforce::Policy::load(root.find("policy"), nullptr, rules, *catalog, diagnostics);
    const auto store = std::move(*state::Store::open(":memory:"));
    const auto approvals = std::move(*enforce::Approvals::open(*store, *log));
    auto who = std::make_shared<identity::Principal>();
    who->subject = "alice", who->issuer = "local", who->groups = {"engineers"};
    std::atomic<bool> done = false;
    std::int64_t oldest = 0;
    std::thread watch([&] {
      while (!done) {
        oldest = std::max(oldest, log->status().signed_age_ns);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    const auto before = log->status().size;
    const double cpu = cpu_us(), begun = now_us();
    std::vector<std::thread> workers;
    for (std::size_t w = 0; w < kWorkers; ++w) {
      workers.emplace_back([&] {
        boost::asio::io_context context{1};
        evidence::Port port(*log, context);
        enforce::Gate gate(context, *log, port, *approvals, compiled, catalog);
        auto call = [&](std::size_t count) -> awaitable<void> {
          auto session = co_await gate.open(who, "tickets", "bench", {"127.0.0.1", "mcp", "bench 1", ""});
          if (!session) throw std::runtime_error(session.error().what);
          const std::string text = R"({"id":17,"note":")" + note + "\"}";
          const auto document = json::Document::parse(text);
          const enforce::Action action = enforce::ToolCall{"read_ticket", document->root()};
          for (std::size_t i = 0; i < count; ++i) {
            auto verdict = co_await gate.ask(*session, action, text, document->root(), nullptr);
            if (!std::holds_alternative<enforce::Allowed>(verdict)) throw std::runtime_error(std::get<enforce::Denial>(verdict).reason);
            if (auto written = co_await gate.finish(std::move(std::get<enforce::Allowed>(verdict).running), {}); !written) throw std::runtime_error(written.error().what);
          }
          co_await gate.close(*session, "done");
        };
        for (std::size_t i = 0; i < flight / kWorkers; ++i)
          boost::asio::co_spawn(context, call(calls / flight), [](std::exception_ptr e) { if (e) std::rethrow_exception(e); });
        context.run();
      });
    }
    for (auto& worker : workers) worker.join();
    const double elapsed = now_us() - begun;
    done = true;
    watch.join();
    const double entries = static_cast<double>(log->status().size - before);
    return {entries / elapsed * 1e6, (cpu_us() - cpu) / entries, static_cast<double>(oldest) / 1e6};
  }

  /// Entries a second of one core's time that the verifier judges of this bench's own log, all rules on.
  std::pair<double, double> verify_rate(const std::string& public_key) {
    verify::Settings settings;
    std::string why;
    settings.directory = directory + "/log";
    settings.key = *verify::parse_key(public_key, why);
    const double cpu = cpu_us();
    const auto report = verify::check(settings);
    if (report.verdict == verify::Report::Invalid) throw std::runtime_error("the bench's own log is invalid: " + report.faults[0].what);
    return {static_cast<double>(report.entries) / (cpu_us() - cpu) * 1e6, static_cast<double>(report.entries)};
  }

  /// Leaves of 300 bytes into a tree, as the verifier does it: what the proof alone costs.
  static double tree_rate(std::size_t n) {
    verify::Tree tree;
    std::vector<verify::Blob> entries(1024, verify::Blob(300));
    std::vector<verify::Hash> leaves(entries.size());
    std::vector<verify::Message> messages;
    for (std::size_t i = 0; i < entries.size(); ++i) messages.push_back({entries[i], &leaves[i], 0});
    const double cpu = cpu_us();
    for (std::size_t i = 0; i < n; i += entries.size()) {
      for (std::size_t k = 0; k < entries.size(); ++k) {
        const auto index = i + k;
        std::memcpy(entries[k].data(), &index, sizeof index);
      }
      verify::hash_all(messages);
      for (const auto& leaf : leaves) tree.add(leaf);
    }
    n = tree.size();
    if (verify::all_zero(tree.root())) throw std::runtime_error("no root");
    return static_cast<double>(n) / (cpu_us() - cpu) * 1e6;
  }

  double idle_intent() {
    boost::asio::io_context context{1};
    evidence::Port port(*log, context);
    auto session = log->new_session();
    Rounds times;
    auto one = [&]() -> awaitable<void> {
      co_await produce(port, session, 1);  // the session's key is made durable with its first entry
      for (int i = 0; i < 200; ++i) {
        const double begun = now_us();
        co_await produce(port, session, 1);
        times.values.push_back(now_us() - begun);
      }
    };
    boost::asio::co_spawn(context, one(), [](std::exception_ptr e) { if (e) std::rethrow_exception(e); });
    context.run();
    std::ranges::sort(times.values);
    last_p99 = times.values[times.values.size() * 99 / 100];
    return times.median();
  }
  double last_p99 = 0;

  /// A preallocated, zero-filled file, 512 bytes at a time: what any log that keeps its promise pays.
  double bare_sync() {
    const std::string path = directory + "/bare";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const std::string zero(1u << 20, '\0'), block(512, 'x');
    if (::pwrite(fd, zero.data(), zero.size(), 0) < 0 || ::fsync(fd) != 0) throw std::runtime_error("cannot write " + path);
    Rounds times;
    for (int i = 0; i < 200; ++i) {
      const double begun = now_us();
      if (::pwrite(fd, block.data(), block.size(), i * 512) < 0 || ::fdatasync(fd) != 0) throw std::runtime_error("cannot write " + path);
      times.values.push_back(now_us() - begun);
    }
    ::close(fd);
    return times.median();
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::string where = std::filesystem::temp_directory_path();
  std::size_t rounds = 7;
  double make = 0;
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--json") json_only = true;
    else if (arg == "--quick") rounds = 3;
    else if (arg == "--make" && i + 1 < argc) make = std::stod(argv[++i]);   // for bench/evidence.mjs: a log of so many GB that stays
    else if (arg == "--dir" && i + 1 < argc) where = argv[++i];
    else if (arg == "--only" && i + 1 < argc) only = argv[++i];   // one part of it, for a profiler: durable or gate
    else return fmt::print(stderr, "usage: bench_evidence [--json] [--quick] [--dir DIRECTORY] [--only durable|gate]\n"), 2;
  }
  try {
    if (make > 0) {
      Bench bench(where);
      bench.stays = true;
      // Arguments of 4,000 letters, of which 3 KB stay: a log that is mostly payloads, as logs with results are.
      std::string note;
      std::minstd_rand letter(1);
      for (int i = 0; i < 4000; ++i) note += static_cast<char>("Aa"[letter() % 2] + letter() % 26);
      while (static_cast<double>(bench.log->status().bytes_written) < make * 1e9) (void)bench.gate_traffic(1024, 100'000, note);
      fmt::print("{}\n", bench.key);
      return 0;
    }
    Bench bench(where + "/sallyport-bench-" + std::to_string(::getpid()));
    Rounds rate, cpu, idle, bare, ratio, p99, gate, gate_cpu, head, tree;
    (void)bench.throughput(1024, 100'000);  // warms the file cache and the allocator
    if (!only.empty()) {
      for (std::size_t i = 0; i < rounds; ++i) {
        const auto busy = only == "gate" ? bench.gate_traffic(4096, 200'000) : Bench::Busy{};
        const auto [per_second, cpu_each] = only == "gate" ? std::pair(busy.per_second, busy.cpu_us) : bench.throughput(4096, 600'000);
        rate.values.push_back(per_second);
        cpu.values.push_back(cpu_each);
      }
      print("evidence." + only, "durable entries", rate, "1/s", "", rate.median() / 1e6, 1.0, rate.median() >= 1e6);
      print("evidence." + only, "cpu per entry", cpu, "us", "", cpu.median(), 6.6, cpu.median() <= 6.6);
      return 0;
    }
    for (std::size_t i = 0; i < rounds; ++i) {
      const auto [per_second, cpu_each] = bench.throughput(4096, 600'000);
      rate.values.push_back(per_second);
      cpu.values.push_back(cpu_each);
      bare.values.push_back(bench.bare_sync());
      idle.values.push_back(bench.idle_intent());
      ratio.values.push_back(idle.values.back() / bare.values.back());
      p99.values.push_back(bench.last_p99);
      const auto busy = bench.gate_traffic(4096, 200'000);
      gate.values.push_back(busy.per_second);
      gate_cpu.values.push_back(busy.cpu_us);
      head.values.push_back(busy.oldest_unsigned_ms);
      tree.values.push_back(Bench::tree_rate(1'000'000));
    }
    Rounds judged;
    for (std::size_t i = 0; i < 3; ++i) judged.values.push_back(bench.verify_rate(bench.key).first);
    print("evidence.throughput", "durable entries", rate, "1/s", "", rate.median() / 1e6, 1.0, rate.median() >= 1e6);
    print("evidence.throughput", "cpu per entry", cpu, "us", "", cpu.median(), 6.6, cpu.median() <= 6.6);
    print("evidence.idle", "bare fdatasync p50", bare, "us", "", 1.0, 1.0, true);
    const double factor = ratio.median();
    print("evidence.idle", "intent p50", idle, "us", "bare fdatasync", factor, 1.5, factor <= 1.5);
    print("evidence.idle", "intent p99", p99, "us", "", p99.median() / 1000, 1.0, p99.median() <= 1000);
    print("evidence.gate", "durable entries", gate, "1/s", "", gate.median() / 200'000, 1.0, gate.median() >= 200'000);
    print("evidence.gate", "cpu per entry", gate_cpu, "us", "", gate_cpu.median(), 10, gate_cpu.median() <= 10);
    print("evidence.gate", "oldest unsigned entry", head, "ms", "", head.median() / 100, 1.0, head.median() <= 100);
    print("evidence.verify", "entries judged", judged, "1/s/core", "", judged.median() / 5e6, 1.0, judged.median() >= 5e6);
    print("evidence.verify", "leaves into the tree", tree, "1/s/core", "", tree.median() / 5e6, 1.0, tree.median() >= 5e6);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_evidence: {}\n", error.what());
    return 1;
  }
  return 0;
}
