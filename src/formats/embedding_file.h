// A textual inversion: a few learned token vectors in a small file, used in prompts by the file's name.
// Written by A1111 (`string_to_param` in a pickle, `emb_params` in safetensors), by diffusers (one tensor
// under its token) and, for SDXL, as a pair `clip_l` and `clip_g`. Source: the files that A1111's web
// UI and huggingface/diffusers write.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/layer_address.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

// What stands for the words in each text encoder: [v, width], v ≥ 1 the same for both.
struct EmbeddingVectors {
  std::map<Component, weights::TensorView> of;

  std::int64_t count() const;  // v
  // Of one encoder; nullptr: none.
  const weights::TensorView* find(Component component) const;
};
// The encoder that unnamed vectors of that width are for: of SDXL's the second where only that is so wide, else the first.
Component encoder_of_width(std::int64_t width);
// The width of the token vectors of each text encoder of a model.
using TextWidths = std::map<Component, std::int64_t>;
// The family that the vectors' widths tell: "SDXL"; "": of no known one.
std::string_view embedding_family(const EmbeddingVectors& vectors);
// Why they cannot be used with such encoders, as what follows a name: "is made for SDXL (vectors 768 and 1280 wide), but …";
// "" when they can. Each encoder needs its vectors, and a single encoder takes no pair, as in A1111.
std::string vectors_misfit(const EmbeddingVectors& vectors, const TextWidths& widths);

struct EmbeddingFile {
  std::filesystem::path path;
  std::string name;  // file stem, as typed in prompts
  EmbeddingVectors vectors;
  std::shared_ptr<const weights::TensorFile> file;  // owner of the vectors
};

// Makes [width] to [1, width]. False: it is no set of vectors.
bool shape_as_vectors(weights::TensorView& view);

// Throws Error naming the file when it holds no single set of vectors.
EmbeddingFile open_embedding(const std::filesystem::path& path);
EmbeddingFile read_embedding(std::shared_ptr<const weights::TensorFile> file);

// All embeddings in `folder` and below: .safetensors, .pt, .bin and .ckpt files, whose vectors must fit the text encoders
// where their widths are given. Pictures may hold embeddings, too; they are not read, and those that are no previews count as
// unusable. A missing folder is an empty one.
struct EmbeddingFolder {
  struct Unusable {
    std::string name;    // as typed in prompts
    std::string reason;  // one sentence
  };
  std::vector<EmbeddingFile> usable;  // in byte order of their names; of equal names the last path stays
  std::vector<Unusable> unusable;     // likewise; none whose name a usable one has
};
EmbeddingFolder read_embedding_folder(const std::filesystem::path& folder,
                                      const std::optional<TextWidths>& widths);
// Changes whenever one of its files does.
std::string embedding_folder_state(const std::filesystem::path& folder);

// The first 10 digits of the file's SHA-256, as in `TI hashes`.
std::string embedding_short_hash(const EmbeddingFile& embedding);

}  // namespace lowrank::formats
