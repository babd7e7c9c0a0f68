// `lowrank contact-sheet`: several pictures on one, with captions.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "image/codec/codec.h"
#include "library/picture_files.h"
#include "library/picture_settings.h"
#include "prompt/infotext.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

// The first line of the picture's settings, without them the file's name.
std::string caption_of(const std::string& file) {
  const auto settings = library::settings_beside(file);
  if (!settings || settings->text.empty()) return fs::path(file).stem().string();
  return settings->text.substr(0, settings->text.find('\n'));
}

// An older sheet, or another picture of LowRank, is replaced; any other file stays, and so do the sheet's own parts.
fs::path save_sheet(const fs::path& file, const std::vector<std::string>& parts, const image::Picture& sheet,
                    const image::EncodeOptions& options) {
  std::error_code failure;
  const auto is_file = [&](const fs::path& part) { return fs::equivalent(part, file, failure); };
  if (std::ranges::none_of(parts, is_file) && library::is_own_picture(file)) {
    log_line(stderr, "warning: {}: an older LowRank picture was replaced.\n", file.string());
    image::save_picture(file, sheet, options);
    return file;
  }
  fs::path saved = image::save_new_picture(file, sheet, options);
  if (saved != file)
    log_line(stderr, "warning: {} already exists and was kept; the contact sheet was saved as {}.\n",
             file.string(), saved.string());
  return saved;
}

}  // namespace

int contact_sheet(const Invocation& invocation) {
  const fs::path output = invocation.value("output");
  const std::string extension = output.extension().string();
  const auto format = image::picture_format(extension.empty() ? "png" : extension.substr(1));
  std::vector<std::string> captions;
  if (const auto given = invocation.options.find("caption"); given != invocation.options.end())
    captions = given->second;
  if (captions.size() > invocation.positionals.size())
    throw Error(kBadInput, "{} captions were given for {} pictures; give at most one per picture.",
                captions.size(), invocation.positionals.size());
  std::vector<image::SheetCell> cells;
  std::int64_t pixels = 0;
  for (std::size_t i = 0; i < invocation.positionals.size(); ++i) {
    const std::string& file = invocation.positionals[i];
    cells.push_back({.picture = image::load_picture(file),
                     .caption = i < captions.size() ? captions[i] : caption_of(file)});
    pixels += static_cast<std::int64_t>(cells.back().picture.width) * cells.back().picture.height;
    if (pixels > 400'000'000)
      throw Error(kBadInput, "the pictures up to {} exceed 400 million pixels in total; make several sheets.",
                  file);
  }
  const int columns = std::min(invocation.whole_number("columns"), static_cast<int>(cells.size()));
  const fs::path saved =
      save_sheet(output, invocation.positionals, image::contact_sheet(cells, columns),
                 {.format = format, .quality = 90, .parameters = prompt::lowrank_mark(LOWRANK_VERSION)});
  fmt::print("{}  {} pictures\n", saved.string(), cells.size());
  return 0;
}

}  // namespace lowrank::cli
