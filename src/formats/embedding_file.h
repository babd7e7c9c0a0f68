// A textual inversion: a few learned token vectors in a small file, used in prompts by the file's name.
// Written by A1111 (`string_to_param` in a pickle, `emb_params` in safetensors), by diffusers (one tensor
// under its token) and, for SDXL, as a pair of which SD 1.x uses `clip_l`. Source: the files that A1111's web
// UI and huggingface/diffusers write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "weights/tensor_file.h"

namespace lowrank::formats {

struct EmbeddingFile {
  std::filesystem::path path;
  std::string name;                                 // file stem, as typed in prompts
  weights::TensorView vectors;                      // [v, width], v ≥ 1
  std::shared_ptr<const weights::TensorFile> file;  // owner of the vectors
};

// Makes [width] to [1, width]. False: it is no set of vectors.
bool shape_as_vectors(weights::TensorView& view);

// Throws Error naming the file when it holds no single set of vectors.
EmbeddingFile open_embedding(const std::filesystem::path& path);
EmbeddingFile read_embedding(std::shared_ptr<const weights::TensorFile> file);

// All embeddings in `folder` and below: .safetensors, .pt, .bin and .ckpt files, whose vectors must be `width` wide where
// a width is given. Pictures may hold embeddings, too; they are not read, and those that are no previews count as
// unusable. A missing folder is an empty one.
struct EmbeddingFolder {
  struct Unusable {
    std::string name;    // as typed in prompts
    std::string reason;  // one sentence
  };
  std::vector<EmbeddingFile> usable;  // in byte order of their names; of equal names the last path stays
  std::vector<Unusable> unusable;     // likewise; none whose name a usable one has
};
EmbeddingFolder read_embedding_folder(const std::filesystem::path& folder, std::optional<std::int64_t> width);
// Changes whenever one of its files does.
std::string embedding_folder_state(const std::filesystem::path& folder);

// The first 10 digits of the file's SHA-256, as in `TI hashes`.
std::string embedding_short_hash(const EmbeddingFile& embedding);

}  // namespace lowrank::formats
