// A checkpoint in memory with all that belongs to it alone: the LoRAs that act on it, the textual inversions
// that fit its text encoder, and the texts it has encoded.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/resident/active_loras.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "pipeline/resident/conditioning.h"
#include "pipeline/resident/embeddings.h"
#include "pipeline/resident/prompted_model.h"
#include "pipeline/resident/resources.h"

namespace lowrank::pipeline {

struct ResidentModel {
  LoadedModel loaded;
  ActiveLoras loras;  // after `loaded`, whose layers it must let go of first
  EmbeddingFolder embeddings;
  ConditioningCache cache;

  ResidentModel(LoadedModel model, const Resources& resources)
      : loaded(std::move(model)),
        loras(resources.lora, resources.fitting_checkpoints),
        embeddings_folder_(resources.embeddings) {
    refresh_embeddings();
  }
  ~ResidentModel() { loras.forget(); }
  ResidentModel(const ResidentModel&) = delete;
  ResidentModel& operator=(const ResidentModel&) = delete;

  // Reads the folder of embeddings again if any of its files changed.
  void refresh_embeddings();

  // What a prompt can name now: those of the folder, and those inside the LoRAs that act, of which a user's own file
  // of the same name takes the place.
  std::vector<Embedding> usable_embeddings() const;

  // The encodings of `parsed` under the LoRAs that act now. `pads`: with the empty chunk that fills up the
  // shorter of prompt and negative prompt.
  // `parsed` was read with the names of usable_embeddings(). Throws Error(kCancelled) between passes of the encoder.
  PromptConditioning encode(const prompt::ParsedPrompt& parsed, const EncodeSettings& settings, bool pads,
                            const std::stop_token& stop = {});

  // How many chunks encode() has to encode at most: a text that is read under several sets of LoRAs counts once for each.
  std::int64_t chunks_to_encode(const prompt::ParsedPrompt& parsed) const;

 private:
  std::filesystem::path embeddings_folder_;
  std::string embeddings_state_;
};

}  // namespace lowrank::pipeline
