// Lines for people who watch: warnings, progress, access logs. fmt::print() throws when its file cannot be written, as on a
// full disk; that is no reason to end a picture or a server.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

namespace lowrank {

// Formats and writes to `out`. What cannot be written is lost.
template <typename... Args>
void log_line(std::FILE* out, fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    const std::string text = fmt::format(format, std::forward<Args>(args)...);
    std::fwrite(text.data(), 1, text.size(), out);
  } catch (...) {
  }
}

}  // namespace lowrank
