#pragma once
// Snapshots of the targets' catalogs (sql/schema.h), read over a connection of the gateway's own as the target's user,
// kept a while and read anew after DDL. Needed before the first statement is judged: names become qualified, masked
// columns become known. One a worker, on its thread only. Errors: Unavailable; the old snapshot then stays.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <atomic>
#include <map>
#include <memory>
#include <string>

#include "sql/schema.h"
#include "target/catalog.h"

namespace sallyport::protocol::postgres {

class Catalogs {
 public:
  /// How much DDL has passed, on any worker; shared by all.
  using Changes = std::shared_ptr<std::atomic<std::uint64_t>>;
  Catalogs(boost::asio::io_context& context, Changes changes) : context_(context), changes_(std::move(changes)) {}

  /// Of one database of a target; read when there is none and after DDL. One older than a minute is read anew in the
  /// background, for DDL that did not pass here.
  boost::asio::awaitable<Result<sql::SchemaPtr>> get(const target::Target& target, const target::PostgresTarget& server, std::string database);
  /// DDL has passed: what is known may be wrong.
  void changed() { changes_->fetch_add(1); }
  /// A text names what no snapshot has: DDL may have passed elsewhere. Read anew, at most once a second.
  void doubted();
  /// Grows with every changed(): a session compares it before it judges.
  std::uint64_t changes() const { return changes_->load(); }
  void clear() { kept_.clear(); }

 private:
  struct Kept {
    sql::SchemaPtr schema;
    std::int64_t read_mono_ns = 0;
    std::uint64_t changes = 0;                  // as they were when it was read
    std::shared_ptr<boost::asio::steady_timer> reading;  // cancelled when the reading that runs has ended
    Error failed;
  };
  boost::asio::io_context& context_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<Kept>> kept_;
  Changes changes_;
  std::int64_t doubted_ns_ = INT64_MIN / 2;

  boost::asio::awaitable<Result<void>> read(std::shared_ptr<Kept> kept, target::Target target, target::PostgresTarget server, std::string database);
};

}  // namespace sallyport::protocol::postgres
