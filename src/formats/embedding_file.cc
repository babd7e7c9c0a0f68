#include "formats/embedding_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/file_identity.h"
#include "base/files_below.h"
#include "formats/file_kind.h"
#include "formats/hashes.h"

namespace lowrank::formats {
namespace {

using weights::TensorFile;
using weights::TensorView;

namespace fs = std::filesystem;

constexpr std::int64_t kMaxVectors = 10'000;
constexpr std::uint64_t kMaxBytes = 64u << 20;

// The one tensor of vectors; null when there is none or it cannot be told.
const TensorView* find_vectors(const TensorFile& file) {
  if (const TensorView* clip = file.find("clip_l")) return clip;
  if (const TensorView* params = file.find("emb_params")) return params;
  const TensorView* found = nullptr;
  for (const TensorView& view : file.tensors()) {
    if (view.name.starts_with("string_to_param")) return &view;
  }
  for (const TensorView& view : file.tensors()) {
    if (found != nullptr) return nullptr;
    found = &view;
  }
  return found;
}

// A1111 hides an embedding in the pixels or chunks of a picture; NAME.preview.png only shows one.
struct Candidates {
  std::vector<fs::path> files, pictures;
};

Candidates candidates_in(const fs::path& folder) {
  Candidates found{.files = files_below(folder, {".safetensors", ".pt", ".bin", ".ckpt"}),
                   .pictures = files_below(folder, {".png", ".webp"})};
  std::erase_if(found.pictures, [](const fs::path& path) { return path.stem().extension() == ".preview"; });
  return found;
}

EmbeddingFile open_fitting(const fs::path& path, std::optional<std::int64_t> width) {
  std::error_code failure;
  if (fs::file_size(path, failure) > kMaxBytes && !failure)
    throw Error(kBadInput, "{}: is too large for a textual inversion; choose another file.", path.string());
  EmbeddingFile embedding = open_embedding(path);
  const auto& shape = embedding.vectors.shape;
  if (width && shape[1] != *width)
    throw Error(kUnsupported,
                "{}: its vectors have shape {}, but this checkpoint's text encoder has width {}.",
                path.string(), weights::shape_text(shape), *width);
  if (!std::ranges::all_of(weights::to_floats(embedding.vectors), [](float v) { return std::isfinite(v); }))
    throw Error(kBadInput, "{}: its vectors contain NaN or infinite values; get another version of it.",
                path.string());
  return embedding;
}

}  // namespace

bool shape_as_vectors(TensorView& view) {
  auto& shape = view.shape;
  if (shape.size() == 1) shape.insert(shape.begin(), 1);
  return shape.size() == 2 && shape[0] >= 1 && shape[0] <= kMaxVectors && shape[1] >= 1;
}

EmbeddingFile read_embedding(std::shared_ptr<const TensorFile> file) {
  EmbeddingFile embedding{
      .path = file->path(), .name = file->path().stem().string(), .vectors = {}, .file = nullptr};
  const TensorView* vectors = find_vectors(*file);
  if (vectors == nullptr) {
    const std::string kind = describe_file(*file);
    if (kind == "a textual inversion")
      throw Error(kBadInput,
                  "{}: contains several sets of vectors, none of them named clip_l; choose another file.",
                  file->path().string());
    throw Error(kBadInput, "{}: is not a textual inversion, it looks like {}; choose another file.",
                file->path().string(),
                kind.starts_with("something else") ? "a file with several tensors" : kind);
  }
  embedding.vectors = *vectors;
  if (!shape_as_vectors(embedding.vectors)) {
    throw Error(kBadInput,
                "{}: a textual inversion has vectors [count, width], but '{}' is {}; choose another file.",
                file->path().string(), vectors->name, weights::shape_text(vectors->shape));
  }
  if (!weights::is_float(vectors->dtype) && vectors->scaling == nullptr) {
    throw Error(kBadInput, "{}: its vectors '{}' are integers ({}), not floats; download the file again.",
                file->path().string(), vectors->name, weights::dtype_name(vectors->dtype));
  }
  embedding.file = std::move(file);
  return embedding;
}

EmbeddingFile open_embedding(const std::filesystem::path& path) {
  return read_embedding(TensorFile::open(path));
}

std::string embedding_folder_state(const fs::path& folder) {
  const Candidates found = candidates_in(folder);
  std::string state;
  for (const auto* paths : {&found.files, &found.pictures})
    for (const fs::path& path : *paths)
      state += fmt::format("{} {}\n", path.string(), identity_of(path).text());
  return state;
}

EmbeddingFolder read_embedding_folder(const fs::path& folder, std::optional<std::int64_t> width) {
  const auto [paths, pictures] = candidates_in(folder);
  std::map<std::string, EmbeddingFile> usable;
  std::map<std::string, std::string> reasons;
  for (const auto& path : pictures)
    reasons[path.stem().string()] = fmt::format(
        "{}: embeddings inside a picture are not supported; get it as a .pt or .safetensors file.",
        path.string());
  for (const auto& path : paths) {
    const std::string name = path.stem().string();
    try {
      usable.insert_or_assign(name, open_fitting(path, width));
    } catch (const Error& error) {
      reasons[name] = error.what();
    }
  }
  EmbeddingFolder result;
  for (auto& [name, reason] : reasons)
    if (!usable.contains(name)) result.unusable.push_back({name, std::move(reason)});
  for (auto& [name, embedding] : usable) result.usable.push_back(std::move(embedding));
  return result;
}

std::string embedding_short_hash(const EmbeddingFile& embedding) {
  return auto_v2(embedding.file->file_bytes());
}

}  // namespace lowrank::formats
