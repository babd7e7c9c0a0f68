// The textual inversions of the data folder, read once until one of their files changes. Safe to use from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "formats/embedding_file.h"

namespace lowrank::server {

class EmbeddingCache {
 public:
  explicit EmbeddingCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Those that fit text encoders of those widths, and the others with the reason; without widths all that can be read.
  std::shared_ptr<const formats::EmbeddingFolder> fitting(const std::optional<formats::TextWidths>& widths);

 private:
  const std::filesystem::path folder_;
  std::mutex mutex_;  // guards everything below
  std::string state_;
  std::optional<formats::TextWidths> widths_;
  std::shared_ptr<const formats::EmbeddingFolder> read_;
};

}  // namespace lowrank::server
