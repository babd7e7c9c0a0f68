// `lowrank train presets`: what each preset of a training chooses, and why.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/text_table.h"
#include "request/training/lora_presets.h"

namespace lowrank::cli {
namespace {

void print_preset(const request::LoraPreset& preset) {
  fmt::print("{}\n  {}\n", preset.name, preset.help);
  std::vector<std::vector<std::string>> rows;
  for (const auto& option : preset.options)
    rows.push_back({fmt::format("  --{}", option.flag), std::string(option.value), std::string(option.why)});
  fmt::print("{}\n", text_table({"  option", "value", "why"}, rows));
}

nlohmann::ordered_json preset_json(const request::LoraPreset& preset) {
  auto options = nlohmann::ordered_json::array();
  for (const auto& option : preset.options)
    options.push_back({{"option", option.flag}, {"value", option.value}, {"why", option.why}});
  return {{"name", preset.name}, {"help", preset.help}, {"options", options}};
}

}  // namespace

int train_presets(const Invocation& invocation) {
  const bool is_one = !invocation.positionals.empty();
  if (is_one && request::find_lora_preset(invocation.positionals.front()) == nullptr)
    throw Error(kNotFound, "there is no preset '{}'; choose one of {}.", invocation.positionals.front(),
                fmt::join(request::lora_preset_names(), ", "));
  auto all = nlohmann::ordered_json::array();
  for (const auto& preset : request::lora_presets()) {
    if (is_one && &preset != request::find_lora_preset(invocation.positionals.front())) continue;
    if (invocation.has("json"))
      all.push_back(preset_json(preset));
    else
      print_preset(preset);
  }
  if (invocation.has("json"))
    print_json(all);
  else
    fmt::print(
        "lowrank train lora --preset NAME takes these; any option given with it overrides the preset's.\n");
  return 0;
}

}  // namespace lowrank::cli
