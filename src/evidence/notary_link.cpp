#include "evidence/notary_link.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "evidence/cbor.h"
#include "evidence/little_endian.h"

extern char** environ;

namespace sallyport::evidence {
namespace {

enum Request : std::uint64_t { Hello = 1, Sign, NextEpoch, BeginEpoch, Key = 9 };

Result<void> read_exactly(int socket, std::span<std::uint8_t> into) {
  std::size_t at = 0;
  while (at < into.size()) {
    const auto n = ::recv(socket, into.data() + at, into.size() - at, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorKind::Disconnected, n == 0 ? "the connection was closed" : std::string("the connection failed: ") + std::strerror(errno));
    at += static_cast<std::size_t>(n);
  }
  return {};
}

void set_patience(int socket) {
  const timeval ten{10, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &ten, sizeof ten);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &ten, sizeof ten);
}

void put_hashes(Bytes& out, std::span<const Digest> hashes) {
  cbor::put_array(out, hashes.size());
  for (const auto& hash : hashes) cbor::put_bytes(out, hash);
}

Result<std::vector<Digest>> read_hashes(cbor::Reader& in) {
  TRY(const auto count, in.array());
  if (count > 128) return fail(ErrorKind::Malformed, "too many hashes");
  std::vector<Digest> out(static_cast<std::size_t>(count));
  for (auto& one : out) {
    TRY(const auto bytes, in.bytes());
    if (bytes.size() != one.size()) return fail(ErrorKind::Malformed, "a hash is not 32 bytes long");
    std::ranges::copy(bytes, one.begin());
  }
  return out;
}

Result<CompactRange> read_range(cbor::Reader& in, std::uint64_t begin, std::uint64_t end) {
  TRY(const auto hashes, read_hashes(in));
  auto range = CompactRange::of(begin, end, hashes);
  if (!range || !in.at_end()) return fail(ErrorKind::Malformed, "the hashes are not those of the range");
  return *range;
}

Bytes start(std::uint64_t first, std::uint64_t items) {
  Bytes out;
  cbor::put_array(out, items);
  cbor::put_uint(out, first);
  return out;
}

class Client : public Signer {
 public:
  Client(NotaryDoor door, std::string origin, std::string pinned) : door_(std::move(door)), origin_(std::move(origin)), key_(std::move(pinned)) {}

  Result<CompactRange> last() override {
    TRY(const auto answer, ask(start(Hello, 1)));
    cbor::Reader in(answer);
    TRY_VOID(ok(in));
    TRY(const auto origin, in.text());
    TRY(const auto key, in.text());
    if (origin != origin_) return fail(ErrorKind::Malformed, fmt::format("the notary signs for {}, not for {}", origin, origin_));
    if (!key_.empty() && key != key_) return fail(ErrorKind::Malformed, fmt::format("the notary's key is {}, expected is {}", key, key_));
    key_ = key;
    TRY(const auto size, in.uint());
    return read_range(in, 0, size);
  }
  Result<std::string> sign(const CompactRange& grown) override {
    auto request = start(Sign, 4);
    cbor::put_uint(request, grown.begin());
    cbor::put_uint(request, grown.size());
    put_hashes(request, grown.hashes());
    return note(request);
  }
  Result<EpochKey> next_epoch() override {
    TRY(const auto answer, ask(start(NextEpoch, 1)));
    cbor::Reader in(answer);
    TRY_VOID(ok(in));
    EpochKey out;
    TRY(out.number, in.uint());
    TRY(const auto key, in.bytes());
    if (key.size() != out.key.size()) return fail(ErrorKind::Malformed, "an epoch's key is not 32 bytes long");
    std::ranges::copy(key, out.key.begin());
    return out;
  }
  Result<std::string> begin_epoch(ByteView announcement) override {
    auto request = start(BeginEpoch, 2);
    cbor::put_bytes(request, announcement);
    return note(request);
  }
  std::string verifier_key() const override { return key_; }

 private:
  Result<std::string> note(const Bytes& request) {
    TRY(const auto answer, ask(request));
    cbor::Reader in(answer);
    TRY_VOID(ok(in));
    TRY(const auto text, in.text());
    return std::string(text);
  }
  static Result<void> ok(cbor::Reader& in) {
    TRY(const auto items, in.array());
    TRY(const auto kind, in.uint());
    if (kind == 0) return {};
    if (items != 2 || kind > 6) return fail(ErrorKind::Malformed, "the notary's answer is mangled");
    TRY(const auto what, in.text());
    return fail(static_cast<ErrorKind>(kind - 1), std::string(what));
  }
  /// After a failure the connection is in an unknown place: the next request gets a new one.
  Result<Bytes> ask(const Bytes& request) {
    if (!socket_.open()) {
      auto opened = door_();
      if (!opened) return fail(ErrorKind::Unavailable, "the notary cannot be reached: " + opened.error().what);
      socket_ = std::move(*opened);
      set_patience(socket_.fd());
    }
    auto done = write_frame(socket_.fd(), request);
    auto answer = done ? read_frame(socket_.fd()) : Result<Bytes>(std::unexpected(done.error()));
    if (answer) return answer;
    socket_ = File();
    return fail(ErrorKind::Unavailable, "the notary does not answer: " + answer.error().what);
  }

  NotaryDoor door_;
  std::string origin_, key_;
  File socket_;
};

Result<Bytes> answer(Notary& notary, ByteView request) {
  cbor::Reader in(request);
  TRY(const auto items, in.array());
  TRY(const auto what, in.uint());
  auto out = start(0, 2);
  if (what == Hello && items == 1) {
    out = start(0, 5);
    TRY(const auto tree, notary.last());
    cbor::put_text(out, notary.origin());
    cbor::put_text(out, notary.verifier_key());
    cbor::put_uint(out, tree.size());
    put_hashes(out, tree.hashes());
  } else if (what == Sign && items == 4) {
    TRY(const auto begin, in.uint());
    TRY(const auto end, in.uint());
    TRY(const auto grown, read_range(in, begin, end));
    TRY(const auto note, notary.sign(grown));
    cbor::put_text(out, note);
  } else if (what == NextEpoch && items == 1) {
    out = start(0, 3);
    TRY(const auto next, notary.next_epoch());
    cbor::put_uint(out, next.number);
    cbor::put_bytes(out, next.key);
  } else if (what == BeginEpoch && items == 2) {
    TRY(const auto entry, in.bytes());
    TRY(const auto note, notary.begin_epoch(entry));
    cbor::put_text(out, note);
  } else {
    return fail(ErrorKind::Malformed, "the notary knows no such request");
  }
  return out;
}

Bytes refusal(const Error& why) {
  auto out = start(static_cast<std::uint64_t>(why.kind) + 1, 2);
  cbor::put_text(out, why.what);
  return out;
}

}  // namespace

Result<Bytes> read_frame(int socket) {
  std::array<std::uint8_t, 4> head;
  TRY_VOID(read_exactly(socket, head));
  const auto size = get_le<std::uint32_t>(head.data());
  if (size > kNotaryFrame) return fail(ErrorKind::Malformed, "a frame is over its limit");
  Bytes out(size);
  TRY_VOID(read_exactly(socket, out));
  return out;
}

Result<void> write_frame(int socket, ByteView bytes) {
  Bytes out(4);
  put_le<std::uint32_t>(out.data(), static_cast<std::uint32_t>(bytes.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
  for (std::size_t at = 0; at < out.size();) {
    const auto n = ::send(socket, out.data() + at, out.size() - at, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorKind::Disconnected, std::string("the connection failed: ") + std::strerror(errno));
    at += static_cast<std::size_t>(n);
  }
  return {};
}

NotaryDoor unix_door(std::string path) {
  return [path = std::move(path)]() -> Result<File> {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) return fail(ErrorKind::Unavailable, path + " is too long for a socket's name");
    std::ranges::copy(path, address.sun_path);
    File out(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!out.open() || ::connect(out.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return system_failure("cannot connect to " + path, errno);
    return out;
  };
}

NotaryDoor child_door(std::string program, std::string state_file, std::string signer_key) {
  return [program = std::move(program), state_file = std::move(state_file), signer_key = std::move(signer_key), before = std::make_shared<pid_t>(0)]() -> Result<File> {
    if (*before > 0) ::waitpid(*before, nullptr, WNOHANG);
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return system_failure("cannot make a socket pair", errno);
    File mine(ends[0]), theirs(ends[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs.fd(), 3);
    std::vector<std::string> args{"sallyport", "notary", "--embedded", "--state", state_file};
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    const int error = ::posix_spawn(before.get(), program.c_str(), &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return system_failure("cannot start the notary", error);
    Bytes key;
    cbor::put_array(key, 2);
    cbor::put_uint(key, Key);
    cbor::put_text(key, signer_key);
    TRY_VOID(write_frame(mine.fd(), key));
    return mine;
  };
}

Result<std::unique_ptr<Signer>> notary_client(NotaryDoor door, std::string origin, std::string pinned_key) {
  auto client = std::make_unique<Client>(std::move(door), std::move(origin), std::move(pinned_key));
  TRY([[maybe_unused]] const auto last, client->last());
  return std::unique_ptr<Signer>(std::move(client));
}

Result<std::string> read_embedded_key(int socket) {
  set_patience(socket);
  TRY(const auto frame, read_frame(socket));
  cbor::Reader in(frame);
  TRY(const auto items, in.array());
  TRY(const auto what, in.uint());
  if (items != 2 || what != Key) return fail(ErrorKind::Malformed, "the notary's first frame must be its key");
  TRY(const auto key, in.text());
  return std::string(key);
}

void refuse_client(int socket, const Error& why) {
  while (read_frame(socket))
    if (!write_frame(socket, refusal(why))) return;
}

void serve_client(int socket, Notary& notary, const std::function<bool()>& stop) {
  set_patience(socket);
  for (;;) {
    // Between requests there is no hurry; within one there is.
    pollfd waiting{socket, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, 200);
    if (stop()) return;
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const auto request = read_frame(socket);
    if (!request) return;
    auto done = answer(notary, *request);
    if (!write_frame(socket, done ? *done : refusal(done.error()))) return;
  }
}

}  // namespace sallyport::evidence
