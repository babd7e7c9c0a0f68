// Chunks of tokens become the vectors that the network attends to: each chunk is one pass of each text encoder,
// emphasis is applied to its output, the encoders' outputs are laid side by side, and the chunks of a text end to end.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "model/text_encoder.h"
#include "pipeline/resident/embeddings.h"
#include "prompt/prompt.h"

namespace lowrank::pipeline {

// Emphasis on the encoder's output z [texts, 77, width] with one weight m per row, [texts, 77]:
//
//   kOriginal  z·m · mean(z) / mean(z·m)     means over all of z: texts, rows and columns of one call
//   kNoNorm    z·m
//   kIgnore, kNone  z
//
// Sums in float64. Source: A1111's sd_emphasis.
at::Tensor apply_emphasis(const at::Tensor& z, const at::Tensor& weights, prompt::Emphasis emphasis);

struct EncodeSettings {
  int clip_skip = 1;
  bool skips_in_first_of_two = false;  // CLIP skip counts for SDXL's first encoder too
  prompt::Emphasis emphasis = prompt::Emphasis::kOriginal;
};

struct TextVectors {
  at::Tensor context;      // [77·n, width] float32
  at::Tensor pooled = {};  // [width] float32, of the first chunk; undefined where no encoder gives one
};

// One piece of a prompt over time, encoded: one for each distinct text of its schedule.
struct EncodedPrompt {
  std::vector<TextVectors> texts;
};

using TextEncoders = std::vector<std::unique_ptr<model::TextEncoder>>;

// All texts of `conditioning` are encoded together, chunk by chunk, as A1111 does: the means of kOriginal run
// over the variants of one chunk. Throws Error(kBadInput) when clip skip exceeds the encoder's depth, kCancelled
// between passes after a stop.
EncodedPrompt encode_prompt(const TextEncoders& encoders, const prompt::Conditioning& conditioning,
                            std::span<const Embedding> embeddings, const EncodeSettings& settings,
                            const std::stop_token& stop = {});

// [77, width]: the encoding of a chunk without words, which "Pad conds" fills up with.
at::Tensor encode_empty(const TextEncoders& encoders, const EncodeSettings& settings);

// The last few encodings by what they depend on: tokens, weights, embeddings, settings and `state`, a text
// that names checkpoint and active adapters. Not thread-safe.
class ConditioningCache {
 public:
  std::shared_ptr<const EncodedPrompt> encode(const TextEncoders& encoders,
                                              const prompt::Conditioning& conditioning,
                                              std::span<const Embedding> embeddings,
                                              const EncodeSettings& settings, const std::string& state,
                                              const std::stop_token& stop = {});
  void clear() {
    entries_.clear();
    bytes_ = 0;
  }
  std::int64_t encodings() const { return encodings_; }  // how often the text encoder had to run

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const EncodedPrompt> prompt;
    std::int64_t bytes = 0;
  };
  std::list<Entry> entries_;  // latest first
  std::int64_t bytes_ = 0;    // of all of them
  std::int64_t encodings_ = 0;
};

}  // namespace lowrank::pipeline
