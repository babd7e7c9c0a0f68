// What a run leaves for charts: a folder with TensorBoard's event files and the same figures as CSV. The names of the
// charts are kohya's.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "training/run/log/event_file.h"
#include "training/run/run_control.h"

namespace lowrank::training {

struct RunLogOptions {
  std::filesystem::path folder;  // of this run; a run that goes on has the one with which it began
  std::int64_t done = 0;         // finished steps: what the folder says of later ones is taken back
  std::int64_t steps_per_epoch = 1;
  // Learning rates at their peak, by chart: {"lr/unet", 1e-4}.
  std::vector<ScalarPoint> rates = {};
};

// steps.csv: step, epoch, loss, average_loss, learning_rate, seconds. validation.csv: step, loss. Throws Error(kIo)
// naming the file.
class RunLog {
 public:
  explicit RunLog(RunLogOptions options);

  // Of phase "lora": a finished step. Of phase "validation": its loss. Others leave nothing.
  void note(const TrainEvent& event);
  void picture(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
               std::string_view png);

 private:
  void step(const TrainEvent& event);
  void write(std::ofstream& out, const char* name, const std::string& line) const;

  RunLogOptions options_;
  EventFile events_;
  std::ofstream steps_, validation_;
  double epoch_sum_ = 0;
  std::int64_t epoch_steps_ = 0;
};

// LOGGING_DIR/PREFIX20260131235959 in UTC: as kohya names it, by the time at which the run began.
std::filesystem::path log_folder(const std::filesystem::path& logging_dir, const std::string& prefix,
                                 std::int64_t started_at);

}  // namespace lowrank::training
