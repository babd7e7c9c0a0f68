#include "pipeline/resident/tiny_autoencoders.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text/text.h"
#include "request/names.h"

namespace lowrank::pipeline {
namespace {

namespace fs = std::filesystem;
using formats::TinyHalf;

constexpr std::size_t kMostLoaded = 2;  // of each half: SD 1 and 2, and SDXL

struct Method {
  std::string request::GenerationRequest::*field;
  TinyHalf half;
};
constexpr Method kMethods[] = {{&request::GenerationRequest::vae_decoder, TinyHalf::kDecoder},
                               {&request::GenerationRequest::vae_encoder, TinyHalf::kEncoder}};

bool is_tiny(const std::string& method) {
  return lower(method) == "taesd";
}

// Copies: the file may change when it was read.
tensor::StateDict parameters_of(const formats::TinyAutoencoderFile& file, TinyHalf half) {
  tensor::StateDict state = tensor::as_state_dict(file[half], file.file);
  for (auto& [name, value] : state)
    if (value.is_floating_point()) value = value.to(at::kFloat).clone();
  file.file->require_unchanged();
  return state;
}

void require_fit(const model::TinyChain& chain, TinyHalf half, const LoadedModel& model,
                 const fs::path& path) {
  const std::int64_t channels = half == TinyHalf::kDecoder ? chain.inputs() : chain.outputs();
  if (channels == model.vae->latent_channels() && chain.resampling() == model.vae->downscale()) return;
  throw Error(
      kUnsupported,
      "{}: works with latents of {} channels at 1/{} of the size, but those of {} have {} at 1/{}; choose "
      "another file.",
      path.string(), channels, chain.resampling(), model.name(), model.vae->latent_channels(),
      model.vae->downscale());
}

}  // namespace

template <class Half>
std::shared_ptr<Half> TinyAutoencoders::load(const LoadedModel& model, TinyHalf which,
                                             std::vector<Loaded<Half>>& loaded) {
  if (!files_ || !model.has_family_latents) return nullptr;
  for (const fs::path& path : files_()) {
    const formats::FamilyRow* family = formats::tiny_autoencoder_family(path);
    if (family == nullptr || !formats::have_same_latents(*family, model.family())) continue;
    const auto known = std::ranges::find(loaded, path, &Loaded<Half>::path);
    if (known != loaded.end() && known->identity == identity_of(path)) {
      require_fit(known->model->chain, which, model, path);
      return known->model;
    }
    const formats::TinyAutoencoderFile file = formats::open_tiny_autoencoder(path);
    if (file[which].empty()) continue;
    try {
      auto made = std::make_shared<Half>(parameters_of(file, which));
      require_fit(made->chain, which, model, path);
      std::erase_if(loaded, [&](const auto& other) { return other.path == path; });
      if (loaded.size() == kMostLoaded) loaded.erase(loaded.begin());
      loaded.push_back({path, file.file->identity(), made});
      return made;
    } catch (const Error& error) {
      throw error.during(fmt::format("loading {}", path.string()));
    }
  }
  return nullptr;
}

template <class Half>
std::shared_ptr<Half> TinyAutoencoders::require(const LoadedModel& model, TinyHalf which,
                                                std::vector<Loaded<Half>>& loaded) {
  const std::string_view half = formats::half_name(which);
  if (!model.has_family_latents)
    throw Error(kUnsupported,
                "--vae-{} TAESD: {} has latents of its own, which TAESD does not know; use Full.", half,
                model.name());
  if (auto found = load(model, which, loaded)) return found;
  throw Error(kNotFound,
              "--vae-{} TAESD: models/VAE-approx has no TAESD {} for {}; put {} there (published as "
              "madebyollin/taesd), or use Full.",
              half, half, model.family().name, formats::tiny_autoencoder_name(model.family(), which));
}

std::shared_ptr<model::TinyDecoder> TinyAutoencoders::find_decoder(const LoadedModel& model) {
  return load(model, TinyHalf::kDecoder, decoders_);
}

void TinyAutoencoders::choose(LoadedModel& model, const request::GenerationRequest& request) {
  model.tiny_decoder.reset();
  model.tiny_encoder.reset();
  if (is_tiny(request.vae_decoder)) model.tiny_decoder = require(model, TinyHalf::kDecoder, decoders_);
  if (is_tiny(request.vae_encoder) && encodes_pictures(request, model))
    model.tiny_encoder = require(model, TinyHalf::kEncoder, encoders_);
}

void check_vae_methods(const request::GenerationRequest& request) {
  for (const Method& method : kMethods) {
    const std::string& name = request.*method.field;
    if (!name.empty() && lower(name) != "full" && !is_tiny(name))
      throw Error(kBadInput, "unknown VAE {} '{}'; choose Full or TAESD.", formats::half_name(method.half),
                  name);
  }
}

void name_vae_methods(request::GenerationRequest& request) {
  for (const Method& method : kMethods)
    request.*method.field = is_tiny(request.*method.field) ? "TAESD" : "Full";
}

bool encodes_pictures(const request::GenerationRequest& request, const LoadedModel& model) {
  const auto latent = request::latent_upscaler_names();
  const bool grows_pictures =
      request.enable_hr &&
      (request.firstpass_image.has_value() || std::ranges::find(latent, request.hr_upscaler) == latent.end());
  return request.is_img2img() || grows_pictures || model.is_inpainting();
}

}  // namespace lowrank::pipeline
