#include "server/catalog/embedding_cache.h"

namespace lowrank::server {

std::shared_ptr<const formats::EmbeddingFolder> EmbeddingCache::fitting(
    const std::optional<formats::TextWidths>& widths) {
  const std::lock_guard lock(mutex_);
  std::string state = formats::embedding_folder_state(folder_);
  if (read_ != nullptr && state == state_ && widths == widths_) return read_;
  auto folder = formats::read_embedding_folder(folder_, widths);
  for (formats::EmbeddingFile& embedding : folder.usable)
    embedding.file.reset();  // a thousand files stay neither open nor mapped; what is asked for is the shape
  read_ = std::make_shared<const formats::EmbeddingFolder>(std::move(folder));
  state_ = std::move(state);
  widths_ = widths;
  return read_;
}

}  // namespace lowrank::server
