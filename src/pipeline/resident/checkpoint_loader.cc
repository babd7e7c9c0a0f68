#include "pipeline/resident/checkpoint_loader.h"

#include <ATen/ATen.h>
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text/text.h"
#include "prompt/tokens/chunks.h"
#include "prompt/tokens/tokenizer.h"
#include "tensor/state_dict.h"

namespace lowrank::pipeline {
namespace {

tensor::StateDict state_of(const formats::ParameterViews& views, const formats::Checkpoint& checkpoint) {
  const auto owners =
      std::make_shared<const std::vector<std::shared_ptr<const weights::TensorFile>>>(checkpoint.files);
  return tensor::as_state_dict(views, owners);
}

// A number of our own metadata. Hostile until checked.
std::optional<double> metadata_number(const formats::Checkpoint& checkpoint, const std::string& key,
                                      double low, double high) {
  const auto it = checkpoint.metadata.find(key);
  if (it == checkpoint.metadata.end()) return std::nullopt;
  const auto value = parse_number(it->second);
  if (!value || *value < low || *value > high)
    throw Error(kBadInput, "{}: the metadata entry '{}' is '{}', but must be a number between {} and {}.",
                checkpoint.path.string(), key, it->second, low, high);
  return value;
}

void require_clip_vocabulary(const model::TextEncoder& encoder, const std::filesystem::path& path) {
  const std::int64_t rows = encoder.layers().at("embeddings.token_embedding")->weight().size(0);
  if (rows < prompt::Tokenizer::kSize || encoder.positions() < prompt::kChunkRows)
    throw Error(kUnsupported,
                "{}: its text encoder has {} tokens and {} positions, but prompts need CLIP's {} and {}.",
                path.string(), rows, encoder.positions(), prompt::Tokenizer::kSize, prompt::kChunkRows);
}

std::unique_ptr<model::Vae> build_vae(const formats::Checkpoint& source) {
  try {
    return std::make_unique<model::Vae>(state_of(source.vae, source));
  } catch (const Error& error) {
    throw error.during(fmt::format("loading the VAE of {}", source.path.string()));
  }
}

template <typename Component, typename... Args>
std::unique_ptr<Component> build(const formats::ParameterViews& views, const formats::Checkpoint& source,
                                 Args... args) {
  return std::make_unique<Component>(state_of(views, source), args...);
}

std::uint64_t bytes_of(const model::LayerMap& layers) {
  std::uint64_t bytes = 0;
  for (const auto& [path, layer] : layers) {
    bytes += layer->is_held_in_int8() ? static_cast<std::uint64_t>(layer->prepared_bytes())
                                      : layer->weight().nbytes();
    if (layer->bias().defined()) bytes += layer->bias().nbytes();
  }
  return bytes;
}

// Beside the latent, the U-Net takes the mask and the latent of what lies outside it.
bool is_inpainting(const model::UNet& unet, const model::Vae& vae) {
  return unet.in_channels() == 2 * vae.latent_channels() + 1;
}

// As much as a decoder takes at most.
constexpr std::int64_t kScarce = std::int64_t{1} << 30;

void pack(const model::LayerMap& layers, const std::function<void()>& between) {
  Pauses pauses(between);
  for (const auto& [path, layer] : layers) {
    layer->prepare();
    pauses.after(layer->prepared_bytes());
  }
  between();
}

void require_fit(const model::UNet& unet, const model::Vae& vae, const std::filesystem::path& path) {
  if (vae.latent_channels() != unet.in_channels() && !is_inpainting(unet, vae))
    throw Error(kUnsupported,
                "{}: this VAE has {} latent channels, but the U-Net takes {}; it must be the same number, or "
                "twice that plus one for inpainting.",
                path.string(), vae.latent_channels(), unet.in_channels());
}

}  // namespace

bool LoadedModel::is_inpainting() const {
  return pipeline::is_inpainting(*unet, *vae);
}

bool LoadedModel::is_current() const {
  return std::ranges::all_of(files, [](const auto& file) { return file->is_current(); }) &&
         std::ranges::all_of(configs,
                             [](const auto& read) { return identity_of(read.first) == read.second; });
}

bool LoadedModel::is_vae_current() const {
  return std::ranges::all_of(vae_files, [](const auto& file) { return file->is_current(); });
}

void LoadedModel::require_unchanged() const {
  for (const auto* const all : {&files, &vae_files})
    for (const auto& file : *all) file->require_unchanged();
  for (const auto* const kept : {&kept_text_encoder, &kept_unet, &kept_vae})
    if (*kept) (*kept)->require_unchanged();
}

void LoadedModel::set_tiling(bool is_on) {
  unet->policy()->wraps_around = is_on;
  vae->policy()->wraps_around = is_on;
}

void LoadedModel::release_mapped_weights() const {
  for (const auto* const all : {&files, &vae_files})
    for (const auto& file : *all) release_pages(file->file_bytes());
}

void LoadedModel::hold_unet_in_int8() {
  for (const auto& [name_of_layer, layer] : unet->layers()) layer->hold_in_int8();
}

void LoadedModel::prepare(PackedCache& cache) {
  const auto release = [this] { release_mapped_weights(); };
  kept_text_encoder = cache.keep(text_encoder->layers(), files, release);
  kept_unet = cache.keep(unet->layers(), files, release);
  if (!kept_unet) pack(unet->layers(), release);
  prepare_vae(cache);
}

void LoadedModel::prepare_vae(PackedCache& cache) {
  kept_vae = cache.keep(vae->layers(), vae_files, [this] { release_mapped_weights(); });
}

void LoadedModel::make_room_for(formats::Component next) const {
  using enum formats::Component;
  const auto rest = [](const model::LayerMap& layers, const std::optional<KeptWeights>& kept) {
    if (kept) return kept->release();
    for (const auto& [name_of_layer, layer] : layers) layer->forget_prepared();
  };
  if (next != kTextEncoder) rest(text_encoder->layers(), kept_text_encoder);
  if (next != kUnet && kept_unet) kept_unet->release();
  if (next != kUnet && available_memory() < kScarce)
    for (const auto& [name_of_layer, layer] : unet->layers()) layer->forget_derived();
  if (next != kVae) rest(vae->layers(), kept_vae);
  if (next == kVae && !kept_vae) {
    for (const auto& [name_of_layer, layer] : vae->layers())
      if (!name_of_layer.starts_with("encoder.")) layer->prepare();
  }
  release_mapped_weights();
  ::malloc_trim(0);
}

std::uint64_t LoadedModel::parameter_bytes() const {
  return bytes_of(text_encoder->layers()) + bytes_of(unet->layers()) + bytes_of(vae->layers());
}

LoadedModel load_model(const std::filesystem::path& path, const std::optional<std::filesystem::path>& vae,
                       weights::HashMemo hashes) {
  const formats::Checkpoint checkpoint = formats::open_checkpoint(path);
  LoadedModel loaded;
  loaded.path = path;
  loaded.hashes = std::move(hashes);
  loaded.prediction = checkpoint.prediction;
  loaded.prediction_details = checkpoint.prediction_details;
  loaded.metadata = checkpoint.metadata;
  loaded.has_guidance_input = checkpoint.unet.contains("time_embed.cond_proj.weight");
  const formats::FamilyRow& family = *formats::family(checkpoint.base_model);
  const auto own_scale = metadata_number(checkpoint, "lowrank.latent_scale", 1e-6, 1e6);
  loaded.has_sd1_latents = !own_scale && !checkpoint.metadata.contains("lowrank.default_size");
  loaded.latent_scale = own_scale.value_or(family.latent_scale);
  loaded.native_size = static_cast<int>(
      metadata_number(checkpoint, "lowrank.default_size", 8, 4096).value_or(family.native_size));
  try {
    loaded.text_encoder =
        build<model::TextEncoder>(checkpoint.text_encoder, checkpoint, checkpoint.text_heads);
    loaded.unet = build<model::UNet>(checkpoint.unet, checkpoint, checkpoint.unet_heads);
  } catch (const Error& error) {
    throw error.during(fmt::format("loading {}", path.string()));
  }
  require_clip_vocabulary(*loaded.text_encoder, path);
  if (loaded.unet->context_width() != loaded.text_encoder->width())
    throw Error(
        kBadInput,
        "{}: the U-Net expects text of width {}, but the text encoder gives {}; the file mixes two models.",
        path.string(), loaded.unet->context_width(), loaded.text_encoder->width());
  if (vae) {
    load_vae(loaded, vae);
  } else {
    loaded.vae = build_vae(checkpoint);
    loaded.vae_files = checkpoint.files;
    require_fit(*loaded.unet, *loaded.vae, path);
  }
  loaded.files = checkpoint.files;
  loaded.configs = checkpoint.configs;
  const bool is_file = checkpoint.layout == formats::Layout::kSingleFile;
  loaded.hash = std::make_unique<FileHash>(path, is_file ? loaded.files.front()->identity() : FileIdentity{},
                                           loaded.hashes);
  return loaded;
}

void load_vae(LoadedModel& model, const std::optional<std::filesystem::path>& vae) {
  const formats::Checkpoint source = vae ? formats::open_vae(*vae) : formats::open_checkpoint(model.path);
  auto built = build_vae(source);
  require_fit(*model.unet, *built, source.path);
  model.vae = std::move(built);
  model.vae_files = source.files;
  model.kept_vae.reset();
  model.vae_path = vae.value_or(std::filesystem::path());
  const bool is_file = source.layout == formats::Layout::kSingleFile;
  model.vae_hash = vae ? std::make_unique<FileHash>(
                             *vae, is_file ? source.files.front()->identity() : FileIdentity{}, model.hashes)
                       : nullptr;
}

}  // namespace lowrank::pipeline
