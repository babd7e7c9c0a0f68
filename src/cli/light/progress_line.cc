#include "cli/light/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/text_table.h"

namespace lowrank::cli {
namespace {

// Counts below this are files, above it bytes.
constexpr std::int64_t kFewest = 1'000'000;

std::string amount(std::int64_t value, std::int64_t total) {
  return total < kFewest ? fmt::format("{}", value) : size_text(static_cast<std::uint64_t>(value));
}

}  // namespace

ProgressLine::ProgressLine(std::FILE* out)
    : out_(out), is_terminal_(out != nullptr && isatty(fileno(out)) != 0) {}

std::string ProgressLine::text(std::string_view phase, std::int64_t done, std::int64_t total) {
  constexpr std::int64_t kWidth = 24;
  if (total <= 0) return fmt::format("{} {}", phase, amount(done, kFewest));
  const auto filled = static_cast<std::size_t>(std::min(kWidth, done * kWidth / total));
  return fmt::format("{} {} of {} [{}{}]", phase, amount(done, total), amount(total, total),
                     std::string(filled, '#'), std::string(static_cast<std::size_t>(kWidth) - filled, ' '));
}

void ProgressLine::update(std::string_view phase, std::int64_t done, std::int64_t total) {
  if (out_ == nullptr) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < (is_terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000))) return;
  // The first call only sets the clock: short work shows nothing.
  const bool is_first = last_ == std::chrono::steady_clock::time_point{};
  last_ = now;
  if (is_first) return;
  if (is_terminal_) {
    fmt::print(out_, "\r\x1b[K{}", text(phase, done, total));
    is_drawn_ = true;
  } else {
    fmt::print(out_, "{}\n", text(phase, done, total));
  }
  std::fflush(out_);
}

void ProgressLine::clear() {
  if (is_drawn_) {
    fmt::print(out_, "\r\x1b[K");
    std::fflush(out_);
  }
  is_drawn_ = false;
}

}  // namespace lowrank::cli
