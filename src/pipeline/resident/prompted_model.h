// The diffusion model with the prompts of one batch: what sampling calls the noise model. Which text conditions a call
// depends on the number of the call (prompt editing); rows of equal context length go through the model together.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "model/diffusion_model.h"
#include "pipeline/resident/conditioning.h"
#include "prompt/prompt.h"
#include "sampling/denoiser.h"

namespace lowrank::pipeline {

// The encodings of a parsed prompt's parts, in its order.
struct PromptEncodings {
  std::vector<std::shared_ptr<const EncodedPrompt>> pieces;  // as ParsedPrompt::pieces
  std::shared_ptr<const EncodedPrompt> negative;
  at::Tensor empty;  // [77, width] to pad the shorter of cond and uncond with; undefined: they run separately
};

struct PromptConditioning {
  prompt::ParsedPrompt parsed;
  std::vector<Embedding> embeddings;  // what parsed.used_embeddings counts in
  std::vector<PromptEncodings> sets;  // one for each set of LoRAs that acts on the text encoder at some call
  std::vector<std::size_t> set_of_call;  // empty: the first at all calls

  const PromptEncodings& at(int call) const {
    const auto place = static_cast<std::size_t>(call);
    return sets[place < set_of_call.size() ? set_of_call[place] : 0];
  }
};

// What a model that is told the picture's size hears beside the pooled text, [numbers · 256]; undefined for others.
struct SizeVectors {
  at::Tensor prompt = {}, negative = {};
};

struct PromptedModelOptions {
  at::Tensor extra = {};  // [1 or images, c, h, w]: what an inpainting model sees beside the latent
  SizeVectors sizes = {};
  std::int64_t rows_at_once = 0;  // through the model, where memory is scarce; 0: all
  int whole_every = 1;            // > 1: only every so many calls run the whole model (model/step_cache.h)
  std::function<void(int call)> before_call = {};  // told of each call before it is made
  // Called after each block, where it may end the walk by an exception: a call takes seconds.
  std::function<void()> between_blocks = {};
};

class PromptedModel : public sampling::NoiseModel {
 public:
  // Both must outlive this object.
  PromptedModel(const model::DiffusionModel& model, const PromptConditioning& prompts,
                PromptedModelOptions options = {})
      : model_(model), prompts_(prompts), options_(std::move(options)) {}

  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps,
                     std::span<const sampling::BranchRow> rows, int call) override;

  std::int64_t passes() const { return passes_; }  // of the model so far
  bool padded() const { return padded_; }          // lengths had to be equalised with `empty`

 private:
  model::Conditioning conditioning(std::span<const sampling::BranchRow> rows, int call) const;
  at::Tensor pad_to(const at::Tensor& context, std::int64_t length, const at::Tensor& empty);
  at::Tensor with_extra(const at::Tensor& x, std::span<const sampling::BranchRow> rows) const;
  // What is kept of a context: its keys and values, and the steps' features by first row and count.
  struct Seen {
    model::PromptMemory memory;
    std::map<std::pair<std::int64_t, std::int64_t>, model::StepCache> caches = {};
  };
  Seen& remembered(const model::Conditioning& conditioning);

  const model::DiffusionModel& model_;
  const PromptConditioning& prompts_;
  PromptedModelOptions options_;
  std::list<Seen> prompts_seen_;  // the last one first
  std::int64_t passes_ = 0;
  bool padded_ = false;
};

}  // namespace lowrank::pipeline
