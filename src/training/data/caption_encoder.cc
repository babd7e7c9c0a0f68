#include "training/data/caption_encoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"
#include "prompt/tokens/chunks.h"

namespace lowrank::training {
namespace {

// Shuffled captions are nearly all different. One of SDXL takes 0.6 MB.
constexpr std::size_t kMaxRememberedBytes = std::size_t{1} << 30;

std::size_t bytes_of(const model::Conditioning& conditioning) {
  return conditioning.text.nbytes() + (conditioning.vector.defined() ? conditioning.vector.nbytes() : 0);
}

}  // namespace

CaptionEncoder::CaptionEncoder(const pipeline::LoadedModel& model, const CaptionEncoderOptions& options)
    : encoders_(model.text_encoders), options_(options) {
  if (options.max_token_length != 75 && options.max_token_length != 150 && options.max_token_length != 225)
    throw Error(kBadInput, "--max-token-length {}: must be 75, 150 or 225.", options.max_token_length);
  const int most = model.most_clip_skip();
  if (options.clip_skip >= 1 && options.clip_skip <= most) return;
  if (most == 1)
    throw Error(kBadInput,
                "--clip-skip {}: must be 1, as {} models always read the same layer of their text encoders.",
                options.clip_skip, model.family().name);
  throw Error(kBadInput,
              "--clip-skip {}: must be between 1 and {}, the number of layers of this text encoder.",
              options.clip_skip, most);
}

std::int64_t CaptionEncoder::tokens_cut(const std::string& caption) const {
  const auto tokens = static_cast<std::int64_t>(tokenizer_.encode(caption).size());
  return std::max<std::int64_t>(0, tokens - options_.max_token_length);
}

std::vector<prompt::TokenChunk> CaptionEncoder::chunks_of(const std::string& caption) const {
  const prompt::WeightedPiece piece{caption, 1.0};
  // kohya cuts exactly after 75 tokens, wherever a comma stands.
  auto chunks = prompt::chunk_pieces({&piece, 1}, tokenizer_, {.comma_backtrack = 0}).chunks;
  chunks.resize(static_cast<std::size_t>(options_.max_token_length / prompt::kChunkTokens),
                prompt::empty_chunk());
  return chunks;
}

model::Conditioning CaptionEncoder::run(std::span<const std::string> captions) const {
  std::vector<prompt::TokenChunk> chunks;
  for (const std::string& caption : captions)
    for (const auto& chunk : chunks_of(caption)) chunks.push_back(chunk);
  const auto count = static_cast<std::int64_t>(captions.size()),
             all = static_cast<std::int64_t>(chunks.size());
  std::vector<at::Tensor> contexts;
  model::Conditioning encoded;
  for (const auto& encoder : encoders_) {
    const auto padding = encoder->row().pads_with_zero ? prompt::Padding::kZero : prompt::Padding::kEnd;
    at::Tensor ids = at::empty({all, prompt::kChunkRows}, at::kLong);
    auto* out = ids.data_ptr<std::int64_t>();
    for (const auto& chunk : chunks) out = std::ranges::copy(prompt::padded_ids(chunk, padding), out).out;
    const bool can_skip = encoder->most_clip_skip() > 1;
    const auto output = encoder->read(ids, can_skip ? options_.clip_skip : model::TextEncoder::kOwnLayer);
    contexts.push_back(
        output.hidden.to(at::kFloat).reshape({count, all / count * prompt::kChunkRows, encoder->width()}));
    if (output.pooled.defined())
      encoded.vector = output.pooled.to(at::kFloat).reshape({count, all / count, -1}).select(1, 0);
  }
  encoded.text = contexts.size() == 1 ? contexts.front() : at::cat(contexts, -1);
  return encoded;
}

void CaptionEncoder::remember(const std::vector<std::string>& captions, const std::stop_token& stop) {
  if (options_.is_trained) return;
  for (const std::string& caption : captions) {
    throw_if_stopped(stop);
    if (known_bytes_ > kMaxRememberedBytes) return;
    encode({&caption, 1});
  }
}

model::Conditioning CaptionEncoder::encode(std::span<const std::string> captions) {
  if (options_.is_trained) return run(captions);
  const at::NoGradGuard no_grad;
  if (known_bytes_ > kMaxRememberedBytes) {
    known_.clear();
    known_bytes_ = 0;
  }
  std::vector<at::Tensor> texts, vectors;
  for (const auto& caption : captions) {
    auto known = known_.find(caption);
    if (known == known_.end()) {
      known = known_.emplace(caption, run({&caption, 1})).first;
      known_bytes_ += bytes_of(known->second);
    }
    texts.push_back(known->second.text);
    if (known->second.vector.defined()) vectors.push_back(known->second.vector);
  }
  return {at::cat(texts), vectors.empty() ? at::Tensor() : at::cat(vectors)};
}

}  // namespace lowrank::training
