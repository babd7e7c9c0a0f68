#include "sqlite/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <thread>
#include <utility>

namespace lowrank::sqlite {

struct Connection {
  sqlite3* handle = nullptr;
  std::string file;  // for errors
  OpenOptions options;

  ~Connection() { sqlite3_close_v2(handle); }
  [[noreturn]] void fail(int code) const;
  int try_execute(const std::string& sql) const {
    return sqlite3_exec(handle, sql.c_str(), nullptr, nullptr, nullptr);
  }
};

void Connection::fail(int code) const {
  const char* why = handle == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle);
  switch (code & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      throw Error(options.damaged, "{}: {} is damaged ({}); {}.", file, options.name, why,
                  options.if_damaged);
    case SQLITE_FULL:
      throw Error(kIo, "{}: the disk is full; free some space and try again.", file);
    case SQLITE_BUSY:
      throw Error(kIo, "{}: another process has been writing for {} seconds; try again.", file,
                  options.wait.count());
    case SQLITE_IOERR: {
      // The system knows more than "disk I/O error": a limit on file sizes, a disk that fails.
      const int reason = handle == nullptr ? 0 : sqlite3_system_errno(handle);
      throw Error(kIo, "{}: {} cannot be read or written ({}).", file, options.name,
                  reason == 0 ? why : std::strerror(reason));
    }
    case SQLITE_CANTOPEN:
      throw Error(kIo, "{}: {} cannot be opened ({}).", file, options.name, why);
    default:
      throw Error(kIo, "{}: {} cannot be used ({}).", file, options.name, why);
  }
}

Statement::Statement(const Connection& connection, std::string_view sql) : connection_(connection) {
  check(
      sqlite3_prepare_v2(connection.handle, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
}

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_), statement_(std::exchange(other.statement_, nullptr)) {}

void Statement::check(int code) const {
  if (code != SQLITE_OK) connection_.fail(code);
}

Statement& Statement::bind(int place, std::int64_t value) {
  check(sqlite3_bind_int64(statement_, place, value));
  return *this;
}

Statement& Statement::bind(int place, double value) {
  check(sqlite3_bind_double(statement_, place, value));
  return *this;
}

Statement& Statement::bind(int place, std::string_view text) {
  check(sqlite3_bind_text64(statement_, place, text.data() == nullptr ? "" : text.data(), text.size(),
                            SQLITE_TRANSIENT, SQLITE_UTF8));
  return *this;
}

Statement& Statement::bind_blob(int place, std::string_view bytes) {
  check(sqlite3_bind_blob64(statement_, place, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(),
                            SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::bind_null(int place) {
  check(sqlite3_bind_null(statement_, place));
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3_reset(statement_);
  connection_.fail(code);
}

int Statement::run() {
  while (step()) {
  }
  reset();
  return sqlite3_changes(connection_.handle);
}

void Statement::reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::number(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string Statement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

namespace {

// What SQLite writes beside the file takes over its rights.
void make_private(const std::filesystem::path& path) {
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  const int made = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (made < 0) return;  // opening it says why
  ::fchmod(made, S_IRUSR | S_IWUSR);
  ::close(made);
}

}  // namespace

Database::Database(const std::filesystem::path& path, OpenOptions options)
    : connection_(std::make_unique<Connection>()) {
  connection_->options = std::move(options);
  connection_->file = path.empty() ? connection_->options.name : path.string();
  if (connection_->options.is_private && !path.empty()) make_private(path);
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code =
      sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &connection_->handle, flags, nullptr);
  if (code != SQLITE_OK) connection_->fail(code);
  sqlite3_busy_timeout(connection_->handle,
                       static_cast<int>(std::chrono::milliseconds(connection_->options.wait).count()));
}

Database::~Database() = default;
Database::Database(Database&& other) noexcept = default;

void Database::execute(const std::string& sql) const {
  if (const int code = connection_->try_execute(sql); code != SQLITE_OK) connection_->fail(code);
}

void Database::execute_patiently(const std::string& sql) const {
  const auto end = std::chrono::steady_clock::now() + connection_->options.wait;
  int code = connection_->try_execute(sql);
  while ((code & 0xFF) == SQLITE_BUSY && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    code = connection_->try_execute(sql);
  }
  if (code != SQLITE_OK) connection_->fail(code);
}

std::int64_t Database::number(std::string_view sql) const {
  Statement statement = prepare(sql);
  return statement.step() ? statement.integer(0) : 0;
}

Transaction::Transaction(const Database& database) : database_(database) {
  database_.execute("BEGIN IMMEDIATE");
}

Transaction::~Transaction() {
  if (!is_open_) return;
  try {
    database_.execute("ROLLBACK");
  } catch (const Error&) {
    // SQLite has undone the transaction by itself (a full disk does that).
  }
}

void Transaction::commit() {
  database_.execute("COMMIT");
  is_open_ = false;
}

}  // namespace lowrank::sqlite
