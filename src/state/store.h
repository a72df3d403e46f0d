#pragma once
// The embedded state: one SQLite database (WAL, synchronous=FULL), one connection, one thread with an io_context of its
// own. Everything that touches the database runs on that thread; others send work to it and are resumed on theirs.
// Holds tokens (hashed), approvals and MCP sessions. Migrations are numbered and run at open; a database from a newer
// program is refused. Errors: Unavailable.
#include <sqlite3.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace sallyport::state {

/// A prepared statement; the store's thread only. An error while preparing or binding is kept and returned by the
/// first step(), so that a chain of calls needs one check. Values are copied: what was bound may go away at once.
class Statement {
 public:
  Statement(sqlite3* db, std::string_view sql);
  ~Statement();
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;

  // From 1. Text may hold NUL bytes and is never taken for SQL NULL, not even a default string_view.
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, const char* text) { return bind(index, std::string_view(text)); }
  Statement& bind(int index, const std::string& text) { return bind(index, std::string_view(text)); }
  template <std::integral Integer>
  Statement& bind(int index, Integer value) { return bind_integer(index, static_cast<std::int64_t>(value)); }
  Statement& bind_blob(int index, ByteView bytes);  // empty is an empty blob, not NULL
  Statement& bind_null(int index);

  /// True while there is a row. Errors: Unavailable with SQLite's words.
  Result<bool> step();
  /// Runs to the end. Errors: as step().
  Result<void> run();
  /// Forgets rows and bindings, keeps the prepared text.
  void reset();

  // From 0, of the current row. A NULL reads as 0, "" and no bytes.
  std::int64_t integer(int column) const;
  std::string text(int column) const;
  Bytes blob(int column) const;
  bool is_null(int column) const;

 private:
  Statement& bind_integer(int index, std::int64_t value);
  void keep(int code);
  sqlite3_stmt* statement_ = nullptr;
  sqlite3* db_ = nullptr;
  std::string error_;
};

class Database {
 public:
  static Result<std::unique_ptr<Database>> open(const std::string& path);  // ":memory:" for tests
  ~Database();
  Database(const Database&) = delete;
  Statement prepare(std::string_view sql) { return Statement(db_, sql); }
  /// One or more statements without parameters. Errors: Unavailable.
  Result<void> exec(const std::string& sql);
  /// Rows that the last INSERT, UPDATE or DELETE touched.
  std::int64_t changes() const;
  sqlite3* handle() { return db_; }

 private:
  explicit Database(sqlite3* db) : db_(db) {}
  sqlite3* db_;
};

/// Takes the write lock at once (BEGIN IMMEDIATE) and rolls back unless commit() said yes.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  /// False when it could not begin; commit() then returns the reason.
  bool began() const { return open_; }
  /// Errors: Unavailable; nothing of it is in the database then.
  Result<void> commit();

 private:
  Database& database_;
  bool open_ = false;
  std::string error_;
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
    struct Task {
      Work work;
      std::optional<std::invoke_result_t<Work, Database&>> out;
    };
    const auto task = std::make_shared<Task>(std::move(work), std::nullopt);
    co_await run_any([task](Database& db) { task->out.emplace(task->work(db)); });
    co_return std::move(*task->out);
  }

  /// The same for a coroutine that waits in between; it sees to its own order with others.
  template <class T>
  boost::asio::awaitable<T> host(boost::asio::awaitable<T> work) {
    const auto out = std::make_shared<std::optional<T>>();
    auto task = [](boost::asio::awaitable<T> inner, std::shared_ptr<std::optional<T>> into) -> boost::asio::awaitable<void> { into->emplace(co_await std::move(inner)); };
    co_await host_any(task(std::move(work), out));
    co_return std::move(**out);
  }

 private:
  // Without templates, for co_spawn is slow to compile.
  boost::asio::awaitable<void> run_any(std::function<void(Database&)> work);
  boost::asio::awaitable<void> host_any(boost::asio::awaitable<void> work);

  struct State;
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sallyport::state
