// The session's walks through the noise levels: the first, from noise or from a picture, and that of hires
// fix.
#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/progress.h"
#include "pipeline/generate/generation_job.h"
#include "pipeline/generate/hires.h"
#include "pipeline/generate/refiner.h"
#include "pipeline/pictures/latent_picture.h"
#include "tensor/arena.h"

namespace lowrank::pipeline {
namespace {

// Thrown out of a sampler when someone wants no more of its steps: the latest denoised latent is the result.
struct EndedEarly {
  at::Tensor latent;
};

// One latent serves the whole batch where only one was given.
at::Tensor for_batch(const at::Tensor& latents, std::int64_t batch_size) {
  if (latents.size(0) == batch_size) return latents;
  return latents.expand({batch_size, latents.size(1), latents.size(2), latents.size(3)});
}

}  // namespace

void Session::start_from_pictures(Job& job) {
  const Stopwatch watch(job.result.seconds_encode);
  const request::GenerationRequest& request = job.request;
  const LoadedModel& model = job.first.model->loaded;
  job.init = prepare_init_pictures(request, [&](const image::Picture& picture, int width, int height) {
    return upscalers_.enlarge(request.upscaler_for_img2img, picture, width, height, job.tiles(), job.stop);
  });
  std::ranges::copy(job.init.warnings, std::back_inserter(job.result.warnings));
  model.make_room_for(formats::Component::kVae);
  std::vector<std::uint64_t> seeds;
  for (int i = 0; i < request.batch_size; ++i) seeds.push_back(job.seeds[static_cast<std::size_t>(i)].seed);
  job.start = encode_init_pictures(model, request, job.init, seeds, job.first.plan.rng);
  const at::Tensor mask = job.init.mask ? mask_tensor(*job.init.mask, request.mask_round) : at::Tensor();
  job.extra = inpainting_channels(model, pixels_of(job.init.pictures), mask,
                                  request.inpainting_mask_weight.value, job.start.latent.sizes().slice(2));
}

sampling::ImageNoiseOptions Session::noise_options(const Job& job, int batch, std::int64_t height,
                                                   std::int64_t width) const {
  const request::GenerationRequest& request = job.request;
  sampling::ImageNoiseOptions noise{.rng = job.first.plan.rng,
                                    .subseed_strength = request.subseed_strength.value,
                                    .seed_resize_from_width = request.seed_resize_width,
                                    .seed_resize_from_height = request.seed_resize_height,
                                    .eta_noise_seed_delta = request.ensd,
                                    .channels = job.first.model->loaded.vae->latent_channels(),
                                    .height = height,
                                    .width = width};
  const auto size = static_cast<std::size_t>(request.batch_size);
  for (std::size_t i = 0; i < size; ++i) {
    const request::PictureSeeds& seeds = job.seeds[static_cast<std::size_t>(batch) * size + i];
    noise.seeds.push_back(seeds.seed);
    noise.subseeds.push_back(seeds.subseed);
  }
  return noise;
}

at::Tensor Session::first_pass(Job& job, int batch) {
  const request::GenerationRequest& request = job.request;
  if (job.second && request.firstpass_image) return {};
  if (batch > 0 && job.second) activate(job, job.first);  // the second pass may have had LoRAs of its own
  const LoadedModel& model = job.first.model->loaded;
  if (!request.is_img2img()) {
    if (!job.extra.defined()) job.extra = inpainting_channels(model, request.width, request.height);
    return sample(job, job.first, batch, std::nullopt, job.extra);
  }
  const at::Tensor& z = job.start.latent;
  return sample(job, job.first, batch,
                sampling::ImageStart{
                    .latent = z.expand({request.batch_size, z.size(1), z.size(2), z.size(3)}),
                    .strength = request.denoising_strength.value,
                    .makes_all_steps = request.img2img_fix_steps,
                    .noise_multiplier = request.initial_noise_multiplier.value,
                    .extra_noise = request.extra_noise.value,
                    .repaint = job.start.repaint,
                },
                job.extra);
}

at::Tensor Session::second_pass(Job& job, int batch, const at::Tensor& latents) {
  at::Tensor extra;
  const at::Tensor z = enlarged(job, latents, extra);
  activate(job, *job.second);
  return sample(job, *job.second, batch,
                sampling::ImageStart{.latent = z,
                                     .strength = job.request.denoising_strength.value,
                                     .makes_all_steps = true,
                                     .noise_multiplier = 1,
                                     .extra_noise = job.request.extra_noise.value,
                                     .repaint = {}},
                extra);
}

// The first pass's latents in the size of the second, by latent or by way of pictures; `extra` for an
// inpainting checkpoint.
at::Tensor Session::enlarged(Job& job, const at::Tensor& latents, at::Tensor& extra) {
  const Stopwatch watch(job.result.seconds_upscale);
  const request::GenerationRequest& request = job.request;
  const Pass& first = job.first;
  const LoadedModel& model = job.second->model->loaded;
  const LoadedModel& before = (first.has_switched ? first.refiner : first.model)->loaded;
  const auto cell = static_cast<int>(model.vae->downscale());
  const HiresSize size = hires_size(request, cell);
  const double weight = request.inpainting_mask_weight.value;
  if (const LatentUpscaleRow* mode = find_latent_upscale(request.hr_upscaler)) {
    const at::Tensor small =
        request.firstpass_image ? encode_pixels(before, pixels_of({*request.firstpass_image})) : latents;
    const at::Tensor grown = mode->grow(small, {size.height / cell, size.width / cell});
    if (model.is_inpainting() && weight < 1) {
      std::vector<at::Tensor> pixels;
      for (std::int64_t i = 0; i < grown.size(0); ++i)
        pixels.push_back(decode_pixels(model, grown.narrow(0, i, 1)));
      extra = inpainting_channels(model, at::stack(pixels), {}, weight, grown.sizes().slice(2));
    } else {
      extra = inpainting_channels(model, size.width, size.height);
    }
    if (extra.defined()) extra = cut_latent(extra, size);
    return for_batch(cut_latent(grown, size), request.batch_size);
  }
  model.make_room_for(formats::Component::kVae);
  std::vector<image::Picture> pictures;
  const auto add = [&](const image::Picture& small) {
    pictures.push_back(
        upscalers_.enlarge(request.hr_upscaler, small, size.width, size.height, job.tiles(), job.stop));
  };
  if (request.firstpass_image) {
    add(*request.firstpass_image);
  } else {
    for (std::int64_t i = 0; i < latents.size(0); ++i) add(decode_latent(before, latents.narrow(0, i, 1)));
  }
  std::vector<at::Tensor> encoded;
  for (const auto& picture : pictures) encoded.push_back(encode_pixels(model, pixels_of({picture})));
  const at::Tensor z = at::cat(encoded);
  extra = inpainting_channels(model, pixels_of(pictures), {}, weight, z.sizes().slice(2));
  if (extra.defined()) extra = cut_latent(extra, size);
  return for_batch(cut_latent(z, size), request.batch_size);
}

at::Tensor Session::sample(Job& job, Pass& pass, int batch, std::optional<sampling::ImageStart> start,
                           const at::Tensor& extra) {
  const Stopwatch watch(job.result.seconds_sample);
  const request::GenerationRequest& asked = job.request;
  const std::int64_t cell = pass.model->loaded.vae->downscale();
  const auto noise = start ? noise_options(job, batch, start->latent.size(2), start->latent.size(3))
                           : noise_options(job, batch, asked.height / cell, asked.width / cell);
  sampling::SampleRequest request = pass.plan.sample;
  request.image = std::move(start);
  std::vector<double> weights;
  for (const auto& use : pass.prompts.parsed.composition) weights.push_back(use.weight);
  request.guidance.weights.assign(static_cast<std::size_t>(asked.batch_size), weights);
  const int steps =
      request.image
          ? sampling::image_steps(request.steps, request.image->strength, request.image->makes_all_steps).made
          : request.steps;
  const auto set_step = [&](int step) {
    for (ResidentModel* model : {pass.model, pass.refiner})
      if (model != nullptr) model->loras.set_step(step, std::max(1, steps));
  };
  const auto switching = [](ResidentModel* model) {
    return [model](int call) { model->loras.set_call(call); };
  };
  at::Tensor latest;  // what the last step gave
  const auto end_if_wished = [&] {
    const Wish wish = job.listener.wish ? job.listener.wish() : Wish::kGoOn;
    job.is_finished = job.is_finished || wish == Wish::kFinish;
    if (wish != Wish::kGoOn) throw EndedEarly{latest};
  };
  const auto between_blocks = [&] {
    throw_if_stopped(job.stop);
    if (latest.defined()) end_if_wished();
  };
  PromptedUNet network(*pass.model->loaded.unet, pass.prompts, extra, asked.step_cache, switching(pass.model),
                       between_blocks);
  std::optional<PromptedUNet> refiner;
  std::optional<RefinedUNet> refined;
  const sampling::NoiseTable table = sampling::sampler_noise_table(*pass.plan.sampler, request);
  if (pass.refiner != nullptr) {
    refiner.emplace(*pass.refiner->loaded.unet, pass.refined, extra, asked.step_cache,
                    switching(pass.refiner), between_blocks);
    refined.emplace(network, *refiner,
                    RefinerRule{.switch_at = asked.refiner_switch_at.value,
                                .by_steps = asked.refiner_switch_by_steps,
                                .is_timestep_sampler = pass.plan.sampler->is_timestep,
                                .total_calls = sampling::planned_calls(*pass.plan.sampler, steps),
                                .table = &table},
                    [&] { pass.model->loaded.make_room_for(formats::Component::kVae); });
  }
  sampling::NoiseModel& model = refined ? static_cast<sampling::NoiseModel&>(*refined) : network;
  set_step(1);
  pass.model->loaded.make_room_for(formats::Component::kUnet);
  tensor::use_arena();
  const auto on_step = [&](const sampling::StepReport& report) {
    if (report.step < steps) set_step(report.step + 1);
    if (job.listener.on_step) {
      StepEvent event{.step = report.step,
                      .steps = report.steps,
                      .pass = &pass == &job.first ? 0 : 1,
                      .passes = job.second ? 2 : 1,
                      .batch = batch,
                      .batches = asked.batch_count,
                      .seconds = watch.elapsed(),
                      .preview = std::nullopt};
      if (job.listener.preview == Preview::kEachStep ||
          (job.listener.preview == Preview::kOnDemand && job.listener.wants_preview(report.step)))
        event.preview = preview_latent(pass.model->loaded, report.denoised.select(0, 0));
      job.listener.on_step(event);
    }
    latest = report.denoised;
    end_if_wished();
  };
  pass.ended_early = false;
  try {
    pass.sampled = sampling::run_sampler(*pass.plan.sampler, request, model,
                                         *sampling::make_image_noise(noise), on_step, job.stop);
  } catch (EndedEarly& early) {
    pass.sampled = {.latent = std::move(early.latent)};
    pass.ended_early = true;
  }
  job.result.unet_passes += network.passes() + (refiner ? refiner->passes() : 0);
  pass.padded = network.padded();
  pass.has_switched = refined && refined->has_switched();
  return std::move(pass.sampled.latent);
}

}  // namespace lowrank::pipeline
