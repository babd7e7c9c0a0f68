// The U-Net's weights in the kernels' order, kept on disk so that the next start maps them instead of making
// them. A file is a header, which spells out every layer's place, and then the layers. The header that a
// checkpoint must have follows from its shapes: what does not begin with just those bytes, and is not just as
// long, is made anew. The folder may be deleted at any time, also while a program runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "model/layer.h"
#include "weights/tensor_file.h"

namespace lowrank::pipeline {

struct PackedCacheOptions {
  std::filesystem::path folder = {};                   // "": nothing is kept
  std::int64_t limit_bytes = std::int64_t{8} << 30;    // of all files; those unused for longest go first
  std::int64_t least_bytes = std::int64_t{256} << 20;  // smaller models are packed at once anyhow
};

class PackedCache {
 public:
  explicit PackedCache(PackedCacheOptions options) : options_(std::move(options)) {}
  ~PackedCache();  // waits until what was made lies on disk

  // Prepares all layers; true when they were found. `files` hold the layers' weights and tell checkpoints
  // apart; `between` is called after some 128 MB of them were read. A cache that cannot be read or written
  // is done without.
  bool prepare(const model::LayerMap& layers,
               std::span<const std::shared_ptr<const weights::TensorFile>> files,
               const std::function<void()>& between);

 private:
  PackedCacheOptions options_;
  std::vector<std::jthread> writers_;
};

}  // namespace lowrank::pipeline
