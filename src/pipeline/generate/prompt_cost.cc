#include "pipeline/generate/prompt_cost.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/available_memory.h"
#include "base/error.h"
#include "pipeline/generate/step_memory.h"

namespace lowrank::pipeline {
namespace {

constexpr std::int64_t kFloat = 4;  // bytes
constexpr std::int64_t kKept = 4;   // prompts whose keys and values PromptedModel keeps

// Width of all keys and values that the network makes of a prompt's vector.
std::int64_t projected_width(const model::DiffusionModel& network) {
  std::int64_t width = 0;
  for (const auto& [path, layer] : network.layers())
    if (path.ends_with("attn2.to_k") || path.ends_with("attn2.to_v")) width += layer->weight().size(0);
  return width;
}

}  // namespace

std::int64_t prompt_memory(const prompt::ParsedPrompt& parsed, const model::DiffusionModel& network,
                           const PromptMemoryRequest& request) {
  const std::int64_t chunk = prompt::kChunkRows * network.context_width() * kFloat,
                     projected = prompt::kChunkRows * projected_width(network) * kFloat;
  std::int64_t chunks = 0, longest = 1,
               most_texts = 1;  // `longest` of the pieces: a batch's rows are as long
  const auto add = [&](const prompt::Conditioning& conditioning) {
    const auto texts = static_cast<std::int64_t>(conditioning.texts.size()),
               length = static_cast<std::int64_t>(conditioning.chunk_count());
    chunks += texts * length;
    most_texts = std::max(most_texts, texts);
    return length;
  };
  for (const auto& piece : parsed.pieces) longest = std::max(longest, add(piece));
  const std::int64_t negative = add(parsed.negative);
  chunks = std::max(chunks, request.chunks);
  const auto pieces = static_cast<std::int64_t>(parsed.composition.size());
  // Rows of the pieces and of the negative prompt go apart where they differ in length, or are made equal.
  const std::int64_t uncond = request.pads ? std::max(longest, negative) : negative,
                     cond = request.pads ? uncond : longest;
  const std::int64_t kept = std::min(kKept, most_texts),
                     kept_chunks = request.pictures * (pieces * cond + uncond);
  const std::int64_t further_rows = request.pictures * (pieces - 1);
  // Encoded once column by column and once whole, then laid together row by row for each step.
  const std::int64_t texts = 2 * chunks * chunk + kept * kept_chunks * (chunk + projected) -
                             request.pictures * 2 * (chunk + projected);
  return std::max<std::int64_t>(0, texts) + further_rows * row_memory(network, request.cells);
}

void check_prompt_memory(const prompt::ParsedPrompt& parsed, const model::DiffusionModel& network,
                         const PromptMemoryRequest& request, const prompt::PromptLimits& limits) {
  const std::int64_t needed = prompt_memory(parsed, network, request);
  const bool is_set = limits.memory_mb > 0;
  const std::int64_t allowed = is_set ? limits.memory_mb << 20 : available_memory();
  if (needed <= allowed) return;
  throw Error(kBadInput,
              "the prompt would need about {} MB more than a short one at this size, and {} MB are {}; use "
              "fewer parts between AND, a shorter text, or a smaller picture or batch{}.",
              needed >> 20, allowed >> 20, is_set ? "allowed" : "available",
              is_set ? ", or raise the limit with --prompt-limits memory=MEGABYTES" : "");
}

}  // namespace lowrank::pipeline
