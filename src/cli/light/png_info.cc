// `lowrank png-info`: the settings that a picture carries.
#include <fmt/format.h>

#include "base/error.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/text_table.h"
#include "image/codec.h"
#include "prompt/infotext.h"

namespace lowrank::cli {
namespace {

std::string settings_of(const std::string& file) {
  const auto text = image::load_parameters(file);
  if (!text) throw Error(kBadInput, "{}: holds no settings; only pictures saved with them do.", file);
  return *text;
}

nlohmann::ordered_json to_json(const std::string& file, const std::string& text) {
  const prompt::Infotext infotext = prompt::parse_infotext(text);
  nlohmann::ordered_json entries = nlohmann::ordered_json::object();
  for (const auto& [key, value] : infotext.entries) entries[key] = value;
  return {{"file", file},
          {"prompt", infotext.prompt},
          {"negative_prompt", infotext.negative_prompt},
          {"entries", entries},
          {"parameters", text}};
}

}  // namespace

int png_info(const Invocation& invocation) {
  const auto& files = invocation.places;
  auto list = nlohmann::ordered_json::array();
  for (const auto& file : files) {
    const std::string text = settings_of(file);
    if (invocation.has("json")) {
      list.push_back(to_json(file, text));
    } else {
      if (files.size() > 1) fmt::print("{}{}:\n", &file == &files.front() ? "" : "\n", file);
      fmt::print("{}\n", printable(text));
    }
  }
  if (invocation.has("json")) print_json(files.size() == 1 ? list.front() : list);
  return 0;
}

}  // namespace lowrank::cli
