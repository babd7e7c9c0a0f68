#include "pipeline/pictures/upscalers.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/progress.h"
#include "formats/upscaler_file.h"
#include "image/resample.h"
#include "image/tiles.h"
#include "model/upscaler/make_upscaler.h"
#include "pipeline/pictures/latent_picture.h"

namespace lowrank::pipeline {
namespace {

constexpr int kRounds = 3;

// Upscalers without a file.
struct PlainUpscaler {
  std::string_view name;
  image::Picture (*upscale)(const image::Picture& picture, double scale);
};
image::Picture resampled(const image::Picture& picture, double scale, image::Filter filter) {
  return image::resample(picture, static_cast<int>(picture.width * scale),
                         static_cast<int>(picture.height * scale), filter);
}
image::Picture unchanged(const image::Picture& picture, double) {
  return picture;
}
image::Picture lanczos(const image::Picture& picture, double scale) {
  return resampled(picture, scale, image::Filter::kLanczos);
}
image::Picture nearest(const image::Picture& picture, double scale) {
  return resampled(picture, scale, image::Filter::kNearest);
}
constexpr PlainUpscaler kPlain[] = {
#define LOWRANK_PLAIN_UPSCALER(function, name) {name, function},
#include "request/plain_upscaler_rows.inc"
#undef LOWRANK_PLAIN_UPSCALER
};

// Note [upscaler channels]: A1111 hands the model blue, green, red, though ESRGAN's kin learned red, green,
// blue. The difference is hardly seen, but pictures made with hires fix are to come out as there; so we do
// the same.
image::Picture run_model(const model::Upscaler& model, const image::Picture& picture) {
  const at::Tensor input = picture_tensor(picture).flip(1);
  const at::Tensor output = model.forward(input).clamp(0, 1).flip(1);
  return rounded_picture(output.select(0, 0));
}

image::Picture upscale_by_model(const model::Upscaler& model, const image::Picture& picture,
                                const UpscalerTiles& tiles, const std::stop_token& stop) {
  const at::NoGradGuard no_grad;
  const auto work = [&](const image::Picture& tile) {
    throw_if_stopped(stop);
    return run_model(model, tile);
  };
  if (tiles.size == 0) return work(picture);
  if (tiles.overlap >= tiles.size)
    throw Error(kBadInput, "tiles of {} pixels cannot overlap by {}; use a smaller overlap.", tiles.size,
                tiles.overlap);
  return image::map_tiles(picture, tiles.size, tiles.overlap, work);
}

}  // namespace

std::vector<std::string> Upscalers::names() const {
  std::vector<std::string> names;
  for (const auto& row : kPlain) names.emplace_back(row.name);
  if (files_)
    for (const auto& path : files_()) names.push_back(path.stem().string());
  return names;
}

std::optional<std::filesystem::path> Upscalers::file(const std::string& name) const {
  if (!files_) return std::nullopt;
  for (const auto& path : files_())
    if (path.stem() == name || path.filename() == name) return path;
  return std::nullopt;
}

void Upscalers::check(const std::string& name, std::span<const std::string_view> others) const {
  if (std::ranges::find(kPlain, name, &PlainUpscaler::name) != std::end(kPlain) ||
      std::ranges::find(others, name) != others.end() || file(name))
    return;
  std::vector<std::string> known(others.begin(), others.end());
  for (std::string& each : names()) known.push_back(std::move(each));
  throw Error(kNotFound, "{}; choose one of {}, or put its file into models/ESRGAN.",
              name.empty() ? "no upscaler was given" : fmt::format("unknown upscaler '{}'", name),
              fmt::join(known, ", "));
}

const model::Upscaler& Upscalers::load(const std::filesystem::path& path) {
  if (loaded_.model != nullptr && loaded_.path == path && loaded_.file->is_current()) return *loaded_.model;
  const auto opened = formats::open_upscaler(path);
  try {
    loaded_ = {path, opened.file,
               model::make_upscaler(tensor::as_state_dict(opened.parameters, opened.file))};
  } catch (const Error& error) {
    throw error.during(fmt::format("loading {}", path.string()));
  }
  return *loaded_.model;
}

image::Picture Upscalers::upscale(const std::string& name, const image::Picture& picture, double scale,
                                  const UpscalerTiles& tiles, const std::stop_token& stop) {
  check(name);
  const auto plain = std::ranges::find(kPlain, name, &PlainUpscaler::name);
  const auto target = [&](int side) { return std::max(8, static_cast<int>(side * scale) / 8 * 8); };
  const int width = target(picture.width), height = target(picture.height);
  image::Picture large = picture;
  for (int round = 0; round < kRounds; ++round) {
    if (large.width >= width && large.height >= height && (round > 0 || scale != 1)) break;
    const auto before = std::pair(large.width, large.height);
    large = plain != std::end(kPlain) ? plain->upscale(large, scale)
                                      : upscale_by_model(load(*file(name)), large, tiles, stop);
    if (before == std::pair(large.width, large.height)) break;
  }
  if (plain == std::end(kPlain)) loaded_.file->require_unchanged();
  return image::resize(large, width, height);
}

image::Picture Upscalers::enlarge(const std::string& name, const image::Picture& picture, int width,
                                  int height, const UpscalerTiles& tiles, const std::stop_token& stop) {
  check(name);
  const double scale =
      std::max(static_cast<double>(width) / picture.width, static_cast<double>(height) / picture.height);
  if (name == "None" || scale <= 1) return image::resize(picture, width, height);
  return image::resize(upscale(name, picture, scale, tiles, stop), width, height);
}

}  // namespace lowrank::pipeline
