#pragma once
// What a Stream is made of; shared by stream.cpp and stream_tls.cpp, and kept alive by every operation that waits.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <openssl/ssl.h>

#include "net/deadline_wheel.h"
#include "net/stream.h"

namespace sallyport::net {

struct Stream::State {
  enum class Wait { Read, Write };

  State(boost::asio::io_context& io, int fd);
  ~State();

  /// Resumes when the socket is ready. Errors: Unavailable past the deadline, Disconnected after close().
  boost::asio::awaitable<Result<void>> wait(Wait what, Deadline deadline);
  /// True after a long stretch of work without a wait: then yield() lets others run.
  bool due(std::size_t bytes);
  boost::asio::awaitable<void> yield();
  void close();

  /// One try each; the result of SSL_get_error decides what to wait for.
  struct Tried {
    std::size_t bytes = 0;
    enum What { Done, End, WantRead, WantWrite, Broken } what = Done;
    std::string why;
  };
  Tried try_read(std::span<char> into);
  Tried try_write(std::string_view bytes);
  boost::asio::awaitable<Result<void>> handshake(Deadline deadline, bool server);

  struct Waiting : DeadlineWheel::Node {
    State* owner = nullptr;
  };

  boost::asio::io_context& context;
  DeadlineWheel& wheel;
  boost::asio::posix::stream_descriptor descriptor;
  SSL* ssl = nullptr;
  bool open = true, handshaken = false, broken = false;
  bool woken = false;            // wake() ended a wait for reading
  bool drained = false;          // the last read emptied the socket: wait before the next one
  std::size_t unyielded = 0;     // bytes moved since the last wait
  Waiting waiting[2];            // of Wait::Read and Wait::Write
  std::string peer;
};

}  // namespace sallyport::net
