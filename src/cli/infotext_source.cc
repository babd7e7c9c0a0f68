#include "cli/infotext_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.h"
#include "base/log_line.h"
#include "base/text/text.h"
#include "cli/text_table.h"
#include "library/picture_settings.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

// "fox.png", "out/fox.txt" and "./fox", but not "a fox, <lora:x:1>".
bool looks_like_file(const std::string& text) {
  for (const char* begin : {"/", "./", "../", "~/"})
    if (text.starts_with(begin) && text.find_first_of("<>\n") == std::string::npos) return true;
  const std::string ending = lower(fs::path(text).extension().string());
  constexpr std::string_view kEndings[] = {".png", ".jpg", ".jpeg", ".webp", ".txt", ".json", ".gif"};
  return std::ranges::find(kEndings, ending) != std::end(kEndings) &&
         text.find_first_of("<>,\n") == std::string::npos;
}

}  // namespace

prompt::PictureSettings settings_of(const std::string& file_or_text) {
  std::error_code failure;
  // Long prompts are no file names, and asking the system for one is an error of its own.
  if (file_or_text.size() <= 4096 && fs::is_regular_file(file_or_text, failure))
    return library::load_settings(file_or_text);
  if (file_or_text.size() <= 4096 && looks_like_file(file_or_text))
    throw Error(kNotFound, "{}: no such file.", file_or_text);
  return prompt::settings_of_text(file_or_text);
}

void print_notes(const std::string& source, const prompt::PictureSettings& settings) {
  for (const std::string& note : settings.notes)
    log_line(stderr, "note: {}: {}\n", printable(source.substr(0, source.find('\n'))), printable(note));
}

}  // namespace lowrank::cli
