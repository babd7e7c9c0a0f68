// Weights in the kernels' order, kept on disk so that the next start maps them instead of making them. A file holds one
// component of a model: a header, which spells out every layer's place, and then the layers. The header that a
// component must have follows from its shapes: what does not begin with just those bytes, and is not just as
// long, is made anew. The folder may be deleted at any time, also while a program runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "model/layer.h"
#include "pipeline/resident/packed_folder.h"
#include "weights/hash_memo.h"
#include "weights/tensor_file.h"

namespace lowrank::pipeline {

struct PackedCacheOptions {
  std::filesystem::path folder = {};  // "": nothing is kept
  // Of all files; those unused for longest go first. nullopt: half of what the disk has free (packed_folder.h).
  std::optional<std::int64_t> limit_bytes = {};
  std::int64_t least_bytes = std::int64_t{64} << 20;  // smaller components are packed at once anyhow
};

// A component's layers in a file of the cache, mapped as long as a layer or this holds it.
struct KeptWeights {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
  std::function<void()> require_unchanged = {};  // as MappedFile does

  // The layers go on working; see release_pages.
  void release() const;
};

// Calls `between` whenever some 128 MB were read.
class Pauses {
 public:
  explicit Pauses(const std::function<void()>& between) : between_(between) {}
  void after(std::int64_t bytes);

 private:
  const std::function<void()>& between_;
  std::int64_t read_ = 0;
};

class PackedCache {
 public:
  explicit PackedCache(PackedCacheOptions options)
      : options_(std::move(options)), folder_(options_.folder, options_.limit_bytes) {}
  ~PackedCache();  // waits until what was made lies on disk

  // Of checkpoints, in the cache's folder.
  weights::HashMemo hash_memo() const;

  // The components that follow are those of one model.
  void begin_model(std::string_view name) { folder_.begin_model(name); }

  // Prepares all layers in a file of the cache; nothing where a component is too small or the cache cannot be
  // read or written. `files` hold the layers' weights and tell checkpoints apart; throws Error(kConflict) when one of
  // them changed meanwhile, and keeps nothing then. `between` is called as Pauses does, and at the end. What was made leaves
  // this process's memory on the way.
  std::optional<KeptWeights> keep(const model::LayerMap& layers,
                                  std::span<const std::shared_ptr<const weights::TensorFile>> files,
                                  const std::function<void()>& between);

  // What was dropped or could not be kept since the last call, one sentence each.
  std::vector<std::string> take_notes() { return folder_.take_notes(); }

 private:
  bool is_off() const { return options_.folder.empty() || options_.limit_bytes == std::int64_t{0}; }

  PackedCacheOptions options_;
  PackedFolder folder_;
  std::vector<std::jthread> writers_;
};

}  // namespace lowrank::pipeline
