#include "formats/prediction.h"

#include <algorithm>
#include <array>

#include "base/text/text.h"

namespace lowrank::formats {
namespace {

struct PredictionRow {
  PredictionType type;
  std::array<std::string_view, 6> names;  // ours first; empty ones are unused
};

// As diffusers, kohya's scripts, modelspec and ComfyUI write them.
constexpr PredictionRow kPredictions[] = {
    {PredictionType::kEpsilon, {"epsilon", "eps"}},
    {PredictionType::kV, {"v", "v_prediction", "v-prediction", "v_pred", "vpred"}},
    {PredictionType::kFlow,
     {"flow", "rectified_flow", "rectified-flow", "flow_matching", "flow_prediction", "rf"}},
};

}  // namespace

std::string_view prediction_name(PredictionType type) {
  return std::ranges::find(kPredictions, type, &PredictionRow::type)->names.front();
}

std::optional<PredictionType> prediction_named(std::string_view name) {
  const std::string word = lowrank::lower(trim(name));
  if (word.empty()) return std::nullopt;
  for (const PredictionRow& row : kPredictions)
    if (std::ranges::find(row.names, word) != row.names.end()) return row.type;
  return std::nullopt;
}

}  // namespace lowrank::formats
