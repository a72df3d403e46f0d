// Any bytes from a gateway to a notary, and from a notary to a gateway. The notary never signs a smaller tree, and tells every frame
// something; what the gateway's side takes is a range of hashes or a note.
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "evidence/notary_link.h"

namespace {
using namespace sallyport;
using namespace sallyport::evidence;

struct Place {
  Place() {
    char shm[] = "/dev/shm/sallyport-fuzz-XXXXXX", tmp[] = "/tmp/sallyport-fuzz-XXXXXX";
    const char* made = ::mkdtemp(shm);
    path = made != nullptr ? made : ::mkdtemp(tmp);
  }
  ~Place() { std::filesystem::remove_all(path); }
  std::string path;
};

/// A socket from which these bytes come, and then the end; what is written to it is kept for `answers`.
struct Peer {
  explicit Peer(ByteView bytes) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
    mine = File(ends[0]), theirs = File(ends[1]);
    const int room = 1 << 20;
    ::setsockopt(mine.fd(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    ::setsockopt(theirs.fd(), SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    if (::send(mine.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) != static_cast<ssize_t>(bytes.size())) full = true;
    ::shutdown(mine.fd(), SHUT_WR);
  }
  File mine, theirs;
  bool full = false;
};

void notary_side(ByteView bytes) {
  static const Place place;
  static const auto key = signer_key_text(signer_from_seed("fuzz", Digest{2}));
  std::filesystem::remove(place.path + "/head");
  std::filesystem::remove(place.path + "/head-epochs");
  auto notary = Notary::open(*memory_key("fuzz", key), place.path + "/head");
  if (!notary) std::abort();
  Peer peer(bytes);
  if (peer.full) return;
  std::uint64_t size = 0;
  serve_client(peer.theirs.fd(), **notary, [&] {
    const auto now = (*notary)->last()->size();
    if (now < size) std::abort();
    size = now;
    return false;
  });
  peer.theirs = File();
  while (const auto answer = read_frame(peer.mine.fd()))
    if (answer->empty()) std::abort();
  (void)read_embedded_key(Peer(bytes).theirs.fd());
}

void gateway_side(ByteView bytes) {
  const auto door = [&]() -> Result<File> { return std::move(Peer(bytes).theirs); };
  auto client = notary_client(door, "fuzz", "");
  if (!client) return;
  (void)(*client)->next_epoch();
  (void)(*client)->begin_epoch({});
  (void)(*client)->sign(CompactRange());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto ignored = ::signal(SIGPIPE, SIG_IGN);
  (void)ignored;
  if (size == 0 || size > 60'000) return 0;
  const ByteView bytes(data + 1, size - 1);
  if (data[0] % 2 == 0) notary_side(bytes);
  else gateway_side(bytes);
  return 0;
}
