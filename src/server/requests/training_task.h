// A request for a LoRA training: kohya's option names as JSON fields.
#pragma once

#include <filesystem>

#include "server/catalog/model_catalog.h"
#include "server/json.h"
#include "server/requests/generation_task.h"
#include "training/lora/lora_job.h"

namespace lowrank::server {

struct TrainingTask {
  training::LoraJob job;
  // Resumes the stopped run of its name, also where `fresh` lets it replace a finished LoRA.
  bool resumes = false;
};

// The options of request/training/lora_table.h, by their names with underscores. `train_data_dir` (required) must lie
// below the data folder; the LoRA goes to models/Lora. `sample_prompts` are the prompts themselves, one a line, not a
// file, and `resume` is a switch, not a file. Throws Refusal 422 naming each field that is wrong, unknown or not for requests.
TrainingTask read_training(const RequestJson& body, ModelCatalog& catalog, const GenerationLimits& limits);

// JSON Schema of such a request.
Json training_schema();

// Throws Refusal 422 when a LoRA of that name is there already, no stopped run of it can go on, and neither `fresh` nor `resume`
// is asked
// for; and when `resume` finds no state in `run`, where the run of that name is kept, or one that has all steps already. The
// trainer looks once more when it begins.
void refuse_finished(const TrainingTask& task, const std::filesystem::path& run);

}  // namespace lowrank::server
