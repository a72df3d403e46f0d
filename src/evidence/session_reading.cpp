#include "evidence/session_reading.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace sallyport::evidence {

using boost::asio::awaitable;

namespace {

constexpr int kMostWaiting = 16;
constexpr auto kLongest = std::chrono::seconds(50);  // below what clients and balancers wait
constexpr std::uint64_t kMostChunks = 1u << 14;

}  // namespace

SessionReading::~SessionReading() {
  ending_ = true;
  pool_.join();
}

awaitable<Result<std::string>> SessionReading::run(Work work) {
  if (waiting_.fetch_add(1) >= kMostWaiting) {
    --waiting_;
    co_return fail(ErrorKind::Overloaded, "too many read sessions just now; try again");
  }
  auto task = [](SessionReading& self, Work what) -> awaitable<Result<std::string>> {
    const auto until = std::chrono::steady_clock::now() + kLongest;
    const Stop stop = [&self, until] { return self.ending_ || std::chrono::steady_clock::now() > until; };
    CO_TRY(const auto reader, Reader::open(self.directory_));
    co_return what(reader, stop);
  };
  auto out = co_await boost::asio::co_spawn(pool_, task(*this, std::move(work)), boost::asio::use_awaitable);
  --waiting_;
  co_return out;
}

Result<std::string> payload_of(const Reader& reader, const Id16& session, std::uint64_t index, std::size_t most) {
  TRY(const auto entry, reader.entry(index));
  if (entry.session != session) return fail(ErrorKind::Denied, fmt::format("entry {} is not of that session", index));
  const auto* ref = entry.payload();
  if (ref == nullptr) return fail(ErrorKind::Denied, fmt::format("entry {} has no payload", index));
  if (ref->plain_bytes > most || ref->chunks > kMostChunks) return fail(ErrorKind::Overloaded, fmt::format("the payload has {} bytes; read it from the directory", ref->plain_bytes));
  TRY(const auto chunks, reader.chunks_of(entry));
  return reader.payload(session, *ref, chunks);
}

}  // namespace sallyport::evidence
