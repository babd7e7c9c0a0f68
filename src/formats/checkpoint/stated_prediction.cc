#include "formats/checkpoint/stated_prediction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace lowrank::formats {
namespace {

std::string text_entry(const nlohmann::json& object, const char* key) {
  const auto entry = object.find(key);
  return entry != object.end() && entry->is_string() ? entry->get<std::string>() : "";
}

bool is_true(const nlohmann::json& object, const char* key) {
  const auto entry = object.find(key);
  return entry != object.end() && entry->is_boolean() && entry->get<bool>();
}

[[noreturn]] void refuse(const Checkpoint& checkpoint, const std::string& what) {
  throw Error(kUnsupported, "{}: {}; LowRank supports epsilon, v and flow.", checkpoint.path.string(), what);
}

PredictionType known_type(const Checkpoint& checkpoint, std::string_view place, const std::string& value) {
  const auto type = prediction_named(value);
  if (!type) refuse(checkpoint, fmt::format("{} is '{}'", place, value.substr(0, 60)));
  return *type;
}

bool has_key(const Checkpoint& checkpoint, std::string_view key) {
  return std::ranges::find(checkpoint.unused, key) != checkpoint.unused.end();
}

std::string entry_of(const Checkpoint& checkpoint, const char* key) {
  const auto entry = checkpoint.metadata.find(key);
  return entry == checkpoint.metadata.end() ? "" : entry->second;
}

// Their noise has other levels and their input another scale. Source: ComfyUI's keys of CosXL and Playground 2.5.
void refuse_edm(const Checkpoint& checkpoint) {
  for (const std::string_view key : {"edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_eps.sigma_max"})
    if (has_key(checkpoint, key))
      refuse(checkpoint, fmt::format("the key {} says that it is an EDM model", key));
}

// SD 2.x comes as v (768 pixels) and as epsilon (512), and most files say nothing. In v models a norm's bias is spread
// wider; inpainting models are all of the other type. Source: ComfyUI's model_base for SD20.
std::optional<PredictionStatement> sd2_mark(const Checkpoint& checkpoint) {
  const ParameterViews& unet = checkpoint[Component::kUnet];
  const auto bias = unet.find("output_blocks.11.1.transformer_blocks.0.norm1.bias");
  const auto first = unet.find("input_blocks.0.0.weight");
  if (!family(checkpoint.base_model)->is_prediction_open || bias == unet.end() || first == unet.end())
    return std::nullopt;
  const bool is_plain = first->second.shape.size() == 4 && first->second.shape[1] == 4;
  const std::vector<float> values = weights::to_floats(bias->second);
  double sum = 0, squares = 0;
  for (const float value : values) {
    sum += value;
    squares += static_cast<double>(value) * value;
  }
  const auto count = static_cast<double>(values.size());
  const double variance = count > 0 ? squares / count - sum / count * (sum / count) : 0;
  const bool is_v = is_plain && std::sqrt(std::max(0.0, variance)) > 0.09;
  return PredictionStatement{is_v ? PredictionType::kV : PredictionType::kEpsilon,
                             {.rule = "the spread of a norm's bias, ComfyUI's mark for SD 2.x"}};
}

}  // namespace

std::optional<PredictionStatement> scheduler_statement(const nlohmann::json& scheduler,
                                                       const Checkpoint& checkpoint) {
  constexpr const char* kFile = "scheduler_config.json";
  if (!scheduler.is_object() || scheduler.empty()) return std::nullopt;
  const std::string kind = text_entry(scheduler, "_class_name"),
                    type = text_entry(scheduler, "prediction_type");
  if (kind.starts_with("EDM"))
    refuse(checkpoint, fmt::format("{} names the scheduler {}", kFile, kind.substr(0, 60)));
  PredictionStatement statement;
  statement.details.rule = fmt::format("prediction_type in {}", kFile);
  statement.details.zero_terminal_snr = is_true(scheduler, "rescale_betas_zero_snr");
  const bool is_flow_class = kind.starts_with("FlowMatch");
  if (is_flow_class || is_true(scheduler, "use_flow_sigmas")) {
    statement.type = PredictionType::kFlow;
    statement.details.rule =
        fmt::format("{} in {}", is_flow_class ? kind.substr(0, 60) : "use_flow_sigmas", kFile);
    // diffusers' own default where the file has none.
    const auto shift = scheduler.find(is_flow_class ? "shift" : "flow_shift");
    const double value = shift != scheduler.end() && shift->is_number() ? shift->get<double>() : 1;
    if (!(value > 0 && value <= 100))
      throw Error(kBadInput, "{}: the shift in {} is {}, but must be above 0 and at most 100; correct it.",
                  checkpoint.path.string(), kFile, value);
    statement.details.flow_shift = value;
    return statement;
  }
  // A file that leaves it out means what diffusers takes then.
  if (!type.empty()) statement.type = known_type(checkpoint, statement.details.rule, type);
  return statement;
}

void apply_stated_prediction(Checkpoint& checkpoint, const std::optional<PredictionStatement>& scheduler) {
  refuse_edm(checkpoint);
  std::vector<PredictionStatement> statements;
  const auto add = [&](PredictionType type, std::string rule) {
    statements.push_back({type, {.rule = std::move(rule)}});
  };
  const std::string own = entry_of(checkpoint, "lowrank.prediction_type"),
                    spec = entry_of(checkpoint, "modelspec.prediction_type");
  if (!own.empty())
    add(known_type(checkpoint, "metadata lowrank.prediction_type", own), "lowrank.prediction_type");
  if (has_key(checkpoint, "v_pred")) add(PredictionType::kV, "the key v_pred");
  if (scheduler) statements.push_back(*scheduler);
  if (!spec.empty())
    add(known_type(checkpoint, "metadata modelspec.prediction_type", spec), "modelspec.prediction_type");
  checkpoint.is_prediction_stated = !statements.empty();
  if (auto mark = sd2_mark(checkpoint)) statements.push_back(std::move(*mark));
  PredictionDetails& details = checkpoint.prediction_details;
  if (!statements.empty()) {
    checkpoint.prediction = statements.front().type;
    details.rule = statements.front().details.rule;
  }
  if (scheduler) details.flow_shift = scheduler->details.flow_shift;
  details.zero_terminal_snr =
      has_key(checkpoint, "ztsnr") || (scheduler && scheduler->details.zero_terminal_snr);
  for (const PredictionStatement& other : statements)
    if (other.type != checkpoint.prediction)
      details.rule += fmt::format(", though {} says {}", other.details.rule, prediction_name(other.type));
}

}  // namespace lowrank::formats
