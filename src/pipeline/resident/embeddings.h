// Textual inversions: small files of learned token vectors, found by name inside prompts.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "prompt/prompt.h"

namespace lowrank::pipeline {

struct Embedding {
  std::string name;  // as typed in prompts: the file's stem, or the name inside a LoRA
  std::filesystem::path path;
  at::Tensor vectors;             // [n, width] float32, n ≥ 1
  std::string lora_version = {};  // of one inside a LoRA: which state of that file; "" for a file of its own

  // First 10 hex digits of the file's SHA-256, as in `TI hashes`; "" for one inside a LoRA, as A1111 has none.
  std::string short_hash() const;
};

std::vector<prompt::EmbeddingName> names_of(std::span<const Embedding> embeddings);  // same order

struct EmbeddingFolder {
  std::vector<Embedding> embeddings;  // in byte order of their names; of equal names the last stays
  std::vector<prompt::UnusableEmbedding> skipped;  // files that cannot be used, whose name no other file has
};

// All .safetensors, .pt, .bin and .ckpt files in `folder` and below whose vectors are `width` wide
// (formats/embedding_file.h). Pictures may hold embeddings, too; they are not read, and those that are no previews are
// among the skipped. A missing folder is an empty one.
EmbeddingFolder read_embeddings(const std::filesystem::path& folder, std::int64_t width);

}  // namespace lowrank::pipeline
