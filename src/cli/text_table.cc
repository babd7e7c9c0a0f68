#include "cli/text_table.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cli/help.h"

namespace lowrank::cli {
namespace {

std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// The first `width` characters, with "…" in place of the last when something is cut.
std::string cut(const std::string& text, std::size_t width) {
  if (length_of(text) <= width) return text;
  std::size_t end = 0;
  for (std::size_t count = 0; end < text.size(); ++end) {
    if ((text[end] & 0xC0) == 0x80) continue;
    if (++count >= width) break;
  }
  return text.substr(0, end) + "…";
}

}  // namespace

std::string text_table(const std::vector<std::string>& head, std::vector<std::vector<std::string>> rows) {
  rows.insert(rows.begin(), head);
  std::vector<std::size_t> widths(head.size(), 0);
  for (auto& row : rows)
    for (std::size_t i = 0; i < head.size(); ++i) {
      row[i] = printable(row[i]);
      std::ranges::replace(row[i], '\n', ' ');
      std::ranges::replace(row[i], '\t', ' ');
      widths[i] = std::max(widths[i], length_of(row[i]));
    }
  if (isatty(STDOUT_FILENO) != 0) {
    const auto total = [&] {
      std::size_t sum = 2 * (widths.size() - 1);
      for (const auto width : widths) sum += width;
      return sum;
    };
    while (total() > terminal_width()) {
      auto& widest = *std::ranges::max_element(widths);
      if (widest <= 8) break;
      --widest;
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string cell = cut(row[i], widths[i]);
      line += cell;
      if (i + 1 < row.size()) line += std::string(widths[i] - length_of(cell) + 2, ' ');
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace lowrank::cli
