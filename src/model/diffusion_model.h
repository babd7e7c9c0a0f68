// The network that tells what is noise in a latent, whatever its architecture: what sampling and training ask of it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "model/layer.h"
#include "model/prompt_memory.h"
#include "model/step_cache.h"

namespace lowrank::model {

class DiffusionModel {
 public:
  virtual ~DiffusionModel() = default;

  // Called with a block's canonical name ("input_blocks.3", "middle_block" …) and its output.
  using Observer = std::function<void(std::string_view, const at::Tensor&)>;

  // x [B, channels, h, w], timesteps float [B] (may be fractional) → prediction [B, latent channels, h, w], float32.
  // h and w of any size ≥ 1.
  virtual at::Tensor forward(const at::Tensor& x, const at::Tensor& timesteps,
                             const Conditioning& conditioning, const Observer& observer = {}) const = 0;
  // The same without gradients, step after step with a prompt whose keys and values are kept. With a cache, most of the
  // blocks may be left out.
  virtual PromptMemory remember(Conditioning conditioning) const = 0;
  virtual at::Tensor forward(const at::Tensor& x, const at::Tensor& timesteps, PromptMemory& prompt,
                             const Observer& observer = {}, StepCache* cache = nullptr) const = 0;
  // Rises whenever a change to a layer (a LoRA) comes or goes.
  virtual std::uint64_t revision() const = 0;

  virtual std::int64_t in_channels() const = 0;
  virtual std::int64_t model_channels() const = 0;  // of the finest maps
  virtual std::int64_t context_width() const = 0;   // of Conditioning::text
  virtual std::int64_t vector_width() const = 0;    // of Conditioning::vector; 0: it takes none

  virtual LayerMap& layers() = 0;
  virtual const LayerMap& layers() const = 0;
  virtual const std::shared_ptr<ComputePolicy>& policy() const = 0;
};

}  // namespace lowrank::model
