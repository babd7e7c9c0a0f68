#include "pipeline/resident/embeddings.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/sha256.h"
#include "formats/embedding_file.h"
#include "tensor/state_dict.h"

namespace lowrank::pipeline {

std::string Embedding::short_hash() const {
  return lora_version.empty() ? sha256_file_hex(path).substr(0, 10) : "";
}

std::vector<prompt::EmbeddingName> names_of(std::span<const Embedding> embeddings) {
  std::vector<prompt::EmbeddingName> list;
  for (const auto& e : embeddings) list.push_back({e.name, static_cast<int>(e.count())});
  return list;
}

std::map<formats::Component, at::Tensor> tensors_of(const formats::EmbeddingVectors& vectors,
                                                    const std::shared_ptr<const weights::TensorFile>& file) {
  std::map<formats::Component, at::Tensor> tensors;
  for (const auto& [component, view] : vectors.of)
    tensors.emplace(component, tensor::as_tensor(view, file).to(at::kFloat).clone());
  return tensors;
}

EmbeddingFolder read_embeddings(const std::filesystem::path& folder, const formats::TextWidths& widths) {
  auto found = formats::read_embedding_folder(folder, widths);
  EmbeddingFolder result;
  for (auto& [name, reason] : found.unusable) result.skipped.push_back({std::move(name), std::move(reason)});
  for (const formats::EmbeddingFile& file : found.usable)
    result.embeddings.push_back(
        {.name = file.name, .path = file.path, .vectors = tensors_of(file.vectors, file.file)});
  return result;
}

}  // namespace lowrank::pipeline
