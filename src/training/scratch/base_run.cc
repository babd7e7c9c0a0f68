#include "training/scratch/base_run.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files_below.h"
#include "base/folder_lock.h"
#include "base/sha256.h"
#include "image/codec/codec.h"
#include "model/random.h"
#include "model/unet.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "prompt/tokens/chunks.h"
#include "prompt/tokens/tokenizer.h"
#include "tensor/state_dict.h"
#include "training/data/dataset.h"
#include "training/data/picture_file.h"
#include "training/run/train_state.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace fs = std::filesystem;
namespace {

using formats::Component;

std::vector<fs::path> picture_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(folder, problem))
    if (image::is_picture_name(entry.path()) && !is_system_name(entry.path().filename().string()))
      files.push_back(entry.path());
  if (files.empty())
    throw Error(kNotFound, "{}: contains no pictures ({}).", folder.string(), image::picture_endings());
  std::sort(files.begin(), files.end());
  return files;
}

// Throws Error(kBadInput) unless all pictures have one size, whose sides are multiples of 8.
void check_sizes(const std::vector<fs::path>& files) {
  std::optional<PixelSize> first;
  for (const fs::path& file : files) {
    const PixelSize size = picture_size(file);
    if (!first) first = size;
    if (size.width % 8 != 0 || size.height % 8 != 0)
      throw Error(kBadInput, "{}: is {}×{}; sides must be multiples of 8.", file.string(), size.width,
                  size.height);
    if (size != *first)
      throw Error(kBadInput, "{}: is {}×{}, but {} is {}×{}; all pictures must have the same size.",
                  file.string(), size.width, size.height, files.front().filename().string(), first->width,
                  first->height);
  }
}

// uint8 [N, 3, H, W]; the files have passed check_sizes.
at::Tensor load_pictures(const std::vector<fs::path>& files) {
  std::vector<at::Tensor> pictures;
  for (const fs::path& file : files) {
    const image::Picture picture = image::load_picture(file);
    const at::Tensor rows = at::empty({picture.height, picture.width, 3}, at::kByte);
    std::memcpy(rows.data_ptr(), picture.rgb.data(), picture.rgb.size());
    pictures.push_back(rows.permute({2, 0, 1}).contiguous());
  }
  return at::stack(pictures);
}

at::Tensor caption_ids(const prompt::Tokenizer& tokenizer, const std::string& caption) {
  at::Tensor ids = at::full({prompt::kChunkRows}, prompt::Tokenizer::kEnd, at::kLong);
  ids[0] = prompt::Tokenizer::kStart;
  const auto tokens = tokenizer.encode(caption);
  for (std::size_t i = 0; i < std::min<std::size_t>(tokens.size(), prompt::kChunkTokens); ++i)
    ids[static_cast<std::int64_t>(i) + 1] = tokens[i];
  return ids;
}

at::Tensor captions_of(const std::vector<fs::path>& files, const RunControl& control) {
  const prompt::Tokenizer tokenizer;
  std::vector<at::Tensor> ids;
  for (const fs::path& file : files) {
    const auto caption = read_caption(file);
    if (!caption)
      throw Error(kNotFound,
                  "{}: the picture has no caption file; write one of the same name with the extension .txt.",
                  file.string());
    const auto tokens = static_cast<std::int64_t>(tokenizer.encode(caption->text).size());
    if (tokens > prompt::kChunkTokens)
      control.say(fmt::format("{}: the caption is {} tokens too long and its end is ignored.", file.string(),
                              tokens - prompt::kChunkTokens));
    ids.push_back(caption_ids(tokenizer, caption->text));
  }
  return at::stack(ids);
}

tensor::StateDict load_state(const fs::path& path) {
  const auto file = weights::TensorFile::open(path);
  tensor::StateDict state;
  for (const auto& view : file->tensors()) state.emplace(view.name, tensor::as_tensor(view, file));
  return state;
}

tensor::StateDict state_of(const model::LayerMap& layers) {
  tensor::StateDict state;
  for (const auto& [name, tensor] : model::parameters(layers)) state.emplace(name, tensor);
  return state;
}

void train_autoencoder(const BaseTraining& options, const model::ModelSpec& spec, const fs::path& target,
                       const RunControl& control) {
  model::Vae vae(model::random_state(spec, Component::kVae, options.vae.seed));
  model::widen(vae.layers());
  const auto files = picture_files(options.vae_pictures.empty() ? options.pictures : options.vae_pictures);
  check_sizes(files);
  const at::Tensor pictures = load_pictures(files);
  train_vae(vae, pictures, options.vae, options.work / "vae-state.safetensors", control);
  normalise_latents(vae, pictures.narrow(0, 0, std::min<std::int64_t>(512, pictures.size(0))));
  tensor::save_state_dict(target.string(), state_of(vae.layers()));
}

// float16 under the names of a single-file checkpoint.
void add_component(tensor::StateDict& all, Component component, const model::LayerMap& layers) {
  for (const auto& [name, tensor] : model::parameters(layers))
    all.emplace(std::string(model::checkpoint_root(component)) + name, tensor.to(at::kHalf));
}

struct Models {
  std::unique_ptr<model::TextEncoder> text;
  std::unique_ptr<model::DiffusionModel> unet;
  std::unique_ptr<model::Vae> vae;
};

Models new_models(const BaseTraining& options, const model::ModelSpec& spec, const RunControl& control) {
  const fs::path vae = options.work / "vae.safetensors";
  if (!fs::exists(vae)) train_autoencoder(options, spec, vae, control);
  const auto random = [&](Component component) {
    return model::random_state(spec, component, options.base.seed);
  };
  return {std::make_unique<model::TextEncoder>(random(Component::kTextEncoder)),
          std::make_unique<model::UNet>(random(Component::kUnet)),
          std::make_unique<model::Vae>(load_state(vae))};
}

Models models_of(const fs::path& checkpoint) {
  auto loaded = pipeline::load_model(checkpoint, std::nullopt);
  if (loaded.base_model != formats::BaseModel::kSd1)
    throw Error(kUnsupported,
                "{}: is {} {} checkpoint, but a training from scratch goes on with SD 1.x checkpoints only.",
                checkpoint.string(), loaded.family().article, loaded.family().name);
  return {std::move(loaded.text_encoders.front()), std::move(loaded.network), std::move(loaded.vae)};
}

// The pictures' bytes and captions, as one hash.
std::string origin_of(const std::vector<fs::path>& files, const at::Tensor& ids) {
  std::string text = checksum({{"ids", ids}});
  for (const fs::path& file : files) text += sha256_file_hex(file);
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

bool holds_latents_of(const fs::path& path, const std::string& origin) {
  if (!fs::exists(path)) return false;
  const auto file = weights::TensorFile::open(path);
  const auto stated = file->metadata().find("lowrank.latents_of");
  return stated != file->metadata().end() && stated->second == origin;
}

}  // namespace

void run_base_training(const BaseTraining& options, const RunControl& control) {
  const model::ModelSpec spec = model::model_spec(options.shape);
  const FolderLock lock(options.work, "another training");
  if (fs::exists(options.out) && !fs::exists(options.work / "base-state.safetensors"))
    throw Error(kConflict,
                "{}: exists already, and {} contains no state of its training; choose another --out.",
                options.out.string(), options.work.string());
  const fs::path latents_path = options.work / "latents.safetensors";
  // Before the autoencoder learns, which takes hours: what is wrong with a picture or a caption is told at once.
  const auto files = picture_files(options.pictures);
  check_sizes(files);
  const at::Tensor ids = captions_of(files, control);
  Models models = options.start.empty() ? new_models(options, spec, control) : models_of(options.start);
  const std::string origin = origin_of(files, ids);
  if (!holds_latents_of(latents_path, origin)) {
    tensor::save_state_dict(latents_path.string(),
                            {{"latents", encode_latents(*models.vae, load_pictures(files))}, {"ids", ids}},
                            {{"lowrank.latents_of", origin}});
  }
  const tensor::StateDict cached = load_state(latents_path);
  const CaptionedLatents data{.latents = cached.at("latents"),
                              .mirrored = {},
                              .ids = cached.at("ids"),
                              .empty_ids = caption_ids(prompt::Tokenizer(), "")};
  for (model::LayerMap* layers : {&models.text->layers(), &models.unet->layers()}) model::widen(*layers);
  train_base(*models.text, *models.unet, data, options.base, options.work / "base-state.safetensors",
             control);

  tensor::StateDict checkpoint;
  add_component(checkpoint, Component::kTextEncoder, models.text->layers());
  add_component(checkpoint, Component::kUnet, models.unet->layers());
  add_component(checkpoint, Component::kVae, models.vae->layers());
  tensor::save_state_dict(options.out.string(), checkpoint,
                          {{"lowrank.shape", options.shape},
                           {"lowrank.default_size", "128"},
                           {"lowrank.trained_steps", std::to_string(options.base.steps)},
                           {"modelspec.architecture", "stable-diffusion-v1"},
                           {"modelspec.prediction_type", "epsilon"}});
}

}  // namespace lowrank::training
