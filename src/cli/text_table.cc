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

std::string printable(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto c = static_cast<unsigned char>(out[i]);
    const bool is_c1 = c == 0xC2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xA0;
    if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F) out[i] = '?';
    if (is_c1) out.replace(i, 2, "?");
  }
  return out;
}

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

std::string size_text(std::uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  const double number = static_cast<double>(bytes);
  if (number < 1e6) return fmt::format("{:.1f} kB", number / 1e3);
  if (number < 1e9) return fmt::format("{:.1f} MB", number / 1e6);
  return fmt::format("{:.2f} GB", number / 1e9);
}

}  // namespace lowrank::cli
