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

  // Those that fit a text encoder of that width, and the others with the reason; without a width all that can be read.
  std::shared_ptr<const formats::EmbeddingFolder> fitting(std::optional<std::int64_t> width);

 private:
  const std::filesystem::path folder_;
  std::mutex mutex_;  // guards everything below
  std::string state_;
  std::optional<std::int64_t> width_;
  std::shared_ptr<const formats::EmbeddingFolder> read_;
};

}  // namespace lowrank::server
