// One line on the terminal that tells how far bytes or files have come. Off a terminal it says something only
// every few seconds.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

#include "base/progress.h"

namespace lowrank::cli {

class ProgressLine : public Progress {
 public:
  explicit ProgressLine(std::FILE* out);  // nullptr: silent
  ~ProgressLine() override { clear(); }

  void update(std::string_view phase, std::int64_t done, std::int64_t total) override;
  void clear();  // before other text is printed

  // "hashing 1.2 GB of 3.4 GB [####    ]".
  static std::string text(std::string_view phase, std::int64_t done, std::int64_t total);

 private:
  std::FILE* out_;
  bool is_terminal_;
  bool is_drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace lowrank::cli
