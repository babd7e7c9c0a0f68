#include "pipeline/resident_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "formats/embedding_file.h"

namespace lowrank::pipeline {

void ResidentModel::refresh_embeddings() {
  std::string state = formats::embedding_folder_state(embeddings_folder_);
  if (state == embeddings_state_) return;
  embeddings = read_embeddings(embeddings_folder_, loaded.text_encoder->width());
  embeddings_state_ = std::move(state);
  cache.clear();  // its keys name files, not what is in them
}

std::vector<Embedding> ResidentModel::usable_embeddings() const {
  std::vector<Embedding> all = embeddings.embeddings;
  for (const Embedding& bundled : loras.embeddings())
    if (std::ranges::find(all, bundled.name, &Embedding::name) == all.end()) all.push_back(bundled);
  return all;
}

PromptConditioning ResidentModel::encode(const prompt::ParsedPrompt& parsed, const EncodeSettings& settings,
                                         bool pads) {
  const model::TextEncoder& encoder = *loaded.text_encoder;
  PromptConditioning prompts{
      .parsed = parsed, .embeddings = usable_embeddings(), .sets = {}, .set_of_call = {}};
  const auto encoded = [&](const prompt::Conditioning& conditioning) {
    return cache.encode(encoder, conditioning, prompts.embeddings, settings, loras.text_state());
  };
  auto [first_calls, of_call] = loras.text_sets(parsed.negative.schedule.back().end_at_step);
  prompts.set_of_call = std::move(of_call);
  for (const int call : first_calls) {
    loras.set_text_call(call);
    PromptEncodings& set = prompts.sets.emplace_back();
    for (const auto& piece : parsed.pieces) set.pieces.push_back(encoded(piece));
    set.negative = encoded(parsed.negative);
    if (pads) set.empty = encode_empty(encoder, settings);
  }
  return prompts;
}

}  // namespace lowrank::pipeline
