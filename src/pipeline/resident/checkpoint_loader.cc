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
#include "formats/checkpoint/metadata_number.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/native_size.h"
#include "model/unet.h"
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

void require_clip_vocabulary(const model::TextEncoder& encoder, const std::filesystem::path& path) {
  const std::int64_t rows = encoder.layers().at("embeddings.token_embedding")->weight().size(0);
  if (rows < prompt::Tokenizer::kSize || encoder.positions() < prompt::kChunkRows)
    throw Error(kUnsupported, "{}: its {} has {} tokens and {} positions, but prompts need CLIP's {} and {}.",
                path.string(), formats::component_name(encoder.row().component), rows, encoder.positions(),
                prompt::Tokenizer::kSize, prompt::kChunkRows);
}

std::unique_ptr<model::Vae> build_vae(const formats::Checkpoint& source) {
  try {
    return std::make_unique<model::Vae>(state_of(source[formats::Component::kVae], source));
  } catch (const Error& error) {
    throw error.during(fmt::format("loading the VAE of {}", source.path.string()));
  }
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

// Beside the latent, the network takes the mask and the latent of what lies outside it.
bool is_inpainting(const model::DiffusionModel& network, const model::Vae& vae) {
  return network.in_channels() == 2 * vae.latent_channels() + 1;
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

void require_fit(const model::DiffusionModel& network, const model::Vae& vae,
                 const std::filesystem::path& path) {
  const std::int64_t latent = vae.latent_channels(), taken = network.in_channels();
  if (latent == taken || is_inpainting(network, vae)) return;
  const std::string_view kind =
      taken == latent + 1   ? "a depth model, which takes a depth map beside the latent"
      : taken == 2 * latent ? "an instruction model (InstructPix2Pix), which takes the "
                              "picture beside the latent"
                            : "";
  if (!kind.empty())
    throw Error(kUnsupported, "{}: is {}; LowRank does not run these, choose another checkpoint.",
                path.string(), kind);
  throw Error(kUnsupported,
              "{}: this VAE has {} latent channels, but the U-Net takes {}; it must be the same number, or "
              "twice that plus one for inpainting.",
              path.string(), latent, taken);
}

// What the U-Net is told of the text must be what the encoders give.
void require_text_fit(const LoadedModel& model, const std::filesystem::path& path) {
  std::int64_t width = 0, vector = 0;
  for (const auto& encoder : model.text_encoders) {
    require_clip_vocabulary(*encoder, path);
    width += encoder->width();
    vector += encoder->pooled_width();
  }
  if (model.network->context_width() != width)
    throw Error(
        kBadInput,
        "{}: the U-Net expects text of width {}, but the text encoder gives {}; the file mixes two models.",
        path.string(), model.network->context_width(), width);
  if (vector > 0)
    vector += formats::size_numbers(model.family().size_conditioning) * formats::kSizeNumberWidth;
  if (model.network->vector_width() != vector)
    throw Error(
        kBadInput,
        "{}: the U-Net expects {} numbers of pooled text and picture size, but this family gives {}; the "
        "file mixes two models.",
        path.string(), model.network->vector_width(), vector);
}

}  // namespace

bool LoadedModel::is_inpainting() const {
  return pipeline::is_inpainting(*network, *vae);
}

adapter::ModelParts LoadedModel::adaptable() const {
  adapter::ModelParts model{
      .base_model = base_model, .context_width = network->context_width(), .text_widths = {}, .parts = {}};
  for (const auto& encoder : text_encoders) {
    const formats::Component component = encoder->row().component;
    model.text_widths.emplace(component, encoder->width());
    model.parts.push_back({component, &encoder->layers()});
  }
  model.parts.push_back({formats::Component::kUnet, &network->layers()});
  return model;
}

std::vector<adapter::ModelPart> LoadedModel::parts() const {
  std::vector<adapter::ModelPart> all = adaptable().parts;
  all.push_back({formats::Component::kVae, &vae->layers()});
  return all;
}

int LoadedModel::most_clip_skip() const {
  int most = 1;
  for (const auto& encoder : text_encoders) most = std::max(most, encoder->most_clip_skip());
  return most;
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
  for (const auto& [component, weights] : kept) weights.require_unchanged();
}

void LoadedModel::set_tiling(bool is_on) {
  network->policy()->wraps_around = is_on;
  vae->policy()->wraps_around = is_on;
  if (tiny_decoder) tiny_decoder->chain.policy().wraps_around = is_on;
  if (tiny_encoder) tiny_encoder->chain.policy().wraps_around = is_on;
}

void LoadedModel::release_mapped_weights() const {
  for (const auto* const all : {&files, &vae_files})
    for (const auto& file : *all) release_pages(file->file_bytes());
}

void LoadedModel::hold_network_in_int8() {
  for (const auto& [name_of_layer, layer] : network->layers()) layer->hold_in_int8();
}

void LoadedModel::prepare(PackedCache& cache) {
  const auto release = [this] { release_mapped_weights(); };
  cache.begin_model(name());
  for (const adapter::ModelPart& part : adaptable().parts) {
    if (auto weights = cache.keep(*part.layers, files, release)) {
      kept.insert_or_assign(part.component, std::move(*weights));
    } else if (part.component == formats::Component::kUnet) {
      pack(*part.layers, release);
    }
  }
  keep_vae(cache);
}

void LoadedModel::prepare_vae(PackedCache& cache) {
  cache.begin_model(vae_path.empty() ? name() : vae_path.stem().string());
  keep_vae(cache);
}

void LoadedModel::keep_vae(PackedCache& cache) {
  if (auto weights = cache.keep(vae->layers(), vae_files, [this] { release_mapped_weights(); }))
    kept.insert_or_assign(formats::Component::kVae, std::move(*weights));
}

void LoadedModel::make_room_for(Stage next) const {
  for (const adapter::ModelPart& part : parts()) {
    const bool is_network = part.component == formats::Component::kUnet;
    const Stage stage = is_network                                   ? Stage::kNetwork
                        : part.component == formats::Component::kVae ? Stage::kVae
                                                                     : Stage::kText;
    if (stage == next) continue;
    const auto weights = kept.find(part.component);
    if (weights != kept.end()) {
      weights->second.release();
    } else if (!is_network) {
      for (const auto& [name_of_layer, layer] : *part.layers) layer->forget_prepared();
    }
    if (is_network && available_memory() < kScarce)
      for (const auto& [name_of_layer, layer] : *part.layers) layer->forget_derived();
  }
  if (next == Stage::kVae && !tiny_decoder && !kept.contains(formats::Component::kVae)) {
    for (const auto& [name_of_layer, layer] : vae->layers())
      if (!name_of_layer.starts_with("encoder.")) layer->prepare();
  }
  release_mapped_weights();
  ::malloc_trim(0);
}

std::uint64_t LoadedModel::parameter_bytes() const {
  std::uint64_t bytes = 0;
  for (const adapter::ModelPart& part : parts()) bytes += bytes_of(*part.layers);
  return bytes;
}

LoadedModel load_model(const std::filesystem::path& path, const std::optional<std::filesystem::path>& vae,
                       weights::HashMemo hashes) {
  const formats::Checkpoint checkpoint =
      vae ? formats::open_without_vae(path) : formats::open_checkpoint(path);
  LoadedModel loaded;
  loaded.path = path;
  loaded.hashes = std::move(hashes);
  loaded.base_model = checkpoint.base_model;
  loaded.prediction = checkpoint.prediction;
  loaded.prediction_details = checkpoint.prediction_details;
  loaded.is_prediction_stated = checkpoint.is_prediction_stated;
  loaded.metadata = checkpoint.metadata;
  loaded.has_guidance_input = checkpoint[formats::Component::kUnet].contains("time_embed.cond_proj.weight");
  const formats::FamilyRow& family = loaded.family();
  const auto own_scale = formats::metadata_number(checkpoint, "lowrank.latent_scale", 1e-6, 1e6);
  loaded.has_family_latents = !own_scale && !checkpoint.metadata.contains("lowrank.default_size");
  loaded.latent_scale = own_scale.value_or(family.latent_scale);
  loaded.native_size = formats::native_size(checkpoint);
  try {
    for (const formats::TextEncoderRow& row : family.text_encoders) {
      const auto heads = checkpoint.text_heads.find(row.component);
      loaded.text_encoders.push_back(std::make_unique<model::TextEncoder>(
          state_of(checkpoint[row.component], checkpoint), row,
          heads == checkpoint.text_heads.end() ? std::nullopt : std::optional(heads->second),
          checkpoint.unread_text_layers));
    }
    loaded.network =
        std::make_unique<model::UNet>(state_of(checkpoint[formats::Component::kUnet], checkpoint),
                                      checkpoint.unet_heads.value_or(family.unet_heads));
  } catch (const Error& error) {
    throw error.during(fmt::format("loading {}", path.string()));
  }
  require_text_fit(loaded, path);
  if (vae) {
    load_vae(loaded, vae);
  } else {
    loaded.vae = build_vae(checkpoint);
    loaded.vae_files = checkpoint.files;
    require_fit(*loaded.network, *loaded.vae, path);
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
  require_fit(*model.network, *built, source.path);
  model.vae = std::move(built);
  model.vae_files = source.files;
  model.kept.erase(formats::Component::kVae);
  model.vae_path = vae.value_or(std::filesystem::path());
  model.vae_metadata = vae ? source.metadata : std::map<std::string, std::string>();
  const bool is_file = source.layout == formats::Layout::kSingleFile;
  model.vae_hash = vae ? std::make_unique<FileHash>(
                             *vae, is_file ? source.files.front()->identity() : FileIdentity{}, model.hashes)
                       : nullptr;
}

}  // namespace lowrank::pipeline
