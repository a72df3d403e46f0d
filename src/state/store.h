#pragma once
// The embedded state: one SQLite database (WAL, synchronous=FULL), one connection, one thread with an io_context of its
// own. Everything that touches the database runs on that thread; others send work to it and are resumed on theirs.
// Holds tokens (hashed), approvals and MCP sessions. Migrations are numbered and run at open; a database from a newer
// program is refused. Errors: Unavailable.
#include <sqlite3.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::state {

/// A prepared statement; the store's thread only.
class Statement {
 public:
  Statement(sqlite3* db, std::string_view sql);
  ~Statement();
  Statement(Statement&&) noexcept;
  Statement& bind(int index, std::string_view text);   // from 1
  Statement& bind(int index, std::int64_t value);
  Statement& bind_blob(int index, ByteView bytes);
  /// True while there is a row. Errors: Unavailable with SQLite's words.
  Result<bool> step();
  std::int64_t integer(int column) const;               // from 0
  std::string text(int column) const;
  Bytes blob(int column) const;

 private:
  sqlite3_stmt* statement_ = nullptr;
  sqlite3* db_ = nullptr;
};

class Database {
 public:
  static Result<std::unique_ptr<Database>> open(const std::string& path);  // ":memory:" for tests
  ~Database();
  Statement prepare(std::string_view sql) { return Statement(db_, sql); }
  Result<void> exec(const std::string& sql);
  sqlite3* handle() { return db_; }

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

class Store {
 public:
  static Result<std::unique_ptr<Store>> open(const std::string& path);
  ~Store();  // finishes what was sent, joins the thread
  boost::asio::io_context& context();
  Database& database();  // the store's thread only

  /// Runs `work(Database&)` on the store's thread and resumes the caller on its own with what it returned.
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work, Database&>> run(Work work) {
    auto task = [](Database& db, Work w) -> boost::asio::awaitable<std::invoke_result_t<Work, Database&>> {
      co_return w(db);
    };
    co_return co_await boost::asio::co_spawn(context(), task(database(), std::move(work)), boost::asio::use_awaitable);
  }

 private:
  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::state
