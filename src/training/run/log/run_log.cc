#include "training/run/log/run_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <ctime>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/text.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

constexpr const char *kSteps = "steps.csv", *kValidation = "validation.csv";
constexpr const char* kStepsHead = "step,epoch,loss,average_loss,learning_rate,seconds\n";
constexpr const char* kValidationHead = "step,loss\n";

// Keeps the lines of steps that count, and drops a last one that was cut short.
void take_back(const fs::path& file, const char* head, std::int64_t done) {
  std::string kept = head;
  std::error_code failure;
  if (fs::is_regular_file(file, failure)) {
    const std::string text = read_file(file, std::size_t{1} << 30);
    for (std::size_t from = 0, end; (end = text.find('\n', from)) != std::string::npos; from = end + 1) {
      const std::string_view line = std::string_view(text).substr(from, end - from);
      const auto step = parse_integer(line.substr(0, line.find(',')));
      if (step && *step <= done) kept += std::string(line) + "\n";
    }
  }
  write_file(file, kept);
}

}  // namespace

RunLog::RunLog(RunLogOptions options)
    : options_(std::move(options)), events_(options_.folder, options_.done + 1) {
  take_back(options_.folder / kSteps, kStepsHead, options_.done);
  take_back(options_.folder / kValidation, kValidationHead, options_.done);
  steps_.open(options_.folder / kSteps, std::ios::app);
  validation_.open(options_.folder / kValidation, std::ios::app);
}

void RunLog::note(const TrainEvent& event) {
  if (event.phase == "lora") step(event);
  if (event.phase == "validation") {
    // A resumed run validates the step of its state once more.
    if (event.step > options_.done)
      write(validation_, kValidation, fmt::format("{},{}\n", event.step, event.step_loss));
    events_.scalars(event.step, {{"loss/validation/step_average", event.step_loss}});
  }
}

void RunLog::step(const TrainEvent& event) {
  const std::int64_t epoch = (event.step - 1) / options_.steps_per_epoch + 1;
  const double seconds = event.seconds;
  write(steps_, kSteps,
        fmt::format("{},{},{},{},{},{:.3f}\n", event.step, epoch, event.step_loss, event.loss,
                    event.learning_rate, seconds));
  std::vector<ScalarPoint> points = {{"loss/current", event.step_loss}, {"loss/average", event.loss}};
  for (const auto& rate : options_.rates) points.push_back({rate.tag, rate.value * event.rate_factor});
  epoch_sum_ += event.step_loss;
  ++epoch_steps_;
  events_.scalars(event.step, points);
  if (event.step % options_.steps_per_epoch != 0) return;
  // The mean of part of an epoch, behind a resume, would be another figure.
  if (epoch_steps_ == options_.steps_per_epoch)
    events_.scalars(epoch, {{"loss/epoch_average", epoch_sum_ / static_cast<double>(epoch_steps_)}});
  epoch_sum_ = 0;
  epoch_steps_ = 0;
}

void RunLog::picture(std::int64_t step, const std::string& tag, std::int64_t width, std::int64_t height,
                     std::string_view png) {
  events_.picture(step, tag, width, height, png);
}

void RunLog::write(std::ofstream& out, const char* name, const std::string& line) const {
  out << line << std::flush;
  if (!out)
    throw Error(kIo, "{}: cannot be written; free space on the disk, or choose another --logging-dir.",
                (options_.folder / name).string());
}

fs::path log_folder(const fs::path& logging_dir, const std::string& prefix, std::int64_t started_at) {
  return logging_dir /
         (prefix + fmt::format("{:%Y%m%d%H%M%S}", fmt::gmtime(static_cast<std::time_t>(started_at))));
}

}  // namespace lowrank::training
