// A checkpoint in memory with all that belongs to it alone: the LoRAs that act on it, the textual inversions
// that fit its text encoder, and the texts it has encoded.
#pragma once

#include <filesystem>
#include <optional>

#include "pipeline/active_loras.h"
#include "pipeline/checkpoint_loader.h"
#include "pipeline/conditioning.h"
#include "pipeline/embeddings.h"
#include "pipeline/prompted_unet.h"

namespace lowrank::pipeline {

struct ResidentModel {
  LoadedModel loaded;
  ActiveLoras loras;  // after `loaded`, whose layers it must let go of first
  EmbeddingFolder embeddings;
  ConditioningCache cache;

  ResidentModel(LoadedModel model, LoraFinder find_lora, const std::filesystem::path& embeddings_folder)
      : loaded(std::move(model)),
        loras(std::move(find_lora)),
        embeddings(read_embeddings(embeddings_folder, loaded.text_encoder->width())) {}
  ~ResidentModel() { loras.forget(); }
  ResidentModel(const ResidentModel&) = delete;
  ResidentModel& operator=(const ResidentModel&) = delete;

  // The encodings of `parsed` under the LoRAs that act now. `pads`: with the empty chunk that fills up the
  // shorter of prompt and negative prompt.
  PromptConditioning encode(const prompt::ParsedPrompt& parsed, const EncodeSettings& settings, bool pads);
};

}  // namespace lowrank::pipeline
