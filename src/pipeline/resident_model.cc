#include "pipeline/resident_model.h"

#include <ATen/ATen.h>

namespace lowrank::pipeline {

PromptConditioning ResidentModel::encode(const prompt::ParsedPrompt& parsed, const EncodeSettings& settings,
                                         bool pads) {
  const model::TextEncoder& encoder = *loaded.text_encoder;
  const auto encoded = [&](const prompt::Conditioning& conditioning) {
    return cache.encode(encoder, conditioning, embeddings.embeddings, settings, loras.text_state());
  };
  PromptConditioning prompts{.parsed = parsed, .pieces = {}, .negative = {}, .empty = {}};
  for (const auto& piece : parsed.pieces) prompts.pieces.push_back(encoded(piece));
  prompts.negative = encoded(parsed.negative);
  if (pads) prompts.empty = encode_empty(encoder, settings);
  return prompts;
}

}  // namespace lowrank::pipeline
