// A textual inversion: a few learned token vectors in a small file, used in prompts by the file's name.
// Written by A1111 (`string_to_param` in a pickle, `emb_params` in safetensors), by diffusers (one tensor
// under its token) and, for SDXL, as a pair of which SD 1.x uses `clip_l`. Source: the files that A1111's web
// UI and huggingface/diffusers write.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "weights/tensor_file.h"

namespace lowrank::formats {

struct EmbeddingFile {
  std::filesystem::path path;
  std::string name;                                 // file stem, as typed in prompts
  weights::TensorView vectors;                      // [v, width], v ≥ 1
  std::shared_ptr<const weights::TensorFile> file;  // owner of the vectors
};

// Throws Error naming the file when it holds no single set of vectors.
EmbeddingFile open_embedding(const std::filesystem::path& path);
EmbeddingFile read_embedding(std::shared_ptr<const weights::TensorFile> file);

// The first 10 digits of the file's SHA-256, as in `TI hashes`.
std::string embedding_short_hash(const EmbeddingFile& embedding);

}  // namespace lowrank::formats
