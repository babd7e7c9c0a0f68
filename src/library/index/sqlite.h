// SQLite behind three handles that clean up after themselves: a database, a statement, a transaction.
// SQLite's error codes end here, as Error naming the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace lowrank::library {

class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql);
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  // Binds by place, from 1. Texts and blobs are copied; a text may hold any bytes.
  Statement& bind(int place, std::int64_t value);
  Statement& bind(int place, int value) { return bind(place, static_cast<std::int64_t>(value)); }
  Statement& bind(int place, double value);
  Statement& bind(int place, std::string_view text);
  Statement& bind(int place, const std::string& text) { return bind(place, std::string_view(text)); }
  Statement& bind(int place, const char* text) { return bind(place, std::string_view(text)); }
  Statement& bind_blob(int place, std::string_view bytes);
  Statement& bind_null(int place);

  bool step();  // true: there is a row
  void run();   // to the end, then ready to be bound anew
  void reset();

  // Columns of the row, from 0. NULL reads as 0 or "".
  std::int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
};

enum class Access { kWrite, kMemory };

class Database {
 public:
  // Opens or creates the file; kMemory ignores the path. Waits up to ten seconds for another process'
  // writing. Throws Error(kIo), and Error(kConflict) when what it finds is damaged; so do all statements.
  Database(const std::filesystem::path& path, Access access);
  ~Database();
  Database(Database&& other) noexcept;
  Database& operator=(Database&&) = delete;

  Statement prepare(std::string_view sql) const { return Statement(handle_, sql); }
  void execute(const std::string& sql) const;  // several statements, no results
  // One statement, tried again for ten seconds where SQLite gives up at once instead of waiting for another process: a
  // change of the journal's mode.
  void execute_patiently(const std::string& sql) const;
  // Of "SELECT one number".
  std::int64_t number(std::string_view sql) const;

 private:
  sqlite3* handle_ = nullptr;
};

// Writes made while it lives are undone unless commit() was called. Takes the write lock at once.
class Transaction {
 public:
  explicit Transaction(const Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  const Database& database_;
  bool is_open_ = true;
};

}  // namespace lowrank::library
