#include "pipeline/resident/resident_model.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <set>
#include <utility>

#include "formats/embedding_file.h"

namespace lowrank::pipeline {
namespace {

// The texts of a conditioning that are read at some call at which one set of LoRAs acts, so that a text is encoded under
// that set alone.
struct TextsOfSet {
  prompt::Conditioning conditioning;
  std::vector<std::size_t> places;  // of its texts, among those of the whole
};

TextsOfSet texts_of_set(const prompt::Conditioning& whole, const std::vector<std::size_t>& set_of_call,
                        std::size_t set) {
  TextsOfSet out;
  for (std::size_t call = 0; call < set_of_call.size(); ++call) {
    const std::size_t text = whole.text_for_call(static_cast<int>(call));
    if (set_of_call[call] != set || std::ranges::find(out.places, text) != out.places.end()) continue;
    out.places.push_back(text);
    out.conditioning.texts.push_back(whole.texts[text]);
  }
  return out;
}

// The encodings at their places among all texts; the others stay undefined, as no call of the set asks for them.
std::shared_ptr<const EncodedPrompt> spread(const EncodedPrompt& encoded,
                                            const std::vector<std::size_t>& places, std::size_t count) {
  auto all = std::make_shared<EncodedPrompt>();
  all->texts.resize(count);
  for (std::size_t i = 0; i < places.size(); ++i) all->texts[places[i]] = encoded.texts[i];
  return all;
}

// SDXL was trained with zeros in place of a text that was left out, and the web UI takes a negative prompt without words
// for that (sd_models_xl.py).
bool takes_zeros(const formats::FamilyRow& family, const prompt::Conditioning& negative) {
  return family.size_conditioning != formats::SizeConditioning::kNone &&
         std::ranges::all_of(negative.texts, [](const auto& text) { return text.text.empty(); });
}

std::shared_ptr<const EncodedPrompt> zeros_like(const EncodedPrompt& encoded) {
  auto zeros = std::make_shared<EncodedPrompt>();
  const auto zero = [](const at::Tensor& t) { return t.defined() ? at::zeros_like(t) : t; };
  for (const TextVectors& text : encoded.texts)
    zeros->texts.push_back({zero(text.context), zero(text.pooled)});
  return zeros;
}

}  // namespace

void ResidentModel::refresh_embeddings() {
  std::string state = formats::embedding_folder_state(embeddings_folder_);
  if (state == embeddings_state_) return;
  embeddings = read_embeddings(embeddings_folder_, loaded.adaptable().text_widths);
  embeddings_state_ = std::move(state);
  cache.clear();  // its keys name files, not what is in them
}

std::vector<Embedding> ResidentModel::usable_embeddings() const {
  std::vector<Embedding> all = embeddings.embeddings;
  for (const Embedding& bundled : loras.embeddings())
    if (std::ranges::find(all, bundled.name, &Embedding::name) == all.end()) all.push_back(bundled);
  return all;
}

std::int64_t ResidentModel::chunks_to_encode(const prompt::ParsedPrompt& parsed) const {
  const auto sets = loras.text_sets(parsed.negative.schedule.back().end_at_step);
  std::int64_t chunks = 0;
  const auto add = [&](const prompt::Conditioning& conditioning) {
    std::size_t texts = conditioning.texts.size();
    if (sets.first_calls.size() > 1) {
      std::set<std::pair<std::size_t, std::size_t>> passes;  // set, text
      for (std::size_t call = 0; call < sets.of_call.size(); ++call)
        passes.emplace(sets.of_call[call], conditioning.text_for_call(static_cast<int>(call)));
      texts = passes.size();
    }
    chunks += static_cast<std::int64_t>(texts * conditioning.chunk_count());
  };
  for (const auto& piece : parsed.pieces) add(piece);
  add(parsed.negative);
  return chunks;
}

PromptConditioning ResidentModel::encode(const prompt::ParsedPrompt& parsed, const EncodeSettings& settings,
                                         bool pads, const std::stop_token& stop) {
  PromptConditioning prompts{
      .parsed = parsed, .embeddings = usable_embeddings(), .sets = {}, .set_of_call = {}};
  const auto encode_all = [&](const prompt::Conditioning& conditioning) {
    return cache.encode(loaded.text_encoders, conditioning, prompts.embeddings, settings, loras.text_state(),
                        stop);
  };
  auto [first_calls, of_call] = loras.text_sets(parsed.negative.schedule.back().end_at_step);
  prompts.set_of_call = std::move(of_call);
  for (const int call : first_calls) {
    loras.set_text_call(call);
    const std::size_t number = prompts.sets.size();
    const auto encoded = [&](const prompt::Conditioning& conditioning) {
      if (first_calls.size() == 1) return encode_all(conditioning);
      const TextsOfSet used = texts_of_set(conditioning, prompts.set_of_call, number);
      return spread(*encode_all(used.conditioning), used.places, conditioning.texts.size());
    };
    PromptEncodings& set = prompts.sets.emplace_back();
    for (const auto& piece : parsed.pieces) set.pieces.push_back(encoded(piece));
    set.negative = encoded(parsed.negative);
    if (takes_zeros(loaded.family(), parsed.negative)) set.negative = zeros_like(*set.negative);
    if (pads) set.empty = encode_empty(loaded.text_encoders, settings);
  }
  return prompts;
}

}  // namespace lowrank::pipeline
