#include "library/sidecar/checkpoint_card.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <variant>

#include "base/atomic_file.h"
#include "base/error.h"
#include "library/json_fields.h"
#include "library/sidecar/lora_card.h"
#include "request/field_table.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

constexpr std::uintmax_t kMostBytes = 1u << 20;

// By the names of A1111's API; their ranges are those of a form (request/field_table.h).
constexpr std::string_view kSettings[] = {"prompt", "negative_prompt", "sampler_name", "scheduler",
                                          "steps",  "cfg_scale",       "width",        "height"};

bool fits_a_form(const request::FieldRow& row, const json& value) {
  if (std::holds_alternative<std::string request::GenerationRequest::*>(row.member)) return value.is_string();
  return value.is_number() && value.get<double>() >= std::max(row.min, row.traits.form.min) &&
         value.get<double>() <= row.max;
}

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
  for (const std::string_view name : kSettings) {
    const auto value = said->find(name);
    if (value != said->end() && fits_a_form(*request::field_by_api(name), *value))
      settings[std::string(name)] = *value;
  }
  if (!settings.empty()) read.settings = settings.dump(-1, ' ', false, json::error_handler_t::replace);
  return read;
}

}  // namespace lowrank::library
