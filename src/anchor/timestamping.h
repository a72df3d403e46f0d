#pragma once
// Time stamps of an authority (RFC 3161) over the log's heads, on a thread of its own: every so often, and when a segment was sealed.
// An answer is kept only when it verifies against the configured certificate: `timestamps/%020d.note`, the head, and `.tsr`, the
// answer over its SHA-256, which `openssl ts -verify` checks as well. Failures are entries, and are tried again. docs/evidence.md.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "evidence/log.h"
#include "evidence/log_view.h"

namespace sallyport::anchor {

struct TimestampPolicy {
  std::string url, ca_file;
  std::int64_t every_ns = 0;
};

class Timestamping {
 public:
  Timestamping(TimestampPolicy policy, evidence::Log& log, std::string directory);
  ~Timestamping();

 private:
  void run();
  Result<void> stamp();
  const TimestampPolicy policy_;
  evidence::Log& log_;
  evidence::LogView view_;   // the thread's
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false, failing_ = false;
  std::thread thread_;
};

/// A request for a stamp over `bytes`, with a nonce; and the answer to it, judged. Errors: Malformed, Denied (the authority refuses, or
/// its answer does not lead to the certificate).
Result<Bytes> timestamp_request(ByteView bytes);
Result<void> check_timestamp(ByteView request, ByteView answer, const std::string& ca_file);

}  // namespace sallyport::anchor
