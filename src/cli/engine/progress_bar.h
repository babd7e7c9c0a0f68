// How far a generation is: a bar that redraws itself on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <utility>

#include "pipeline/result.h"

namespace lowrank::cli {

class ProgressBar {
 public:
  explicit ProgressBar(std::FILE* out);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(const pipeline::StepEvent& event);
  // "decomposing layer 12/128".
  void show_layers(std::int64_t done, std::int64_t total);
  // Wipes an unfinished bar from the terminal before something else is printed.
  void clear();

  // From now on the pictures of request `number` of `count` are made; "picture 3/12 " stands in front.
  void set_series(std::size_t number, std::size_t count) { series_ = {number, count}; }

  // "step 5/20 [#####               ] 1.25 steps/s, 12 s left"; with several batches "batch 2/3 ", in the second pass of
  // hires fix "hires fix " stands in front.
  static std::string text(const pipeline::StepEvent& event, int bar_width);

 private:
  std::FILE* out_;
  bool is_terminal_;
  bool drawn_ = false;
  std::pair<std::size_t, std::size_t> series_ = {0, 0};
  std::chrono::steady_clock::time_point last_line_ = std::chrono::steady_clock::now();
};

}  // namespace lowrank::cli
