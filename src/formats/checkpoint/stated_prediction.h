// What a checkpoint's own files say about its prediction: keys, metadata, the scheduler of a diffusers folder.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "formats/checkpoint/checkpoint.h"

namespace lowrank::formats {

struct PredictionStatement {
  PredictionType type = PredictionType::kEpsilon;
  PredictionDetails details;  // the rule names the statement
};

// Of a scheduler_config.json: its class, prediction_type, rescale_betas_zero_snr and shift. nullopt for a file that is not there
// (null). Throws Error(kUnsupported) naming `checkpoint` for a kind of noise or prediction that is none of ours.
std::optional<PredictionStatement> scheduler_statement(const nlohmann::json& scheduler,
                                                       const Checkpoint& checkpoint);

// Sets the prediction and its details by the first of these that says something, and names in the rule those that say another:
//   1. metadata lowrank.prediction_type    2. the key v_pred, whatever it holds (A1111's rule)    3. `scheduler`
//   4. metadata modelspec.prediction_type    5. of SD 2.x the spread of a norm's bias (ComfyUI's mark)
// The key ztsnr says that the signal ends in nothing. Without any of them the prediction stays what it is. Throws
// Error(kUnsupported) naming the checkpoint for an unknown type and for keys of EDM models.
void apply_stated_prediction(Checkpoint& checkpoint,
                             const std::optional<PredictionStatement>& scheduler = {});

}  // namespace lowrank::formats
