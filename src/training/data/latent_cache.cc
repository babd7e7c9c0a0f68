#include "training/data/latent_cache.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <map>
#include <string>

#include "base/error.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "tensor/state_dict.h"
#include "training/data/picture_file.h"
#include "training/run/train_state.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

at::Tensor encode(const model::Vae& vae, const at::Tensor& picture, double latent_scale) {
  const at::Tensor moments = vae.encode_moments(to_signed(picture).unsqueeze(0)).to(at::kFloat);
  return (moments.narrow(1, 0, vae.latent_channels()) * latent_scale).squeeze(0).contiguous();
}

// What the latents depend on, as one hash: the pictures' bytes and places, the VAE's parameters, the options.
std::string origin_of(const model::Vae& vae, const Dataset& dataset, const LatentOptions& options) {
  std::string text = fmt::format("{} {} {}\n", options.latent_scale, options.mirrored, dataset.fingerprint());
  for (const auto& [name, parameter] : model::parameters(vae.layers())) {
    const at::Tensor own = parameter.contiguous();
    text += name + sha256_hex({static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}) + "\n";
  }
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// `lowrank.latents_of` stands in every such file; library/index knows them by it.
constexpr const char *kLatentsOrigin = "lowrank.latents_of", *kLatentsChecksum = "lowrank.checksum";

std::string key(const char* kind, std::size_t example) {
  return fmt::format("{}.{}", kind, example);
}

}  // namespace

LatentCache::LatentCache(const model::Vae& vae, const Dataset& dataset, const LatentOptions& options,
                         const std::function<void(std::int64_t, std::int64_t)>& progress,
                         const std::stop_token& stop) {
  const at::NoGradGuard no_grad;
  const std::string origin = options.file ? origin_of(vae, dataset, options) : "";
  if (options.file && load(dataset, options, origin)) return;
  const auto total = static_cast<std::int64_t>(dataset.examples().size());
  for (const auto& example : dataset.examples()) {
    throw_if_stopped(stop);
    const at::Tensor picture = load_picture(example.picture, example.place);
    plain_.push_back(encode(vae, picture, options.latent_scale));
    if (options.mirrored) mirrored_.push_back(encode(vae, picture.flip(2), options.latent_scale));
    progress(static_cast<std::int64_t>(plain_.size()), total);
  }
  if (options.file) save(options, origin);
}

bool LatentCache::load(const Dataset& dataset, const LatentOptions& options, const std::string& origin) {
  if (!std::filesystem::exists(*options.file)) return false;
  const auto file = weights::TensorFile::open(*options.file);
  const auto stated = file->metadata().find(kLatentsOrigin);
  if (stated == file->metadata().end() || stated->second != origin) return false;
  tensor::StateDict kept;
  for (const auto& view : file->tensors()) kept.emplace(view.name, tensor::as_tensor(view, file).clone());
  const auto sum = file->metadata().find(kLatentsChecksum);
  if (sum == file->metadata().end() || sum->second != checksum(kept)) return false;
  const auto take = [&](const char* kind, std::size_t example) { return kept.at(key(kind, example)); };
  for (std::size_t i = 0; i < dataset.examples().size(); ++i) {
    plain_.push_back(take("plain", i));
    if (options.mirrored) mirrored_.push_back(take("mirrored", i));
  }
  return true;
}

void LatentCache::save(const LatentOptions& options, const std::string& origin) const {
  tensor::StateDict state;
  for (std::size_t i = 0; i < plain_.size(); ++i) state.emplace(key("plain", i), plain_[i]);
  for (std::size_t i = 0; i < mirrored_.size(); ++i) state.emplace(key("mirrored", i), mirrored_[i]);
  tensor::save_state_dict(options.file->string(), state,
                          {{kLatentsOrigin, origin}, {kLatentsChecksum, checksum(state)}});
}

}  // namespace lowrank::training
