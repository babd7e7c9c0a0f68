#include "pipeline/resident/conditioning.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/progress.h"
#include "base/sha256.h"

namespace lowrank::pipeline {
namespace {

using prompt::kChunkRows;
using prompt::TokenChunk;

constexpr std::size_t kCacheEntries = 32;
constexpr std::int64_t kCacheBytes = 128 << 20;  // but one entry is kept whatever its size
constexpr std::int64_t kTextsAtOnce = 32;        // of one pass of the encoder

// Column `chunk` of the texts' chunks for one encoder: ids [texts, 77] and weights [texts, 77], and what replaces token
// embeddings.
struct ChunkColumn {
  at::Tensor ids, weights;
  std::vector<model::TextEncoder::Replacement> replacements;
};

ChunkColumn column(std::span<const TokenChunk* const> chunks, std::span<const Embedding> embeddings,
                   const formats::TextEncoderRow& encoder) {
  const auto texts = static_cast<std::int64_t>(chunks.size());
  ChunkColumn result{
      at::empty({texts, kChunkRows}, at::kLong), at::empty({texts, kChunkRows}, at::kFloat), {}};
  for (std::int64_t t = 0; t < texts; ++t) {
    const TokenChunk& chunk = *chunks[static_cast<std::size_t>(t)];
    const auto ids =
        prompt::padded_ids(chunk, encoder.pads_with_zero ? prompt::Padding::kZero : prompt::Padding::kEnd);
    std::ranges::copy(ids, result.ids.data_ptr<std::int64_t>() + t * kChunkRows);
    std::ranges::copy(chunk.weights, result.weights.data_ptr<float>() + t * kChunkRows);
    for (const auto& placed : chunk.embeddings) {
      const auto vectors = embeddings[placed.embedding].vectors.find(encoder.component);
      if (vectors == embeddings[placed.embedding].vectors.end()) continue;
      LOWRANK_CHECK(placed.vectors <= vectors->second.size(0) &&
                    placed.first_row + placed.vectors <= kChunkRows);
      result.replacements.push_back({t, placed.first_row, vectors->second.narrow(0, 0, placed.vectors)});
    }
  }
  return result;
}

// Source: A1111's encode_with_transformers of SDXL's first encoder under sdxl_clip_l_skip.
int skip_of(const formats::TextEncoderRow& encoder, const EncodeSettings& settings) {
  const bool is_first_of_two = encoder.layer == formats::TextLayer::kPenultimate &&
                               encoder.component == formats::Component::kTextEncoder;
  return encoder.layer == formats::TextLayer::kLast || (is_first_of_two && settings.skips_in_first_of_two)
             ? settings.clip_skip
             : model::TextEncoder::kOwnLayer;
}

struct EncodedColumn {
  at::Tensor context;      // [texts, 77, width]
  at::Tensor pooled = {};  // [texts, width]
};

EncodedColumn encode_column(const model::TextEncoder& encoder, std::span<const TokenChunk* const> chunks,
                            std::span<const Embedding> embeddings, const EncodeSettings& settings,
                            const std::stop_token& stop) {
  std::vector<at::Tensor> encoded, weights, pooled;
  for (std::size_t from = 0; from < chunks.size(); from += kTextsAtOnce) {
    throw_if_stopped(stop);
    const ChunkColumn input =
        column(chunks.subspan(from, std::min<std::size_t>(kTextsAtOnce, chunks.size() - from)), embeddings,
               encoder.row());
    const auto output = encoder.read(input.ids, skip_of(encoder.row(), settings), input.replacements);
    encoded.push_back(output.hidden);
    if (output.pooled.defined()) pooled.push_back(output.pooled);
    weights.push_back(input.weights);
  }
  const auto joined = [](const std::vector<at::Tensor>& parts) {
    return parts.empty() ? at::Tensor() : parts.size() == 1 ? parts.front() : at::cat(parts);
  };
  return {apply_emphasis(joined(encoded), joined(weights), settings.emphasis), joined(pooled)};
}

// All encoders side by side. Emphasis is of each encoder's own output, and the pooled vector knows none.
EncodedColumn encode_column(const TextEncoders& encoders, std::span<const TokenChunk* const> chunks,
                            std::span<const Embedding> embeddings, const EncodeSettings& settings,
                            const std::stop_token& stop) {
  std::vector<at::Tensor> contexts;
  EncodedColumn all;
  for (const auto& encoder : encoders) {
    EncodedColumn column = encode_column(*encoder, chunks, embeddings, settings, stop);
    contexts.push_back(std::move(column.context));
    if (column.pooled.defined()) all.pooled = std::move(column.pooled);
  }
  all.context = contexts.size() == 1 ? contexts.front() : at::cat(contexts, -1);
  return all;
}

std::string cache_key(const prompt::Conditioning& conditioning, std::span<const Embedding> embeddings,
                      const EncodeSettings& settings, const std::string& state) {
  std::string key = fmt::format("{}\n{} {} {}\n", state, settings.clip_skip, settings.skips_in_first_of_two,
                                static_cast<int>(settings.emphasis));
  for (const auto& text : conditioning.texts) {
    for (const auto& chunk : text.chunks) {
      key.append(reinterpret_cast<const char*>(chunk.ids.data()), sizeof(chunk.ids));
      key.append(reinterpret_cast<const char*>(chunk.weights.data()), sizeof(chunk.weights));
      for (const auto& placed : chunk.embeddings)
        key += fmt::format("{} {} {} {} {}\n", placed.first_row, placed.vectors,
                           embeddings[placed.embedding].path.string(), embeddings[placed.embedding].name,
                           embeddings[placed.embedding].lora_version);
    }
    key += '\n';
  }
  return sha256_hex(std::as_bytes(std::span(key)));
}

}  // namespace

at::Tensor apply_emphasis(const at::Tensor& z, const at::Tensor& weights, prompt::Emphasis emphasis) {
  using prompt::Emphasis;
  switch (emphasis) {
    case Emphasis::kIgnore:
    case Emphasis::kNone:
      return z;
    case Emphasis::kNoNorm:
      return z * weights.unsqueeze(-1);
    case Emphasis::kOriginal: {
      if (weights.eq(1).all().item<bool>()) return z;
      const at::Tensor weighted = z * weights.unsqueeze(-1);
      const double before = z.mean(at::kDouble).item<double>(),
                   after = weighted.mean(at::kDouble).item<double>();
      return after == 0 ? weighted : weighted * (before / after);
    }
  }
  return z;
}

EncodedPrompt encode_prompt(const TextEncoders& encoders, const prompt::Conditioning& conditioning,
                            std::span<const Embedding> embeddings, const EncodeSettings& settings,
                            const std::stop_token& stop) {
  std::vector<at::Tensor> columns;
  at::Tensor pooled;  // of the first column
  for (std::size_t i = 0; i < conditioning.chunk_count(); ++i) {
    std::vector<const TokenChunk*> chunks;
    for (const auto& text : conditioning.texts) chunks.push_back(&text.chunks.at(i));
    EncodedColumn column = encode_column(encoders, chunks, embeddings, settings, stop);
    columns.push_back(std::move(column.context));
    if (i == 0) pooled = std::move(column.pooled);
  }
  const at::Tensor all = at::cat(columns, 1);  // [texts, 77·n, width]
  EncodedPrompt encoded;
  for (std::int64_t t = 0; t < all.size(0); ++t)
    encoded.texts.push_back({all.select(0, t), pooled.defined() ? pooled.select(0, t) : at::Tensor()});
  return encoded;
}

at::Tensor encode_empty(const TextEncoders& encoders, const EncodeSettings& settings) {
  const TokenChunk chunk = prompt::empty_chunk();
  const TokenChunk* const chunks[] = {&chunk};
  return encode_column(encoders, chunks, {}, settings, {}).context.select(0, 0);
}

std::shared_ptr<const EncodedPrompt> ConditioningCache::encode(const TextEncoders& encoders,
                                                               const prompt::Conditioning& conditioning,
                                                               std::span<const Embedding> embeddings,
                                                               const EncodeSettings& settings,
                                                               const std::string& state,
                                                               const std::stop_token& stop) {
  std::string key = cache_key(conditioning, embeddings, settings, state);
  const auto known = std::ranges::find(entries_, key, &Entry::key);
  if (known != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, known);
    return entries_.front().prompt;
  }
  ++encodings_;
  auto encoded = std::make_shared<const EncodedPrompt>(
      encode_prompt(encoders, conditioning, embeddings, settings, stop));
  std::int64_t bytes = 0;
  for (const TextVectors& text : encoded->texts) bytes += static_cast<std::int64_t>(text.context.nbytes());
  entries_.push_front({std::move(key), std::move(encoded), bytes});
  bytes_ += bytes;
  while (entries_.size() > kCacheEntries || (entries_.size() > 1 && bytes_ > kCacheBytes)) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
  return entries_.front().prompt;
}

}  // namespace lowrank::pipeline
