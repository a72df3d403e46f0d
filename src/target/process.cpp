#include "target/process.h"

#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cstring>

#include "base/clock.h"

namespace sallyport::target {

using boost::asio::awaitable;

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kStart = 10 * kSecond;       // from the fork to the exec
constexpr std::int64_t kLastWords = kSecond;        // what is still in its pipes after its end
constexpr std::size_t kChunk = 64u << 10;
constexpr std::size_t kWords = 20, kWordBytes = 512;
constexpr std::int64_t kWindow = 10 * kSecond;
constexpr std::size_t kWindowLines = 50;            // of stderr into the log, in one window

/// One whole JSON string, or what a number is made of.
bool is_scalar(std::string_view token) {
  if (token.front() != '"') return token.find_first_not_of("0123456789-+.eE") == std::string_view::npos;
  for (std::size_t i = 1; i < token.size(); ++i) {
    if (token[i] == '\\') ++i;
    else if (token[i] == '"') return i + 1 == token.size();
  }
  return false;
}

/// The permit's bytes as one line. Errors: Internal when something else than an id would change.
Result<std::string> line_of(const Permit& permit, std::span<const Renumbered> ids) {
  const std::string& bytes = permit.bytes();
  std::string out;
  out.reserve(bytes.size() + 32);
  std::size_t at = 0;
  for (const auto& [offset, length, number] : ids) {
    if (offset < at || length == 0 || length > bytes.size() || offset > bytes.size() - length) return fail(ErrorKind::Internal, "an id outside of its message");
    const auto old = std::string_view(bytes).substr(offset, length);
    if (!is_scalar(old)) return fail(ErrorKind::Internal, "a session tried to change more than an id");
    out.append(bytes, at, offset - at).append(std::to_string(number));
    at = offset + length;
  }
  out.append(bytes, at);
  // In JSON a bare line break is white space between tokens, never part of a string.
  for (char& c : out)
    if (c == '\n' || c == '\r') c = ' ';
  out.push_back('\n');
  return out;
}

}  // namespace

Process::Process(boost::asio::io_context& context, std::string target, Spawned spawned, std::size_t max_message)
    : target_(std::move(target)),
      spawned_(std::move(spawned)),
      exited_(context, spawned_.exited.release()),
      in_(context, spawned_.in.release()),
      out_(context, spawned_.out.release()),
      err_(context, spawned_.err.release()),
      changed_(context),
      max_message_(max_message),
      started_ns_(system_clock().mono_ns()) {}

Process::~Process() {
  if (ended_) return;
  // Only when the worker itself goes down: otherwise watch() holds this until the end.
  kill();
  ::waitpid(spawned_.pid, nullptr, 0);
}

awaitable<Result<std::shared_ptr<Process>>> Process::start(boost::asio::io_context& context, std::string target, McpCommand command,
                                                           std::vector<std::string> environment, std::size_t max_message) {
  const auto failed = [&](const std::string& why) { return fail(ErrorKind::Unavailable, "the server of " + target + " cannot be started: " + why); };
  auto spawned = spawn(command, environment);
  if (!spawned) co_return failed(spawned.error().what);
  net::Stream report(context, spawned->report.release());
  const std::shared_ptr<Process> process(new Process(context, target, std::move(*spawned), max_message));
  process->keep_secrets_of(command, environment);
  process->shared_ = command.pool == McpCommand::Pool::Shared;
  boost::asio::co_spawn(context, process->watch(), boost::asio::detached);
  boost::asio::co_spawn(context, process->listen_to_stderr(), boost::asio::detached);
  std::array<char, 64> bytes;
  const auto got = co_await report.read_some(bytes, net::after(kStart));
  if (got && *got == 0 && process->running()) co_return process;
  process->ending_ = true;
  process->kill();
  co_return failed(got ? explain(std::string_view(bytes.data(), *got), command) : got.error().what);
}

void Process::keep_secrets_of(const McpCommand& command, const std::vector<std::string>& environment) {
  constexpr std::size_t kShortest = 4;  // blotting out shorter ones would only make the rest unreadable
  for (const auto& [name, secret] : command.secrets)
    for (const auto& variable : environment)
      if (variable.starts_with(name + "=") && variable.size() - name.size() - 1 >= kShortest) secrets_.push_back(variable.substr(name.size() + 1));
}

void Process::kill() const {
  // The leader is not reaped before `ended_`: until then its number is nobody else's.
  if (!ended_) ::kill(-spawned_.pid, SIGKILL);
}

awaitable<void> Process::watch() {
  const auto self = shared_from_this();
  boost::system::error_code error;
  co_await exited_.async_wait(boost::asio::posix::descriptor_base::wait_read, boost::asio::redirect_error(boost::asio::use_awaitable, error));
  kill();  // what it has started and left behind
  siginfo_t info{};
  ::waitid(P_PIDFD, static_cast<id_t>(exited_.native_handle()), &info, WEXITED);
  status_ = info.si_status;
  code_ = info.si_code;
  ended_ = true;
  changed_.changed();
  in_.close();
  // What is left in its pipes is read to the end; one that left the group may hold them open.
  const auto until = net::after(kLastWords);
  while (!ending_ && (!out_over_ || !err_over_))
    if (!co_await changed_.wait(until)) break;
  out_.close();
  err_.close();
}

awaitable<Result<void>> Process::write(Permit permit, std::span<const Renumbered> ids, net::Deadline deadline) {
  const auto self = shared_from_this();
  if (permit.target().name != target_) co_return fail(ErrorKind::Internal, "a permit for " + permit.target().name + " was used on the process of " + target_);
  CO_TRY(const auto line, line_of(permit, ids));
  if (ended_ || ending_) co_return fail(ErrorKind::Disconnected, how_it_ended());
  if (queued_ > 0 && queued_ + line.size() > 4 * max_message_) co_return fail(ErrorKind::Overloaded, "too much waits to be read by the server");
  queued_ += line.size();
  bool late = false;
  while (writing_ && !ended_ && !late) late = !co_await changed_.wait(deadline);
  queued_ -= line.size();
  if (late) co_return fail(ErrorKind::Overloaded, "the server does not read its input");
  if (ended_) co_return fail(ErrorKind::Disconnected, how_it_ended());
  writing_ = true;
  const auto written = co_await in_.write(line, deadline);
  writing_ = false;
  if (!written && !ended_) {
    say("it does not read its input, and is ended");
    kill();
  }
  changed_.changed();
  if (!written) co_return fail(written.error().kind, written.error().kind == ErrorKind::Unavailable ? "the server does not read its input" : how_it_ended());
  co_return Result<void>{};
}

awaitable<Result<std::string>> Process::read() {
  const auto self = shared_from_this();
  for (;;) {
    if (const auto end = unread_.find('\n', searched_); end != std::string::npos) {
      std::string line = unread_.substr(begin_, end - begin_);
      begin_ = searched_ = end + 1;
      if (line.ends_with('\r')) line.pop_back();
      co_return line;
    }
    unread_.erase(0, std::exchange(begin_, 0));
    searched_ = unread_.size();
    if (searched_ > max_message_) {
      say("a message of it is over " + std::to_string(max_message_) + " bytes: it is ended");
      kill();
      co_return fail(ErrorKind::Malformed, "the server sent a message over " + std::to_string(max_message_) + " bytes");
    }
    unread_.resize(searched_ + kChunk);
    const auto got = co_await out_.read_some(std::span(unread_).subspan(searched_), net::kNever);
    unread_.resize(searched_ + (got ? *got : 0));
    if (got && *got > 0) continue;
    // Its output has ended, and so has its use.
    out_over_ = true;
    changed_.changed();
    if (!ended_) co_await end(net::after(2 * kSecond));
    co_return fail(ErrorKind::Disconnected, how_it_ended());
  }
}

awaitable<void> Process::end(net::Deadline deadline) {
  const auto self = shared_from_this();
  ending_ = true;
  const auto left = std::max<std::int64_t>(deadline - system_clock().mono_ns(), 0);
  in_.close();
  const auto until = [&](net::Deadline moment) -> awaitable<bool> {
    while (!ended_)
      if (!co_await changed_.wait(moment)) break;
    co_return ended_;
  };
  if (co_await until(deadline - left / 3 * 2)) co_return;
  ::kill(-spawned_.pid, SIGTERM);
  if (co_await until(deadline - left / 3)) co_return;
  kill();
  (void)co_await until(net::after(10 * kSecond));
}

std::string Process::how_it_ended() const {
  std::string out = "the server's process ";
  if (!ended_) return out + "is being ended";
  if (code_ == CLD_EXITED) out += "ended with exit status " + std::to_string(status_);
  else out += "was ended by signal " + std::to_string(status_) + " (" + ::sigdescr_np(status_) + ")";
  if (!words_.empty() && !shared_) out += "; its last words: " + words_.back();
  return out;
}

/// A line of its, fit for logs and answers.
std::string Process::shown(std::string_view line) const {
  std::string out(line);
  for (const auto& secret : secrets_)
    for (auto at = out.find(secret); at != std::string::npos; at = out.find(secret, at)) out.replace(at, secret.size(), "***");
  out.resize(std::min(out.size(), kWordBytes));
  for (char& c : out)
    if ((c >= 0 && c < 0x20) || c == 0x7f) c = '?';
  return out;
}

void Process::say(std::string line) {
  const auto now = system_clock().mono_ns();
  if (now - window_ns_ > kWindow) {
    if (skipped_ > 0) fmt::print(stderr, "sallyport: target {} (process {}): {} lines more\n", target_, spawned_.pid, skipped_);
    window_ns_ = now;
    logged_ = skipped_ = 0;
  }
  if (logged_ >= kWindowLines) {
    ++skipped_;
    return;
  }
  ++logged_;
  fmt::print(stderr, "sallyport: target {} (process {}): {}\n", target_, spawned_.pid, line);
}

void Process::note(std::string_view line) { say("on stdout, no message: " + shown(line)); }
void Process::say_dropped(std::string_view what, std::string_view why) { say("dropped " + shown(what) + ": " + shown(why)); }

awaitable<void> Process::listen_to_stderr() {
  const auto self = shared_from_this();
  std::string line;
  std::vector<char> bytes(4096);
  for (;;) {
    const auto got = co_await err_.read_some(bytes, net::kNever);
    const bool over = !got || *got == 0;
    for (const char c : std::string_view(bytes.data(), over ? 0 : *got)) {
      // Bounded, and long enough that a secret at the edge of what is shown is found whole.
      if (c != '\n' && line.size() < 4 * kWordBytes) line.push_back(c);
      if (c != '\n') continue;
      if (!line.empty()) {
        words_.push_back(shown(line));
        if (words_.size() > kWords) words_.pop_front();
        say(words_.back());
      }
      line.clear();
    }
    if (!over) continue;
    err_over_ = true;
    co_return changed_.changed();
  }
}

}  // namespace sallyport::target
