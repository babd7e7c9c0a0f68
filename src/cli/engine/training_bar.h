// How far a training is: a bar that redraws itself on a terminal, a line now and then elsewhere. It tells loss, learning
// rate, speed, time left and memory.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "training/run/run_control.h"

namespace lowrank::cli {

class TrainingBar {
 public:
  explicit TrainingBar(std::FILE* out);
  ~TrainingBar() { clear(); }
  TrainingBar(const TrainingBar&) = delete;
  TrainingBar& operator=(const TrainingBar&) = delete;

  void show(const training::TrainEvent& event);
  // Makes room for a line of text.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::FILE* out_;
  bool is_terminal_, is_open_ = false;
  std::optional<Clock::time_point> shown_;
};

// One line of it, without the end of a line; `memory` in bytes, 0: not known.
std::string progress_text(const training::TrainEvent& event, std::int64_t memory);

}  // namespace lowrank::cli
