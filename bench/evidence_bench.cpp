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
#include <thread>

#include "base/json.h"
#include "evidence/log.h"
#include "evidence/session.h"
#include "evidence/notary.h"

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
  std::string directory;
  std::unique_ptr<evidence::Log> log;
  Digest policy{};

  explicit Bench(std::string where) : directory(std::move(where)) {
    std::filesystem::create_directories(directory);
    evidence::Options options;
    options.directory = directory + "/log";
    options.origin = "bench/evidence";
    options.high_water = 0.98;
    auto signer = evidence::ed25519_signer(options.origin, evidence::generate_note_key(options.origin).first, directory + "/head");
    if (!signer) throw std::runtime_error(signer.error().what);
    auto opened = evidence::Log::open(std::move(options), std::move(*signer));
    if (!opened) throw std::runtime_error(opened.error().what);
    log = std::move(*opened);
  }
  ~Bench() {
    log.reset();
    std::filesystem::remove_all(directory);
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
    return times.median();
  }

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
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--json") json_only = true;
    else if (arg == "--quick") rounds = 3;
    else if (arg == "--dir" && i + 1 < argc) where = argv[++i];
    else return fmt::print(stderr, "usage: bench_evidence [--json] [--quick] [--dir DIRECTORY]\n"), 2;
  }
  try {
    Bench bench(where + "/sallyport-bench-" + std::to_string(::getpid()));
    Rounds rate, cpu, idle, bare, ratio;
    (void)bench.throughput(1024, 100'000);  // warms the file cache and the allocator
    for (std::size_t i = 0; i < rounds; ++i) {
      const auto [per_second, cpu_each] = bench.throughput(4096, 600'000);
      rate.values.push_back(per_second);
      cpu.values.push_back(cpu_each);
      bare.values.push_back(bench.bare_sync());
      idle.values.push_back(bench.idle_intent());
      ratio.values.push_back(idle.values.back() / bare.values.back());
    }
    print("evidence.throughput", "durable entries", rate, "1/s", "", rate.median() / 300'000, 1.0, rate.median() >= 300'000);
    print("evidence.throughput", "cpu per entry", cpu, "us", "", cpu.median(), 6.6, cpu.median() <= 6.6);
    print("evidence.idle", "bare fdatasync p50", bare, "us", "", 1.0, 1.0, true);
    const double factor = ratio.median();
    print("evidence.idle", "intent p50", idle, "us", "bare fdatasync", factor, 1.5, factor <= 1.5 || idle.median() <= 150);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_evidence: {}\n", error.what());
    return 1;
  }
  return 0;
}
