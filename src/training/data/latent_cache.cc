#include "training/data/latent_cache.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/progress.h"
#include "base/sha256.h"
#include "training/data/augmentation.h"
#include "training/data/picture_file.h"
#include "training/data/random_draws.h"
#include "training/run/train_state.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

// What all latents of a file depend on, as one hash: the VAE's parameters and the scale.
std::string origin_of(const model::Vae& vae, double latent_scale) {
  std::string text = fmt::format("each by its picture, {}\n", latent_scale);
  for (const auto& [name, parameter] : model::parameters(vae.layers())) {
    const at::Tensor own = parameter.contiguous();
    text += name + sha256_hex({static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}) + "\n";
  }
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// `lowrank.latents_of` stands in every such file; library/index knows them by it.
constexpr const char *kLatentsOrigin = "lowrank.latents_of", *kLatentsChecksum = "lowrank.checksum";

// The picture and how it is fitted, as a name of its latents.
std::string key(const char* kind, const Example& example) {
  const auto& [bucket, resized, error] = example.place;
  return fmt::format("{}.{}.{}x{}.{}x{}", kind, example.content, resized.width, resized.height, bucket.width,
                     bucket.height);
}

}  // namespace

LatentCache::LatentCache(const model::Vae& vae, const Dataset& dataset, const LatentOptions& options,
                         const std::function<void(std::int64_t, std::int64_t)>& progress,
                         const std::stop_token& stop)
    : vae_(vae), dataset_(dataset), options_(options) {
  const at::NoGradGuard no_grad;
  const std::string origin = options.file ? origin_of(vae, options.latent_scale) : "";
  const tensor::StateDict before = kept(origin);
  const std::size_t count = dataset.examples().size();
  plain_.resize(count);
  mirrored_.resize(count);
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < count; ++i) {
    const Example& example = dataset.examples()[i];
    const bool flips = dataset.subset_of(i).plan.flip_aug;
    const auto plain = before.find(key("plain", example)), mirrored = before.find(key("mirrored", example));
    if (plain != before.end()) plain_[i] = plain->second;
    if (flips && mirrored != before.end()) mirrored_[i] = mirrored->second;
    if (!plain_[i].defined() || (flips && !mirrored_[i].defined())) missing.push_back(i);
    weights_.push_back(load_weight(example, middle_of(example.place)));
  }
  for (std::size_t done = 0; done < missing.size(); ++done) {
    throw_if_stopped(stop);
    const std::size_t i = missing[done];
    const Example& example = dataset.examples()[i];
    const at::Tensor picture = load_picture(example.picture, example.place);
    plain_[i] = encode(picture);
    if (dataset.subset_of(i).plan.flip_aug) mirrored_[i] = encode(picture.flip(2));
    progress(static_cast<std::int64_t>(done + 1), static_cast<std::int64_t>(missing.size()));
  }
  if (options.file) save(origin, before);
}

at::Tensor LatentCache::encode(const at::Tensor& picture) const {
  const at::Tensor moments = vae_.encode_moments(to_signed(picture).unsqueeze(0)).to(at::kFloat);
  return (moments.narrow(1, 0, vae_.latent_channels()) * options_.latent_scale).squeeze(0).contiguous();
}

at::Tensor LatentCache::load_weight(const Example& example, const Cut& cut) const {
  if (!example.mask.empty()) return load_loss_mask(example.mask, MaskSource::kRed, example.place, cut);
  if (dataset_.subsets()[example.subset].plan.alpha_mask)
    return load_loss_mask(example.picture, MaskSource::kOpacity, example.place, cut);
  return {};
}

ShownPicture LatentCache::draw(std::size_t example, const at::Generator& generator) const {
  const SubsetPlan& plan = dataset_.subset_of(example).plan;
  ShownPicture shown;
  shown.is_mirrored = plan.flip_aug && draw_below(2, generator) == 1;
  if (!plan.random_crop && !plan.color_aug) {
    shown.latents = shown.is_mirrored ? mirrored_[example] : plain_[example];
    shown.weight = weights_[example];
  } else {
    const at::NoGradGuard no_grad;
    const Example& e = dataset_.examples()[example];
    const Cut cut = plan.random_crop ? draw_cut(e.place, generator) : middle_of(e.place);
    at::Tensor picture = load_picture(e.picture, e.place, cut);
    if (plan.color_aug) picture = draw_colours(picture, generator);
    shown.latents = encode(shown.is_mirrored ? picture.flip(2) : picture);
    shown.weight = plan.random_crop ? load_weight(e, cut) : weights_[example];
  }
  if (shown.is_mirrored && shown.weight.defined()) shown.weight = shown.weight.flip(1);
  return shown;
}

// What the file holds of this VAE's, by key().
tensor::StateDict LatentCache::kept(const std::string& origin) const {
  if (!options_.file || !std::filesystem::exists(*options_.file)) return {};
  std::shared_ptr<const weights::TensorFile> file;
  try {
    file = weights::TensorFile::open(*options_.file);
  } catch (const Error&) {
    return {};  // cut short or damaged: it is made anew
  }
  const auto stated = file->metadata().find(kLatentsOrigin);
  if (stated == file->metadata().end() || stated->second != origin) return {};
  tensor::StateDict latents;
  for (const auto& view : file->tensors()) latents.emplace(view.name, tensor::as_tensor(view, file).clone());
  const auto sum = file->metadata().find(kLatentsChecksum);
  if (sum == file->metadata().end() || sum->second != checksum(latents)) return {};
  return latents;
}

void LatentCache::save(const std::string& origin, const tensor::StateDict& before) const {
  tensor::StateDict state;
  for (std::size_t i = 0; i < plain_.size(); ++i) {
    const Example& example = dataset_.examples()[i];
    state.emplace(key("plain", example), plain_[i]);
    if (mirrored_[i].defined()) state.emplace(key("mirrored", example), mirrored_[i]);
  }
  const auto is_known = [&](const auto& entry) { return before.contains(entry.first); };
  if (state.size() == before.size() && std::ranges::all_of(state, is_known)) return;
  tensor::save_state_dict(options_.file->string(), state,
                          {{kLatentsOrigin, origin}, {kLatentsChecksum, checksum(state)}});
}

at::Tensor stacked_weights(const std::vector<at::Tensor>& weights, const at::Tensor& latents) {
  if (std::ranges::none_of(weights, [](const at::Tensor& w) { return w.defined(); })) return {};
  at::Tensor all = at::ones({latents.size(0), 1, latents.size(2), latents.size(3)});
  for (std::size_t i = 0; i < weights.size(); ++i)
    if (weights[i].defined()) all[static_cast<std::int64_t>(i)][0].copy_(weights[i]);
  return all;
}

}  // namespace lowrank::training
