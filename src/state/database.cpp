#include <limits>

#include "state/schema.h"
#include "state/store.h"

namespace sallyport::state {

namespace {

std::unexpected<Error> unavailable(sqlite3* db, std::string_view doing) {
  const char* words = db != nullptr ? sqlite3_errmsg(db) : "out of memory";
  return fail(ErrorKind::Unavailable, fmt::format("state database: {}: {}", doing, words));
}

}  // namespace

Statement::Statement(sqlite3* db, std::string_view sql) : db_(db) {
  if (sql.size() > 1u << 20) {
    error_ = "statement is too long";
    return;
  }
  keep(sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
}

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)), db_(other.db_), error_(std::move(other.error_)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this == &other) return *this;
  sqlite3_finalize(statement_);
  statement_ = std::exchange(other.statement_, nullptr);
  db_ = other.db_;
  error_ = std::move(other.error_);
  return *this;
}

void Statement::keep(int code) {
  if (code != SQLITE_OK && error_.empty()) error_ = sqlite3_errmsg(db_);
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL; an empty string is not that.
  const char* data = text.data() != nullptr ? text.data() : "";
  keep(sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_integer(int index, std::int64_t value) {
  keep(sqlite3_bind_int64(statement_, index, value));
  return *this;
}

Statement& Statement::bind_blob(int index, ByteView bytes) {
  keep(bytes.empty() ? sqlite3_bind_zeroblob(statement_, index, 0)
                     : sqlite3_bind_blob64(statement_, index, bytes.data(), bytes.size(), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null(int index) {
  keep(sqlite3_bind_null(statement_, index));
  return *this;
}

Result<bool> Statement::step() {
  if (!error_.empty()) return fail(ErrorKind::Unavailable, "state database: " + error_);
  if (statement_ == nullptr) return fail(ErrorKind::Unavailable, "state database: empty statement");
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return unavailable(db_, "running a statement");
}

Result<void> Statement::run() {
  for (;;) {
    TRY(const bool row, step());
    if (!row) return {};
  }
}

void Statement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(statement_, column); }

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

std::string Statement::text(int column) const {
  // Text first, then its length: the other order may measure another encoding (SQLite, "Result Values From A Query").
  const auto* data = sqlite3_column_text(statement_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return data == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(data), size);
}

Bytes Statement::blob(int column) const {
  const auto* data = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return data == nullptr ? Bytes() : Bytes(data, data + size);
}

Result<std::unique_ptr<Database>> Database::open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle,
                                   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return unavailable(handle, "opening " + path);
  sqlite3_busy_timeout(handle, 5000);  // the command line may hold the write lock for a moment
  sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  // FULL in WAL mode: a commit is on the disk when it returns, so an approval that was used stays used after a power cut.
  TRY_VOID(database->exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
                          "PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON;"));
  return database;
}

Database::~Database() { sqlite3_close_v2(db_); }

Result<void> Database::exec(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return unavailable(db_, "running a statement");
  return {};
}

std::int64_t Database::changes() const { return sqlite3_changes64(db_); }

Transaction::Transaction(Database& database) : database_(database) {
  auto begun = database_.exec("BEGIN IMMEDIATE");
  open_ = begun.has_value();
  if (!begun) error_ = begun.error().what;
}

Transaction::~Transaction() {
  // A failed statement may have rolled back by itself (disk full); then there is nothing left to undo.
  if (open_ && sqlite3_get_autocommit(database_.handle()) == 0) (void)database_.exec("ROLLBACK");
}

Result<void> Transaction::commit() {
  if (!open_) return fail(ErrorKind::Unavailable, error_.empty() ? "state database: the transaction has ended" : error_);
  if (sqlite3_get_autocommit(database_.handle()) != 0) {
    open_ = false;
    return fail(ErrorKind::Unavailable, "state database: the transaction was rolled back by an earlier error");
  }
  TRY_VOID(database_.exec("COMMIT"));  // on failure the destructor rolls back
  open_ = false;
  return {};
}

}  // namespace sallyport::state
