// Captions as the vectors that the network attends to. Captions are plain text as kohya reads them: brackets
// are not emphasis. While the text encoder is trained every caption is encoded anew, differentiably;
// otherwise once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "model/prompt_memory.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "pipeline/resident/conditioning.h"
#include "prompt/tokens/chunks.h"
#include "prompt/tokens/tokenizer.h"

namespace lowrank::training {

struct CaptionEncoderOptions {
  int clip_skip = 1;
  int max_token_length = 75;  // 75, 150 or 225: captions are padded or cut to 1, 2 or 3 chunks of 75 tokens
  bool is_trained = false;    // keep the graph, remember nothing
};

class CaptionEncoder {
 public:
  // `model` must outlive this object. Throws Error(kBadInput) for another max_token_length or a clip skip
  // that the text encoder lacks.
  CaptionEncoder(const pipeline::LoadedModel& model, const CaptionEncoderOptions& options);

  // text float32 [captions, 77·n, width] of all text encoders side by side; vector: the pooled text of the first chunk
  // [captions, width], where the model has one.
  model::Conditioning encode(std::span<const std::string> captions);

  // Encodes captions that will be asked for again. Does nothing while the text encoders are trained.
  void remember(const std::vector<std::string>& captions, const std::stop_token& stop);

  // Tokens of a caption beyond what is kept; 0: it fits.
  std::int64_t tokens_cut(const std::string& caption) const;

 private:
  std::vector<prompt::TokenChunk> chunks_of(const std::string& caption) const;
  model::Conditioning run(std::span<const std::string> captions) const;

  const pipeline::TextEncoders& encoders_;
  CaptionEncoderOptions options_;
  prompt::Tokenizer tokenizer_;
  std::map<std::string, model::Conditioning> known_;  // caption → [1, 77·n, width], [1, width]
  std::size_t known_bytes_ = 0;
};

}  // namespace lowrank::training
