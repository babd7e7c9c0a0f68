#include "training/data/caption_encoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.h"
#include "prompt/chunks.h"

namespace lowrank::training {
namespace {

constexpr std::size_t kMaxRemembered = 4096;  // shuffled captions are nearly all different

}  // namespace

CaptionEncoder::CaptionEncoder(const model::TextEncoder& encoder, const CaptionEncoderOptions& options)
    : encoder_(encoder), options_(options) {
  if (options.max_token_length != 75 && options.max_token_length != 150 && options.max_token_length != 225)
    throw Error(kBadInput, "--max-token-length {}: must be 75, 150 or 225.", options.max_token_length);
  if (options.clip_skip < 1 || options.clip_skip > encoder.depth())
    throw Error(kBadInput,
                "--clip-skip {}: must be between 1 and {}, the number of layers of this text encoder.",
                options.clip_skip, encoder.depth());
}

std::int64_t CaptionEncoder::tokens_cut(const std::string& caption) const {
  const auto tokens = static_cast<std::int64_t>(tokenizer_.encode(caption).size());
  return std::max<std::int64_t>(0, tokens - options_.max_token_length);
}

at::Tensor CaptionEncoder::ids(const std::string& caption) const {
  const prompt::WeightedPiece piece{caption, 1.0};
  // kohya cuts exactly after 75 tokens, wherever a comma stands.
  auto chunks = prompt::chunk_pieces({&piece, 1}, tokenizer_, {.comma_backtrack = 0}).chunks;
  chunks.resize(static_cast<std::size_t>(options_.max_token_length / prompt::kChunkTokens),
                prompt::empty_chunk());
  at::Tensor ids = at::empty({static_cast<std::int64_t>(chunks.size()), prompt::kChunkRows}, at::kLong);
  auto* out = ids.data_ptr<std::int64_t>();
  for (const auto& chunk : chunks) out = std::copy(chunk.ids.begin(), chunk.ids.end(), out);
  return ids;
}

at::Tensor CaptionEncoder::run(const at::Tensor& ids) const {
  const at::Tensor encoded = encoder_.encode(ids, options_.clip_skip).to(at::kFloat);
  const std::int64_t chunks = options_.max_token_length / prompt::kChunkTokens;
  return encoded.reshape({ids.size(0) / chunks, chunks * ids.size(1), encoder_.width()});
}

at::Tensor CaptionEncoder::encode(std::span<const std::string> captions) {
  std::vector<at::Tensor> parts;
  if (options_.is_trained) {
    for (const auto& caption : captions) parts.push_back(ids(caption));
    return run(at::cat(parts));
  }
  const at::NoGradGuard no_grad;
  if (known_.size() > kMaxRemembered) known_.clear();
  for (const auto& caption : captions) {
    auto known = known_.find(caption);
    if (known == known_.end()) known = known_.emplace(caption, run(ids(caption)).squeeze(0)).first;
    parts.push_back(known->second);
  }
  return at::stack(parts);
}

}  // namespace lowrank::training
