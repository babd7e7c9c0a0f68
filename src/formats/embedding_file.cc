#include "formats/embedding_file.h"

#include <utility>

#include "base/error.h"
#include "formats/hashes.h"
#include "formats/single_file.h"

namespace lowrank::formats {
namespace {

using weights::TensorFile;
using weights::TensorView;

constexpr std::int64_t kMaxVectors = 10'000;

// The one tensor of vectors; null when there is none or it cannot be told.
const TensorView* find_vectors(const TensorFile& file) {
  if (const TensorView* clip = file.find("clip_l")) return clip;
  if (const TensorView* params = file.find("emb_params")) return params;
  const TensorView* found = nullptr;
  for (const TensorView& view : file.tensors()) {
    if (found != nullptr) return nullptr;
    found = &view;
  }
  return found;
}

}  // namespace

EmbeddingFile read_embedding(std::shared_ptr<const TensorFile> file) {
  EmbeddingFile embedding{
      .path = file->path(), .name = file->path().stem().string(), .vectors = {}, .file = nullptr};
  const TensorView* vectors = find_vectors(*file);
  if (vectors == nullptr) {
    throw Error(kBadInput, "{}: is no textual inversion, it looks like {}; choose another file.",
                file->path().string(),
                file->tensors().size() < 8 ? "a file of several tensors" : describe_file(*file));
  }
  embedding.vectors = *vectors;
  auto& shape = embedding.vectors.shape;
  if (shape.size() == 1) shape.insert(shape.begin(), 1);
  if (shape.size() != 2 || shape[0] < 1 || shape[0] > kMaxVectors || shape[1] < 1) {
    throw Error(kBadInput,
                "{}: a textual inversion has vectors [count, width], but '{}' is {}; choose another file.",
                file->path().string(), vectors->name, weights::shape_text(vectors->shape));
  }
  embedding.file = std::move(file);
  return embedding;
}

EmbeddingFile open_embedding(const std::filesystem::path& path) {
  return read_embedding(TensorFile::open(path));
}

std::string embedding_short_hash(const EmbeddingFile& embedding) {
  return auto_v2(embedding.file->file_bytes());
}

}  // namespace lowrank::formats
