// Textual inversions: small files of learned token vectors, found by name inside prompts.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "prompt/chunks.h"

namespace lowrank::pipeline {

struct Embedding {
  std::string name;  // file stem, as typed in prompts
  std::filesystem::path path;
  at::Tensor vectors;  // [n, width] float32, n ≥ 1

  // First 10 hex digits of the file's SHA-256, as in `TI hashes`.
  std::string short_hash() const;
};

struct EmbeddingFolder {
  std::vector<Embedding> embeddings;  // in byte order of their paths; of equal names the last stays
  std::vector<std::string> skipped;   // one sentence per file that cannot be used, with the reason

  std::vector<prompt::EmbeddingName> names() const;  // same order
};

// All .safetensors, .pt, .bin and .ckpt files in `folder` and below whose vectors are `width` wide. A missing
// folder is an empty one. Formats: A1111's `string_to_param` pickle, a single tensor, SDXL's pair (`clip_l`
// is used).
EmbeddingFolder read_embeddings(const std::filesystem::path& folder, std::int64_t width);

}  // namespace lowrank::pipeline
