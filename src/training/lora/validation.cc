#include "training/lora/validation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <string>
#include <vector>

#include "pipeline/generate/size_vectors.h"
#include "training/data/told_size.h"
#include "training/run/train_state.h"

namespace lowrank::training {

Validation::Validation(const pipeline::LoadedModel& model, const Dataset& held_out,
                       const LatentCache& latents, CaptionEncoder& captions,
                       const request::LoraTrainOptions& options, const LoraPlan& plan)
    : model_(model),
      held_out_(held_out),
      latents_(latents),
      captions_(captions),
      options_(options.validation),
      plan_(plan),
      seed_(options_.seed != 0 ? options_.seed : options.seed) {}

bool Validation::is_due(std::int64_t done) const {
  if (done == plan_.steps) return true;
  if (options_.every_steps > 0 && done % options_.every_steps == 0) return true;
  if (options_.every_steps > 0 && !options_.every_epochs) return false;
  return done % (options_.every_epochs.value_or(1) * plan_.steps_per_epoch) == 0;
}

double Validation::loss(const NoiseSchedule& noise) {
  const at::NoGradGuard no_grad;
  const auto count =
      std::min<std::size_t>(held_out_.examples().size(),
                            static_cast<std::size_t>(options_.max_pictures.value_or(std::int64_t{1} << 40)));
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::vector<std::string> caption = {
        plain_caption(held_out_.examples()[i].caption, held_out_.subset_of(i).plan.captions)};
    NoisedBatch batch;
    batch.latents = latents_.plain(i).unsqueeze(0);
    batch.conditioning = captions_.encode(caption);
    if (at::Tensor& vector = batch.conditioning.vector; vector.defined())
      vector = at::cat({vector, told_vector(model_, held_out_.examples()[i], false).unsqueeze(0)}, 1);
    const at::Generator generator =
        step_generator(seed_ ^ 0x76616C6964617465ull, static_cast<std::int64_t>(i));
    for (const std::int64_t timestep : kValidationTimesteps) {
      batch.noise = at::empty(batch.latents.sizes()).normal_(0, 1, generator);
      batch.timesteps = at::full({1}, timestep, at::TensorOptions(at::kLong));
      sum += diffusion_loss(*model_.network, batch, model_.prediction, 0, noise).item<double>();
    }
  }
  return sum / static_cast<double>(count * std::size(kValidationTimesteps));
}

at::Tensor told_vector(const pipeline::LoadedModel& model, const Example& example, bool is_mirrored) {
  const auto size =
      told_size(example.size, example.place.bucket, is_mirrored ? Mirrored::kYes : Mirrored::kNo);
  return pipeline::size_vectors(model.family().size_conditioning, size).prompt;
}

}  // namespace lowrank::training
