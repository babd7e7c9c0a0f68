// Bars of several downloads at once, one line each on a terminal; elsewhere a line now and then.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

namespace lowrank::cli {

// Safe to call from several threads.
class DownloadBoard {
 public:
  DownloadBoard(std::FILE* out, std::size_t count);  // out nullptr: silent
  void update(std::size_t place, const std::string& label, std::uint64_t done, std::uint64_t total);
  void finish(std::size_t place);
  void clear();

 private:
  struct Row {
    std::string label;
    std::uint64_t done = 0, total = 0;
    bool is_running = false;
    std::chrono::steady_clock::time_point started{};
    std::uint64_t at_start = 0;  // bytes that lay there already
  };
  void draw();  // mutex_ is held
  void erase_drawn();
  static std::string text(const Row& row);

  std::FILE* out_;
  bool is_terminal_;
  std::mutex mutex_;  // guards all below
  std::vector<Row> rows_;
  std::size_t drawn_ = 0;  // lines on the terminal
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace lowrank::cli
