// SQLite behind three handles that clean up after themselves: a database, a statement, a transaction. SQLite's error
// codes end here, as Error naming the file and what can be done. What is stored, and its migrations, are the matter of
// who opens it.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace lowrank::sqlite {

struct OpenOptions {
  std::string name = "the database";  // in errors: "the index"
  // What is thrown where the file is damaged, and what its user can do then: "rebuild it with …".
  ErrorCode damaged = kIo;
  std::string if_damaged = "restore it from a copy, or delete it";
  // How long another process' writing is waited for.
  std::chrono::seconds wait = std::chrono::seconds(10);
  // The file, and what SQLite writes beside it, can be read by its owner alone; a missing folder is made.
  bool is_private = false;
};

struct Connection;

// One prepared statement. Must not outlive its database, which may be moved.
class Statement {
 public:
  Statement(const Connection& connection, std::string_view sql);
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
  int run();    // to the end, then ready to be bound anew; how many rows were changed
  void reset();

  // Columns of the row, from 0. NULL reads as 0 or "".
  std::int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  void check(int code) const;

  const Connection& connection_;
  sqlite3_stmt* statement_ = nullptr;
};

// One connection; not for several threads at once.
class Database {
 public:
  // Opens or creates the file; an empty path is a database in memory. Throws Error(kIo), and Error(options.damaged)
  // when what it finds is damaged; so do all statements.
  explicit Database(const std::filesystem::path& path, OpenOptions options = {});
  ~Database();
  Database(Database&& other) noexcept;
  Database& operator=(Database&&) = delete;

  Statement prepare(std::string_view sql) const { return Statement(*connection_, sql); }
  void execute(const std::string& sql) const;  // several statements, no results
  // One statement, tried again as long as options.wait where SQLite gives up at once instead of waiting for another
  // process: a change of the journal's mode.
  void execute_patiently(const std::string& sql) const;
  // Of "SELECT one number".
  std::int64_t number(std::string_view sql) const;

 private:
  std::unique_ptr<Connection> connection_;
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

}  // namespace lowrank::sqlite
