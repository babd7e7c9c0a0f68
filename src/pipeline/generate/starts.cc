#include "pipeline/generate/starts.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "pipeline/generate/hires.h"
#include "pipeline/pictures/latent_picture.h"

namespace lowrank::pipeline {
namespace {

// One latent serves the whole batch where only one was given.
at::Tensor for_batch(const at::Tensor& latents, std::int64_t batch_size) {
  if (latents.size(0) == batch_size) return latents;
  return latents.expand({batch_size, latents.size(1), latents.size(2), latents.size(3)});
}

struct Grown {
  at::Tensor latents, extra;
};

Grown grow_latents(const LatentUpscaleRow& mode, const LoadedModel& model, const at::Tensor& small,
                   const HiresSize& size, double weight) {
  const std::int64_t cell = model.vae->downscale();
  Grown grown{.latents = mode.grow(small, {size.height / cell, size.width / cell}), .extra = {}};
  if (!model.is_inpainting() || weight >= 1) {
    grown.extra = inpainting_channels(model, size.width, size.height);
    return grown;
  }
  std::vector<at::Tensor> pixels;
  for (std::int64_t i = 0; i < grown.latents.size(0); ++i)
    pixels.push_back(decode_pixels(model, grown.latents.narrow(0, i, 1)));
  grown.extra = inpainting_channels(model, at::stack(pixels), {}, weight, grown.latents.sizes().slice(2));
  return grown;
}

Grown grow_pictures(const std::vector<image::Picture>& pictures, const LoadedModel& model, double weight) {
  std::vector<at::Tensor> encoded;
  for (const auto& picture : pictures) encoded.push_back(encode_pixels(model, pixels_of({picture})));
  Grown grown{.latents = at::cat(encoded), .extra = {}};
  grown.extra = inpainting_channels(model, pixels_of(pictures), {}, weight, grown.latents.sizes().slice(2));
  return grown;
}

}  // namespace

FirstStart start_first_pass(const Pass& pass, const Generation& generation, Upscalers& upscalers,
                            GenerationResult& result) {
  const request::GenerationRequest& request = generation.request;
  const LoadedModel& model = pass.model->loaded;
  FirstStart first;
  if (!request.is_img2img()) {
    first.start.extra = inpainting_channels(model, request.width, request.height);
    return first;
  }
  const Stopwatch watch(result.seconds_encode);
  first.init = prepare_init_pictures(request, [&](const image::Picture& picture, int width, int height) {
    return upscalers.enlarge(request.upscaler_for_img2img, picture, width, height, generation.tiles(),
                             generation.stop);
  });
  std::ranges::copy(first.init.warnings, std::back_inserter(result.warnings));
  model.make_room_for(LoadedModel::Stage::kVae);
  std::vector<std::uint64_t> seeds;
  for (int i = 0; i < request.batch_size; ++i)
    seeds.push_back(generation.seeds[static_cast<std::size_t>(i)].seed);
  const ImageLatents encoded = encode_init_pictures(model, request, first.init, seeds, pass.plan.rng);
  const at::Tensor mask = first.init.mask ? mask_tensor(*first.init.mask, request.mask_round) : at::Tensor();
  first.start.extra =
      inpainting_channels(model, pixels_of(first.init.pictures), mask, request.inpainting_mask_weight.value,
                          encoded.latent.sizes().slice(2));
  const at::Tensor& z = encoded.latent;
  first.start.image =
      sampling::ImageStart{.latent = z.expand({request.batch_size, z.size(1), z.size(2), z.size(3)}),
                           .strength = request.denoising_strength.value,
                           .makes_all_steps = request.img2img_fix_steps,
                           .noise_multiplier = request.initial_noise_multiplier.value,
                           .extra_noise = request.extra_noise.value,
                           .repaint = encoded.repaint};
  return first;
}

Start start_second_pass(const Pass& pass, const Generation& generation, const at::Tensor& latents,
                        const LoadedModel& before, Upscalers& upscalers, GenerationResult& result) {
  const Stopwatch watch(result.seconds_upscale);
  const request::GenerationRequest& request = generation.request;
  const LoadedModel& model = pass.model->loaded;
  const HiresSize size = hires_size(request, static_cast<int>(model.vae->downscale()));
  const double weight = request.inpainting_mask_weight.value;
  Grown grown;
  if (const LatentUpscaleRow* mode = find_latent_upscale(request.hr_upscaler)) {
    const at::Tensor small =
        request.firstpass_image ? encode_pixels(before, pixels_of({*request.firstpass_image})) : latents;
    grown = grow_latents(*mode, model, small, size, weight);
  } else {
    model.make_room_for(LoadedModel::Stage::kVae);
    std::vector<image::Picture> pictures;
    const auto add = [&](const image::Picture& small) {
      pictures.push_back(upscalers.enlarge(request.hr_upscaler, small, size.width, size.height,
                                           generation.tiles(), generation.stop));
    };
    if (request.firstpass_image) {
      add(*request.firstpass_image);
    } else {
      for (std::int64_t i = 0; i < latents.size(0); ++i) add(decode_latent(before, latents.narrow(0, i, 1)));
    }
    grown = grow_pictures(pictures, model, weight);
  }
  return {
      .image = sampling::ImageStart{.latent = for_batch(cut_latent(grown.latents, size), request.batch_size),
                                    .strength = request.denoising_strength.value,
                                    .makes_all_steps = true,
                                    .noise_multiplier = 1,
                                    .extra_noise = request.extra_noise.value,
                                    .repaint = {}},
      .extra = grown.extra.defined() ? cut_latent(grown.extra, size) : grown.extra};
}

}  // namespace lowrank::pipeline
