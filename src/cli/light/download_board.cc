#include "cli/light/download_board.h"

#include <fmt/format.h>
#include <unistd.h>

#include "cli/help.h"
#include "cli/light/progress_line.h"
#include "cli/text_table.h"

namespace lowrank::cli {

using Clock = std::chrono::steady_clock;

DownloadBoard::DownloadBoard(std::FILE* out, std::size_t count)
    : out_(out), is_terminal_(out != nullptr && isatty(fileno(out)) != 0), rows_(count) {}

std::string DownloadBoard::text(const Row& row) {
  const double seconds = std::chrono::duration<double>(Clock::now() - row.started).count();
  const auto fetched = static_cast<double>(row.done - row.at_start);
  const std::string speed =
      seconds > 0.5 ? fmt::format(", {}/s", size_text(static_cast<std::uint64_t>(fetched / seconds))) : "";
  // The label is cut, so that one row is one line.
  std::string label = printable(row.label);
  if (label.size() > terminal_width() / 2) label.resize(terminal_width() / 2);
  return ProgressLine::text(label, static_cast<std::int64_t>(row.done),
                            static_cast<std::int64_t>(row.total)) +
         speed;
}

void DownloadBoard::update(std::size_t place, const std::string& label, std::uint64_t done,
                           std::uint64_t total) {
  if (out_ == nullptr) return;
  const std::scoped_lock lock(mutex_);
  Row& row = rows_[place];
  if (!row.is_running) {
    row.is_running = true;
    row.label = label;
    row.started = Clock::now();
    row.at_start = done;
  }
  row.done = done;
  row.total = total;
  const auto now = Clock::now();
  if (now - last_ < (is_terminal_ ? std::chrono::milliseconds(150) : std::chrono::milliseconds(5000))) return;
  // Off a terminal short downloads are silent.
  const bool is_first = last_ == Clock::time_point{};
  last_ = now;
  if (is_first && !is_terminal_) return;
  draw();
}

void DownloadBoard::draw() {
  erase_drawn();
  for (const Row& row : rows_) {
    if (!row.is_running) continue;
    fmt::print(out_, "{}\n", text(row));
    ++drawn_;
  }
  if (!is_terminal_) drawn_ = 0;
  std::fflush(out_);
}

void DownloadBoard::erase_drawn() {
  for (; drawn_ > 0; --drawn_) fmt::print(out_, "\x1b[1A\x1b[2K");
}

void DownloadBoard::finish(std::size_t place) {
  const std::scoped_lock lock(mutex_);
  rows_[place].is_running = false;
}

void DownloadBoard::clear() {
  if (out_ == nullptr) return;
  const std::scoped_lock lock(mutex_);
  erase_drawn();
  std::fflush(out_);
}

}  // namespace lowrank::cli
