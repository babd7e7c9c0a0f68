#include "cli/engine/training_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/process_memory.h"

namespace lowrank::cli {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<std::int64_t>(seconds + 0.5);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

bool has_loss(const training::TrainEvent& event) {
  return event.phase == "vae" || event.phase == "base" || event.phase == "lora";
}

}  // namespace

std::string progress_text(const training::TrainEvent& event, std::int64_t memory) {
  constexpr std::int64_t kWidth = 24;
  const std::int64_t done = event.steps > 0 ? kWidth * event.step / event.steps : 0;
  std::string text =
      fmt::format("{:<8}[{:#<{}}{:.<{}}] {}/{}", event.phase == "lora" ? "training" : event.phase, "", done,
                  "", kWidth - done, event.step, event.steps);
  if (has_loss(event)) text += fmt::format("  loss {:.4f}  rate {:.2g}", event.loss, event.learning_rate);
  if (event.steps_per_second > 0) {
    text += event.steps_per_second >= 1 ? fmt::format("  {:.2f}/s", event.steps_per_second)
                                        : fmt::format("  {:.1f} s each", 1 / event.steps_per_second);
    text += fmt::format("  {} left",
                        duration(static_cast<double>(event.steps - event.step) / event.steps_per_second));
  }
  if (memory > 0) text += fmt::format("  {:.1f} GB", static_cast<double>(memory) / 1e9);
  return text;
}

TrainingBar::TrainingBar(std::FILE* out) : out_(out), is_terminal_(isatty(fileno(out)) != 0) {}

void TrainingBar::show(const training::TrainEvent& event) {
  if (event.phase == "validation") return;  // told as a sentence
  const auto now = Clock::now();
  const bool is_last = event.step == event.steps;
  const auto pause = is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(30'000);
  if (!is_last && shown_ && now - *shown_ < pause) return;
  shown_ = now;
  if (is_terminal_) {
    log_line(out_, "\r\x1b[K{}", progress_text(event, resident_memory()));
    is_open_ = !is_last;
    if (is_last) {
      log_line(out_, "\n");
      shown_.reset();
    }
  } else {
    log_line(out_, "{}\n", progress_text(event, resident_memory()));
  }
  std::fflush(out_);
}

void TrainingBar::clear() {
  if (is_open_) log_line(out_, "\r\x1b[K");
  std::fflush(out_);
  is_open_ = false;
}

}  // namespace lowrank::cli
