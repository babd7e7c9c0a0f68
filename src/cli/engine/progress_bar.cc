#include "cli/engine/progress_bar.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include "base/log_line.h"

namespace lowrank::cli {
namespace {

std::string duration(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  return s < 3600 ? fmt::format("{}:{:02} min", s / 60, s % 60)
                  : fmt::format("{}:{:02} h", s / 3600, s / 60 % 60);
}

}  // namespace

ProgressBar::ProgressBar(std::FILE* out) : out_(out), is_terminal_(isatty(fileno(out)) != 0) {}

std::string ProgressBar::text(const pipeline::StepEvent& event, int bar_width) {
  std::string line;
  if (event.batches > 1) line += fmt::format("batch {}/{} ", event.batch + 1, event.batches);
  if (event.pass > 0) line += "hires fix ";
  const double per_second = event.seconds > 0 ? event.step / event.seconds : 0;
  const std::string speed = per_second >= 1 || per_second == 0 ? fmt::format("{:.2f} steps/s", per_second)
                                                               : fmt::format("{:.1f} s/step", 1 / per_second);
  if (event.steps == 0) return line + fmt::format("step {}, {}", event.step, speed);
  const int done = std::min(bar_width, event.step * bar_width / event.steps);
  line += fmt::format("step {}/{} ", event.step, event.steps);
  if (bar_width > 0)
    line += fmt::format("[{}{}] ", std::string(static_cast<std::size_t>(done), '#'),
                        std::string(static_cast<std::size_t>(bar_width - done), ' '));
  const double left = per_second > 0 ? (event.steps - event.step) / per_second : 0;
  return line + fmt::format("{}, {} left", speed, duration(left));
}

void ProgressBar::show(const pipeline::StepEvent& event) {
  const std::string series =
      series_.second > 1 ? fmt::format("picture {}/{} ", series_.first, series_.second) : "";
  if (is_terminal_) {
    log_line(out_, "\r\x1b[K{}{}", series, text(event, 24));
    drawn_ = true;
    if (event.step == event.steps) {
      log_line(out_, "\n");
      drawn_ = false;
    }
    std::fflush(out_);
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (event.step != event.steps && now - last_line_ < std::chrono::seconds(5)) return;
  last_line_ = now;
  log_line(out_, "{}{}\n", series, text(event, 0));
  std::fflush(out_);
}

void ProgressBar::show_layers(std::int64_t done, std::int64_t total) {
  const auto now = std::chrono::steady_clock::now();
  if (!is_terminal_ && now - last_line_ < std::chrono::seconds(5)) return;
  last_line_ = now;
  log_line(out_, "{}decomposing layer {}/{}{}", is_terminal_ ? "\r\x1b[K" : "", done, total,
           is_terminal_ ? "" : "\n");
  drawn_ = is_terminal_;
  std::fflush(out_);
}

void ProgressBar::clear() {
  if (drawn_) log_line(out_, "\r\x1b[K");
  if (drawn_) std::fflush(out_);
  drawn_ = false;
}

}  // namespace lowrank::cli
