// Captions as the vectors that the U-Net attends to. Captions are plain text as kohya reads them: brackets
// are not emphasis. While the text encoder is trained every caption is encoded anew, differentiably;
// otherwise once.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "model/text_encoder.h"
#include "prompt/tokens/tokenizer.h"

namespace lowrank::training {

struct CaptionEncoderOptions {
  int clip_skip = 1;
  int max_token_length = 75;  // 75, 150 or 225: captions are padded or cut to 1, 2 or 3 chunks of 75 tokens
  bool is_trained = false;    // keep the graph, remember nothing
};

class CaptionEncoder {
 public:
  // `encoder` must outlive this object. Throws Error(kBadInput) for another max_token_length or a clip skip
  // that the encoder lacks.
  CaptionEncoder(const model::TextEncoder& encoder, const CaptionEncoderOptions& options);

  // float32 [captions, 77·n, width].
  at::Tensor encode(std::span<const std::string> captions);

  // Tokens of a caption beyond what is kept; 0: it fits.
  std::int64_t tokens_cut(const std::string& caption) const;

 private:
  at::Tensor ids(const std::string& caption) const;  // int64 [n, 77]
  at::Tensor run(const at::Tensor& ids) const;       // [captions·n, 77] → [captions, 77·n, width]

  const model::TextEncoder& encoder_;
  CaptionEncoderOptions options_;
  prompt::Tokenizer tokenizer_;
  std::map<std::string, at::Tensor> known_;  // caption → [77·n, width]
};

}  // namespace lowrank::training
