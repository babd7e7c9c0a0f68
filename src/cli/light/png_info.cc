// `lowrank png-info`: the settings that a picture carries.
#include <fmt/format.h>

#include "cli/infotext_source.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/text_table.h"
#include "library/picture_settings.h"

namespace lowrank::cli {
namespace {

nlohmann::ordered_json to_json(const std::string& file, const prompt::PictureSettings& settings) {
  const prompt::Infotext& infotext = settings.infotext;
  nlohmann::ordered_json entries = nlohmann::ordered_json::object();
  for (const auto& [key, value] : infotext.entries) entries[key] = value;
  return {
      {"file", file},           {"prompt", infotext.prompt},   {"negative_prompt", infotext.negative_prompt},
      {"entries", entries},     {"parameters", settings.text}, {"generator", settings.generator},
      {"notes", settings.notes}};
}

}  // namespace

int png_info(const Invocation& invocation) {
  const auto& files = invocation.positionals;
  auto list = nlohmann::ordered_json::array();
  for (const auto& file : files) {
    const prompt::PictureSettings settings = library::load_settings(file);
    if (invocation.has("json")) {
      list.push_back(to_json(file, settings));
    } else {
      if (files.size() > 1) fmt::print("{}{}:\n", &file == &files.front() ? "" : "\n", file);
      fmt::print("{}\n", printable(settings.text));
      print_notes(file, settings);
    }
  }
  if (invocation.has("json")) print_json(files.size() == 1 ? list.front() : list);
  return 0;
}

}  // namespace lowrank::cli
