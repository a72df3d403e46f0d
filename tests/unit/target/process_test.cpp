// A server as a process: what it gets, what it cannot do, and that nothing of it is left. Real processes, no network.
#include "target/process.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <filesystem>
#include <fstream>

#include "base/clock.h"

namespace sallyport::enforce {
/// This binary has no gate: it stands in for the one that may make permits.
class Gate {
 public:
  static target::Permit permit(std::string bytes, std::string target = "files") {
    auto catalog = std::make_shared<target::Catalog>();
    catalog->targets[target].name = target;
    const auto* found = catalog->find(target);
    return target::Permit(std::move(catalog), found, std::move(bytes), "req_1");
  }
};
}  // namespace sallyport::enforce

namespace sallyport::target {
namespace {

using boost::asio::awaitable;
constexpr std::int64_t kSecond = 1'000'000'000;

McpCommand command(std::vector<std::string> argv) {
  McpCommand out;
  out.argv = std::move(argv);
  out.user = ::getpwuid(::geteuid())->pw_name;
  return out;
}
McpCommand shell(std::string script) { return command({"sh", "-c", std::move(script)}); }

/// Runs a coroutine to its end on a worker of its own, and then everything that it left running.
template <class Body>
void run(Body body) {
  boost::asio::io_context context;
  auto done = boost::asio::co_spawn(context, body(context), boost::asio::use_future);
  context.run();
  done.get();
}

awaitable<Result<std::shared_ptr<Process>>> begin(boost::asio::io_context& context, McpCommand what, std::size_t most = 1u << 20) {
  auto environment = environment_of(what);
  if (!environment) co_return std::unexpected(environment.error());
  co_return co_await Process::start(context, "files", std::move(what), std::move(*environment), most);
}

awaitable<std::string> read(Process& process) {
  // What should have come and did not must not hold up the test.
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, std::chrono::seconds(10));
  timer.async_wait([&](const boost::system::error_code& stopped) { if (!stopped) process.kill(); });
  auto line = co_await process.read();
  co_return line ? *line : "error: " + line.error().what;
}

/// All lines until its end.
awaitable<std::string> output(boost::asio::io_context& context, McpCommand what) {
  const auto process = co_await begin(context, std::move(what));
  if (!process) co_return "error: " + process.error().what;
  std::string out;
  for (;;) {
    auto line = co_await (*process)->read();
    if (!line) break;
    out += *line + "\n";
  }
  co_return out;
}

std::string output(McpCommand what) {
  std::string out;
  run([&](auto& context) -> awaitable<void> { out = co_await output(context, what); });
  return out;
}

bool alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return (stat >> number >> name >> state) && state != "Z" && state != "X";
}

net::Deadline soon(std::int64_t seconds = 5) { return net::after(seconds * kSecond); }

TEST(Process, PassesOneLineEachWay) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, command({"cat"}));
    EXPECT_TRUE(process.has_value()) << process.error().what;
    EXPECT_TRUE((co_await (*process)->write(enforce::Gate::permit(R"({"id": 1})"), {}, soon())).has_value());
    EXPECT_EQ(co_await read(**process), R"({"id": 1})");
    co_await (*process)->end(soon());
  });
}

TEST(Process, MakesOneLineOfATextWithLineBreaks) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, command({"cat"}));
    EXPECT_TRUE((co_await (*process)->write(enforce::Gate::permit("{\r\n \"a\":\n1}"), {}, soon())).has_value());
    EXPECT_EQ(co_await read(**process), "{   \"a\": 1}");
    co_await (*process)->end(soon());
  });
}

TEST(Process, ChangesIdsIntoNumbersAndNothingElse) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, command({"cat"}));
    const std::string text = R"({"id":"a","params":{"t":7},"x":[1]})";
    const std::vector<Renumbered> good = {{6, 3, 41}, {24, 1, 42}};
    EXPECT_TRUE((co_await (*process)->write(enforce::Gate::permit(text), good, soon())).has_value());
    EXPECT_EQ(co_await read(**process), R"({"id":41,"params":{"t":42},"x":[1]})");
    const std::vector<std::vector<Renumbered>> bad = {{{19, 7, 1}}, {{1, 6, 1}}, {{24, 1, 1}, {6, 3, 1}}, {{30, 9, 1}}, {{6, 0, 1}}, {{SIZE_MAX, 2, 1}}};
    for (const auto& ids : bad) {
      const auto refused = co_await (*process)->write(enforce::Gate::permit(text), ids, soon());
      EXPECT_FALSE(refused.has_value());
    }
    const auto other = co_await (*process)->write(enforce::Gate::permit(text, "mail"), {}, soon());
    EXPECT_EQ(other.error().kind, ErrorKind::Internal);
    const std::vector<Renumbered> escaped = {{6, 9, 9}};
    EXPECT_TRUE((co_await (*process)->write(enforce::Gate::permit(R"({"id":"a\"\\,b"})"), escaped, soon())).has_value());
    EXPECT_EQ(co_await read(**process), R"({"id":9})");
    co_await (*process)->end(soon());
  });
}

TEST(Process, ReadsLinesHoweverTheyAreCut) {
  const std::string text = R"({"jsonrpc":"2.0","method":"ä"})";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    run([&](auto& context) -> awaitable<void> {
      auto what = shell(R"(printf %s "$1"; read -r go; printf '%s\nlast\r\n' "$2")");
      what.argv.insert(what.argv.end(), {"-", text.substr(0, cut), text.substr(cut)});
      const auto process = co_await begin(context, what);
      // The second half is asked for by a message, so that the first one has been read by then, or stands in the pipe alone.
      EXPECT_TRUE((co_await (*process)->write(enforce::Gate::permit("{}"), {}, soon())).has_value());
      EXPECT_EQ(co_await read(**process), text);
      EXPECT_EQ(co_await read(**process), "last");
      EXPECT_EQ(co_await read(**process), "error: the server's process ended with exit status 0");
    });
  }
}

TEST(Process, RefusesALineOverTheLimitAndEndsIt) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, shell("head -c 3000000 /dev/zero | tr '\\0' x; sleep 100"), 1u << 20);
    const auto line = co_await (*process)->read();
    EXPECT_EQ(line.error().kind, ErrorKind::Malformed);
    co_await (*process)->end(soon());
    EXPECT_FALSE((*process)->running());
  });
}

TEST(Process, SaysHowItEndedAndItsLastWords) {
  run([](auto& context) -> awaitable<void> {
    auto what = shell("echo first >&2; echo \"no key $KEY\" >&2; exit 3");
    const auto file = std::filesystem::temp_directory_path() / ("sallyport-process-" + std::to_string(::getpid()));
    std::ofstream(file) << "hunter2hunter2";
    what.secrets["KEY"] = {SecretRef::From::File, file.string()};
    const auto process = co_await begin(context, what);
    EXPECT_EQ(co_await read(**process), "error: the server's process ended with exit status 3; its last words: no key ***");
    const auto late = co_await (*process)->write(enforce::Gate::permit("{}"), {}, soon());
    EXPECT_EQ(late.error().kind, ErrorKind::Disconnected);
    std::filesystem::remove(file);
  });
}

TEST(Process, SaysThatASignalEndedIt) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, shell("kill -9 $$"));
    EXPECT_EQ(co_await read(**process), "error: the server's process was ended by signal 9 (Killed)");
  });
}

TEST(Process, IsReapedAndItsGroupIsGone) {
  for (const char* rest : {"exit 1", "exec cat", "trap '' TERM; while :; do sleep 1; done"}) {
    pid_t leader = 0, child = 0;
    run([&](auto& context) -> awaitable<void> {
      const auto process = co_await begin(context, shell(std::string("sleep 1000 & echo $!; ") + rest));
      leader = (*process)->pid();
      child = std::stoi(co_await read(**process));
      co_await (*process)->end(net::after(kSecond));
      EXPECT_FALSE((*process)->running()) << rest;
    });
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(leader), &info, WEXITED | WNOHANG | WNOWAIT), -1) << "a zombie is left: " << rest;
    // Its parent is init now, which reaps it when it likes.
    const auto until = system_clock().mono_ns() + 5 * kSecond;
    while (alive(child) && system_clock().mono_ns() < until) ::sched_yield();
    EXPECT_FALSE(alive(child)) << rest;
  }
}

TEST(Process, EndsWhenItsInputIsClosed) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, shell("cat; echo bye; exit 0"));
    const auto before = system_clock().mono_ns();
    co_await (*process)->end(soon(30));
    EXPECT_LT(system_clock().mono_ns() - before, 9 * kSecond);
    EXPECT_EQ((*process)->how_it_ended(), "the server's process ended with exit status 0");
  });
}

TEST(Process, GoesDownWithItsWorker) {
  pid_t pid = 0;
  {
    boost::asio::io_context context;
    auto started = boost::asio::co_spawn(context, begin(context, command({"sleep", "1000"})), boost::asio::use_future);
    while (started.wait_for(std::chrono::seconds(0)) != std::future_status::ready) context.run_one();
    auto process = started.get();
    ASSERT_TRUE(process.has_value()) << process.error().what;
    pid = (*process)->pid();
    process->reset();
    EXPECT_TRUE(alive(pid));
  }
  EXPECT_FALSE(alive(pid));
}

TEST(Process, GetsNothingOfTheGatewaysEnvironmentAndDescriptors) {
  auto what = command({"env"});
  what.env["HOME"] = "/srv/x";
  EXPECT_EQ(output(what), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nHOME=/srv/x\n");
  what.env["PATH"] = "/usr/bin:/bin";
  EXPECT_EQ(output(what), "HOME=/srv/x\nPATH=/usr/bin:/bin\n");
  // The fourth is ls's own.
  EXPECT_EQ(output(command({"ls", "/proc/self/fd"})), "0\n1\n2\n3\n");
}

TEST(Process, HasASessionOfItsOwnAndNoNewPrivileges) {
  EXPECT_EQ(output(command({"grep", "-h", "-E", "^(NoNewPrivs|SigBlk|SigIgn)", "/proc/self/status"})), "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nNoNewPrivs:\t1\n");
  EXPECT_EQ(output(shell("set -- $(cat /proc/$$/stat); [ $1 = $5 ] && [ $1 = $6 ] && echo leader")), "leader\n");
}

TEST(Process, StartsInItsDirectory) {
  EXPECT_EQ(output(command({"pwd"})), "/\n");
  auto what = command({"pwd"});
  what.directory = "/usr";
  EXPECT_EQ(output(what), "/usr\n");
  what.directory = "/nowhere";
  EXPECT_EQ(output(what), "error: the server of files cannot be started: its directory /nowhere cannot be entered: No such file or directory");
}

TEST(Process, HasItsLimits) {
  auto what = shell("ulimit -n; ulimit -d; ulimit -t");
  what.files = 40;
  what.memory = 64u << 20;
  what.cpu_seconds = 7;
  EXPECT_EQ(output(what), "40\n65536\n7\n");
  auto greedy = command({"sort", "-S", "1G", "/dev/zero"});
  greedy.memory = 16u << 20;
  EXPECT_EQ(output(greedy), "");
}

TEST(Process, HasNoNetworkUnlessItIsGiven) {
  EXPECT_EQ(output(shell("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '")), "lo\n");
  std::string host;
  std::ifstream devices("/proc/net/dev");
  for (std::string line; std::getline(devices, line);)
    if (line.contains(':')) host += line.substr(line.find_first_not_of(' '), line.find(':') - line.find_first_not_of(' ')) + "\n";
  auto what = shell("tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '");
  what.network = true;
  EXPECT_EQ(output(what), host);
}

/// As a kernel or a container does that hands out no namespaces.
void forbid_unshare() {
  sock_filter program[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
                           BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog filter{4, program};
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(2);
}

TEST(Process, IsNotStartedWhenItCannotBeCutOffFromTheNetwork) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        forbid_unshare();
        std::fputs(output(command({"echo", "it runs"})).c_str(), stderr);
        ::_exit(0);
      },
      testing::ExitedWithCode(0), "^error: the server of files cannot be started: it cannot be cut off from the network");
}

TEST(Process, RunsAsItsUser) {
  auto what = shell("id -u; id -g");
  if (::geteuid() != 0) {
    what.user = "root";
    EXPECT_TRUE(output(what).contains("needs the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL")) << output(what);
    return;
  }
  const auto* nobody = ::getpwnam("nobody");
  ASSERT_NE(nobody, nullptr);
  what.user = "nobody";
  EXPECT_EQ(output(what), std::to_string(nobody->pw_uid) + "\n" + std::to_string(nobody->pw_gid) + "\n");
  what.argv = {"grep", "CapEff", "/proc/self/status"};
  EXPECT_EQ(output(what), "CapEff:\t0000000000000000\n");
  what.user = "";
  EXPECT_TRUE(output(what).contains("runs as root, and the command has no user"));
}

TEST(Process, SaysWhatIsWrongWithItsProgramOrUser) {
  EXPECT_EQ(output(command({"no-such-program"})), "error: the server of files cannot be started: the program no-such-program cannot be run: No such file or directory");
  EXPECT_EQ(output(command({"/etc"})), "error: the server of files cannot be started: the program /etc cannot be run: Permission denied");
  auto what = command({"true"});
  what.user = "no-such-user";
  EXPECT_EQ(output(what), "error: the server of files cannot be started: there is no user no-such-user");
}

TEST(Process, IsNotHeldUpByWhatItWritesToStderr) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, shell("head -c 20000000 /dev/zero | tr '\\0' x >&2; yes 'a complaint' | head -n 100000 >&2; echo done; cat"));
    EXPECT_EQ(co_await read(**process), "done");
    co_await (*process)->end(soon());
  });
}

TEST(Process, ThatDoesNotReadIsEnded) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, command({"sleep", "1000"}));
    const std::string big = R"({"a":")" + std::string(900'000, 'x') + "\"}";
    Result<void> written;
    for (int i = 0; written && i < 10; ++i) written = co_await (*process)->write(enforce::Gate::permit(big), {}, net::after(kSecond / 5));
    EXPECT_EQ(written.error().what, "the server does not read its input");
    EXPECT_EQ(co_await read(**process), "error: the server's process was ended by signal 9 (Killed)");
  });
}

TEST(Process, WaitsWhileNobodyReadsIt) {
  run([](auto& context) -> awaitable<void> {
    const auto process = co_await begin(context, shell("for i in 1 2 3 4; do head -c 800000 /dev/zero | tr '\\0' $i; echo; echo $i >&2; done"));
    for (char c : {'1', '2', '3', '4'}) EXPECT_EQ(co_await read(**process), std::string(800'000, c));
    co_await (*process)->end(soon());
  });
}

}  // namespace
}  // namespace sallyport::target
