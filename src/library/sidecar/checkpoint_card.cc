#include "library/sidecar/checkpoint_card.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/json_fields.h"
#include "library/sidecar/lora_card.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kMostBytes = 1u << 20;

struct SettingRow {
  std::string_view name;
  bool is_text;
  double least, most;  // of numbers
};
constexpr std::array<SettingRow, 8> kSettings = {{{"prompt", true, 0, 0},
                                                  {"negative_prompt", true, 0, 0},
                                                  {"sampler_name", true, 0, 0},
                                                  {"scheduler", true, 0, 0},
                                                  {"steps", false, 1, 150},
                                                  {"cfg_scale", false, 1, 30},
                                                  {"width", false, 64, 2048},
                                                  {"height", false, 64, 2048}}};

}  // namespace

CheckpointCard read_checkpoint_card(const std::filesystem::path& checkpoint) {
  json card;
  try {
    card = json::parse(read_file(sidecar_path(checkpoint, ".json"), kMostBytes), nullptr, false);
  } catch (const Error&) {
    return {};
  }
  if (!card.is_object()) return {};
  CheckpointCard read{
      .description = text_field(card, "description"), .notes = text_field(card, "notes"), .settings = ""};
  const auto said = card.find("settings");
  if (said == card.end() || !said->is_object()) return read;
  json settings = json::object();
  for (const SettingRow& row : kSettings) {
    const auto value = said->find(row.name);
    if (value == said->end()) continue;
    const bool fits = row.is_text ? value->is_string()
                                  : value->is_number() && value->get<double>() >= row.least &&
                                        value->get<double>() <= row.most;
    if (fits) settings[std::string(row.name)] = *value;
  }
  if (!settings.empty()) read.settings = settings.dump(-1, ' ', false, json::error_handler_t::replace);
  return read;
}

}  // namespace lowrank::library
