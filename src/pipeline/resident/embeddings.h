// Textual inversions: small files of learned token vectors, found by name inside prompts.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/embedding_file.h"
#include "formats/layer_address.h"
#include "prompt/prompt.h"

namespace lowrank::pipeline {

struct Embedding {
  std::string name;  // as typed in prompts: the file's stem, or the name inside a LoRA
  std::filesystem::path path;
  // For each text encoder [n, width] float32, n ≥ 1 alike.
  std::map<formats::Component, at::Tensor> vectors;
  std::string lora_version = {};  // of one inside a LoRA: which state of that file; "" for a file of its own

  // First 10 hex digits of the file's SHA-256, as in `TI hashes`; "" for one inside a LoRA, as A1111 has none.
  std::string short_hash() const;
  std::int64_t count() const { return vectors.begin()->second.size(0); }
};

std::vector<prompt::EmbeddingName> names_of(std::span<const Embedding> embeddings);  // same order

struct EmbeddingFolder {
  std::vector<Embedding> embeddings;  // in byte order of their names; of equal names the last stays
  std::vector<prompt::UnusableEmbedding> skipped;  // files that cannot be used, whose name no other file has
};

// All .safetensors, .pt, .bin and .ckpt files in `folder` and below whose vectors are as wide as each text encoder
// (formats/embedding_file.h). Pictures may hold embeddings, too; they are not read, and those that are no previews are
// among the skipped. A missing folder is an empty one.
EmbeddingFolder read_embeddings(const std::filesystem::path& folder, const formats::TextWidths& widths);

// For each text encoder, float32, with memory of their own.
std::map<formats::Component, at::Tensor> tensors_of(const formats::EmbeddingVectors& vectors,
                                                    const std::shared_ptr<const weights::TensorFile>& file);

}  // namespace lowrank::pipeline
