#include "pipeline/embeddings.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"
#include "prompt/text.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxEmbeddingBytes = 64u << 20;

bool is_embedding_file(const fs::path& path) {
  const std::string extension = prompt::lower(path.extension().string());
  return extension == ".safetensors" || extension == ".pt" || extension == ".bin" || extension == ".ckpt";
}

// The tensor of vectors in the file: SDXL's clip_l, A1111's string_to_param, or the only tensor there is.
const weights::TensorView* vectors_of(const weights::TensorFile& file) {
  if (const auto* clip_l = file.find("clip_l")) return clip_l;
  const weights::TensorView* found = nullptr;
  for (const auto& view : file.tensors()) {
    if (view.name.starts_with("string_to_param")) return &view;
    if (found != nullptr) return nullptr;
    found = &view;
  }
  return found;
}

Embedding read_embedding(const fs::path& path, std::int64_t width) {
  if (fs::file_size(path) > kMaxEmbeddingBytes)
    throw Error(kBadInput, "{}: too large for a textual inversion.", path.string());
  const auto file = weights::TensorFile::open(path);
  const weights::TensorView* view = vectors_of(*file);
  if (view == nullptr) throw Error(kBadInput, "{}: holds no single tensor of vectors.", path.string());
  const auto& shape = view->shape;
  if (shape.empty() || shape.size() > 2 || view->elements() == 0 || shape.back() != width)
    throw Error(kUnsupported, "{}: its vectors have shape {}, but this checkpoint's text encoder is {} wide.",
                path.string(), weights::shape_text(shape), width);
  const at::Tensor vectors = tensor::as_tensor(*view, file).to(at::kFloat).reshape({-1, width}).clone();
  return {path.stem().string(), path, vectors};
}

}  // namespace

std::string Embedding::short_hash() const {
  return sha256_file_hex(path).substr(0, 10);
}

std::vector<prompt::EmbeddingName> EmbeddingFolder::names() const {
  std::vector<prompt::EmbeddingName> list;
  for (const auto& e : embeddings) list.push_back({e.name, static_cast<int>(e.vectors.size(0))});
  return list;
}

EmbeddingFolder read_embeddings(const fs::path& folder, std::int64_t width) {
  std::set<fs::path> paths;
  std::error_code failure;
  for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, failure),
       end;
       !failure && it != end; it.increment(failure)) {
    if (it->is_regular_file(failure) && is_embedding_file(it->path())) paths.insert(it->path());
  }
  std::map<std::string, Embedding> by_name;
  EmbeddingFolder result;
  for (const auto& path : paths) {
    try {
      Embedding embedding = read_embedding(path, width);
      by_name.insert_or_assign(embedding.name, std::move(embedding));
    } catch (const Error& error) {
      result.skipped.emplace_back(error.what());
    }
  }
  for (auto& [name, embedding] : by_name) result.embeddings.push_back(std::move(embedding));
  return result;
}

}  // namespace lowrank::pipeline
