#include "target/spawn.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sallyport::target {

namespace {

constexpr const char* kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int kReport = 3;  // the child's descriptor of its report
constexpr int kLowest = 10; // what the child gets lies above the descriptors it is moved to

enum Step : int { Descriptors = 1, Limits, Network, User, Directory, Privileges, Program };

struct Report {
  int step = 0, error = 0;
};

struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

/// Everything the child uses, made before the fork: it may not allocate.
struct Plan {
  const McpCommand* command = nullptr;
  std::vector<std::string> programs;  // where argv[0] may be
  std::vector<char*> argv, env;
  std::optional<Identity> become;
  std::array<std::pair<int, std::uint64_t>, 4> limits{};
  int in = -1, out = -1, err = -1, report = -1;
  pid_t parent = 0;
};

std::unexpected<Error> system_failure(std::string what, int error) { return fail(ErrorKind::Unavailable, what + ": " + std::strerror(error)); }

bool capable(unsigned capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

/// nullopt when the gateway is that user already.
Result<std::optional<Identity>> identity_of(const std::string& user) {
  if (user.empty()) {
    if (::geteuid() == 0) return fail(ErrorKind::Unavailable, "the gateway runs as root, and the command has no user: name one (user: root if that is meant)");
    return std::optional<Identity>();
  }
  std::array<char, 16384> buffer;
  passwd entry{}, *found = nullptr;
  if (const int error = ::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found); found == nullptr)
    return error == 0 ? fail(ErrorKind::Unavailable, "there is no user " + user) : system_failure("cannot look up the user " + user, error);
  if (entry.pw_uid == ::geteuid()) return std::optional<Identity>();
  // Signals to another user's processes need a capability of their own: what cannot be ended is not begun.
  if (!capable(CAP_SETUID) || !capable(CAP_SETGID) || !capable(CAP_KILL))
    return fail(ErrorKind::Unavailable, "to run it as " + user + " the gateway needs the capabilities CAP_SETUID, CAP_SETGID and CAP_KILL, or root");
  Identity identity{entry.pw_uid, entry.pw_gid, std::vector<gid_t>(256)};
  int count = static_cast<int>(identity.groups.size());
  if (::getgrouplist(user.c_str(), entry.pw_gid, identity.groups.data(), &count) < 0) return fail(ErrorKind::Unavailable, user + " is in too many groups");
  identity.groups.resize(static_cast<std::size_t>(count));
  return std::optional<Identity>(std::move(identity));
}

std::vector<std::string> programs_of(const std::string& name, const std::vector<std::string>& environment) {
  if (name.contains('/')) return {name};
  std::string_view path = kPath;
  for (const auto& variable : environment)
    if (variable.starts_with("PATH=")) path = std::string_view(variable).substr(5);
  std::vector<std::string> out;
  for (;;) {
    const auto colon = path.find(':');
    // An empty part would be the working directory: nobody means that here.
    if (const auto folder = path.substr(0, colon); !folder.empty()) out.push_back(std::string(folder) + "/" + name);
    if (colon == std::string_view::npos) return out;
    path.remove_prefix(colon + 1);
  }
}

// From here to child(): what runs between fork and exec. System calls only.

[[noreturn]] void give_up(Step step, int error) {
  const Report report{step, error};
  [[maybe_unused]] const auto written = ::write(kReport, &report, sizeof report);
  ::_exit(127);
}

void loopback_up() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  request.ifr_name[0] = 'l';
  request.ifr_name[1] = 'o';
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (fd >= 0) ::ioctl(fd, SIOCSIFFLAGS, &request);  // a convenience: without it there is no network at all
  if (fd >= 0) ::close(fd);
}

void descriptors(const Plan& plan) {
  const bool moved = ::dup2(plan.in, 0) == 0 && ::dup2(plan.out, 1) == 1 && ::dup2(plan.err, 2) == 2 && ::dup3(plan.report, kReport, O_CLOEXEC) == kReport;
  if (!moved || ::syscall(SYS_close_range, kReport + 1, ~0u, 0) != 0) give_up(Descriptors, errno);
}

void limits(const Plan& plan) {
  for (const auto& [resource, most] : plan.limits) {
    if (most == 0) continue;
    rlimit limit{};
    if (::getrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) give_up(Limits, errno);
    limit.rlim_max = most < limit.rlim_max ? most : limit.rlim_max;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(static_cast<__rlimit_resource>(resource), &limit) != 0) give_up(Limits, errno);
  }
}

/// The C library's own calls would tell the threads of the parent, of which the child has none.
void become(const Identity& who) {
  if (::syscall(SYS_setgroups, who.groups.size(), who.groups.data()) != 0 || ::syscall(SYS_setresgid, who.gid, who.gid, who.gid) != 0 ||
      ::syscall(SYS_setresuid, who.uid, who.uid, who.uid) != 0)
    give_up(User, errno);
}

void privileges(const Plan& plan) {
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(Privileges, errno);
  if (::getppid() != plan.parent) ::_exit(127);  // the gateway ended before the line above
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  // What was ignored stays so over exec, whoever ignored it: a gateway started in the background ignores interrupts.
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void child(const Plan& plan) {
  descriptors(plan);
  if (::setsid() < 0) give_up(Privileges, errno);
  limits(plan);
  bool alone = plan.command->network;
  if (!alone && ::unshare(CLONE_NEWNET) == 0) {
    alone = true;
    loopback_up();
  }
  if (plan.become) become(*plan.become);
  if (!alone) {
    // Without the capability a user namespace gives it; the process then sees every user as nobody (no map can be written).
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) give_up(Network, errno);
    loopback_up();
  }
  if (::chdir(plan.command->directory.c_str()) != 0) give_up(Directory, errno);
  privileges(plan);
  int error = ENOENT;
  for (const auto& program : plan.programs) {
    ::execve(program.c_str(), plan.argv.data(), plan.env.data());
    if (errno != ENOENT && errno != ENOTDIR) error = errno;
  }
  give_up(Program, error);
}

/// Both ends of a stream socket, above the descriptors that the child will use.
Result<std::pair<Descriptor, Descriptor>> pair_of_ends() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return system_failure("cannot make a socket pair", errno);
  Descriptor ours(ends[0]), low(ends[1]);
  Descriptor theirs(::fcntl(low.fd(), F_DUPFD_CLOEXEC, kLowest));
  if (theirs.fd() < 0) return system_failure("cannot make a socket pair", errno);
  return std::pair(std::move(ours), std::move(theirs));
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::vector<std::string>> environment_of(const McpCommand& command) {
  std::vector<std::string> out;
  if (!command.env.contains("PATH") && !command.secrets.contains("PATH")) out.push_back(std::string("PATH=") + kPath);
  for (const auto& [name, value] : command.env) out.push_back(name + "=" + value);
  for (const auto& [name, secret] : command.secrets) {
    TRY(const auto value, secret.read());
    if (value.contains('\0')) return fail(ErrorKind::Unavailable, "the secret for the variable " + name + " holds a zero byte");
    out.push_back(name + "=" + value);
  }
  return out;
}

Result<Spawned> spawn(const McpCommand& command, const std::vector<std::string>& environment) {
  Plan plan;
  plan.command = &command;
  plan.programs = programs_of(command.argv.front(), environment);
  plan.argv = pointers(command.argv);
  plan.env = pointers(environment);
  plan.limits = {{{RLIMIT_DATA, command.memory}, {RLIMIT_CPU, command.cpu_seconds}, {RLIMIT_NOFILE, command.files}, {RLIMIT_NPROC, command.processes}}};
  TRY(plan.become, identity_of(command.user));
  TRY(auto in, pair_of_ends());
  TRY(auto out, pair_of_ends());
  TRY(auto err, pair_of_ends());
  TRY(auto report, pair_of_ends());
  plan.in = in.second.fd();
  plan.out = out.second.fd();
  plan.err = err.second.fd();
  plan.report = report.second.fd();
  plan.parent = ::getpid();
  // No handler may run in the child before its program does.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::_Fork();
  if (pid == 0) child(plan);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return system_failure("cannot fork", error);
  Descriptor exited(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (exited.fd() < 0) {
    const int why = errno;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return system_failure("cannot watch the process", why);
  }
  return Spawned{pid, std::move(exited), std::move(in.first), std::move(out.first), std::move(err.first), std::move(report.first)};
}

std::string explain(std::string_view bytes, const McpCommand& command) {
  Report report;
  if (bytes.size() != sizeof report) return "it ended before its program began";
  std::memcpy(&report, bytes.data(), sizeof report);
  std::string what;
  switch (report.step) {
    case Descriptors: what = "its descriptors cannot be set up"; break;
    case Limits: what = "its limits cannot be set"; break;
    case Network: what = "it cannot be cut off from the network (this needs user namespaces, or CAP_SYS_ADMIN), and network: host is not configured"; break;
    case User: what = "it cannot become the user " + command.user; break;
    case Directory: what = "its directory " + command.directory + " cannot be entered"; break;
    case Privileges: what = "its privileges cannot be dropped"; break;
    default: what = "the program " + command.argv.front() + " cannot be run"; break;
  }
  return what + ": " + std::strerror(report.error);
}

}  // namespace sallyport::target
