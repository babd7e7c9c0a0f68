#include "sampling/noise.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "sampling/brownian.h"

namespace lowrank::sampling {
namespace {

std::span<float> values_of(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

at::Tensor draw(NormalGenerator& generator, at::IntArrayRef shape) {
  const auto tensor = at::empty(shape, at::kFloat);
  generator.fill_normal(values_of(tensor));
  return tensor;
}

class ImageNoise : public NoiseSource {
 public:
  explicit ImageNoise(ImageNoiseOptions options) : options_(std::move(options)) {
    for (const auto seed : options_.seeds) generators_.emplace_back(options_.rng, seed);
  }

  at::Tensor next() override {
    std::vector<at::Tensor> images;
    for (std::size_t i = 0; i < generators_.size(); ++i) {
      images.push_back(is_first_ ? first(i) : draw(generators_[i], shape()));
    }
    if (std::exchange(is_first_, false)) apply_seed_delta();
    return at::stack(images);
  }

  void set_sigma_range(float sigma_min, float sigma_max) override {
    trees_.clear();
    const auto size = static_cast<std::size_t>(options_.channels * options_.height * options_.width);
    for (const auto seed : options_.seeds)
      trees_.emplace_back(options_.rng, seed, sigma_min, sigma_max, size);
  }

  // Note [Brownian sign]: the path is walked against its direction, from the large sigma to the small one,
  // hence minus.
  at::Tensor between(float from, float to) override {
    LOWRANK_CHECK(!trees_.empty());
    const auto out = at::empty(
        {static_cast<std::int64_t>(trees_.size()), options_.channels, options_.height, options_.width},
        at::kFloat);
    const float scale = from == to ? 0.0F : -1 / std::sqrt(std::abs(from - to));
    for (std::size_t i = 0; i < trees_.size(); ++i) {
      const auto increment = trees_[i].increment(to, from);
      std::ranges::transform(increment, values_of(out[static_cast<std::int64_t>(i)]).begin(),
                             [scale](float w) { return w * scale; });
    }
    return out;
  }

 private:
  std::array<std::int64_t, 3> shape() const { return {options_.channels, options_.height, options_.width}; }

  at::Tensor first(std::size_t image) {
    const auto real = shape();
    const bool resizes = options_.seed_resize_from_width > 0 && options_.seed_resize_from_height > 0;
    const std::array<std::int64_t, 3> small = {real[0], options_.seed_resize_from_height / 8,
                                               options_.seed_resize_from_width / 8};
    const bool differs = resizes && small != real;

    NormalGenerator fresh(options_.rng, options_.seeds[image]);
    at::Tensor noise = differs ? draw(fresh, small) : draw(generators_[image], real);
    if (options_.subseed_strength != 0) {
      NormalGenerator other(options_.rng, image < options_.subseeds.size() ? options_.subseeds[image] : 0);
      noise = slerp(options_.subseed_strength, noise, draw(other, noise.sizes()));
    }
    if (!differs) return noise;

    const at::Tensor whole = draw(generators_[image], real);
    paste_centred(whole, noise);
    return whole;
  }

  // The centre of `whole` becomes `part`; where `part` is larger, its own centre is taken. Halves round down.
  static void paste_centred(const at::Tensor& whole, const at::Tensor& part) {
    at::Tensor target = whole, source = part;
    for (const std::int64_t dim : {1, 2}) {
      const std::int64_t room = whole.size(dim) - part.size(dim);
      const std::int64_t offset = room >= 0 ? room / 2 : -((1 - room) / 2);
      const std::int64_t length = offset >= 0 ? part.size(dim) : part.size(dim) + 2 * offset;
      target = target.narrow(dim, std::max<std::int64_t>(offset, 0), length);
      source = source.narrow(dim, std::max<std::int64_t>(-offset, 0), length);
    }
    target.copy_(source);
  }

  void apply_seed_delta() {
    if (options_.eta_noise_seed_delta == 0) return;
    generators_.clear();
    for (const auto seed : options_.seeds) {
      generators_.emplace_back(options_.rng,
                               seed + static_cast<std::uint64_t>(options_.eta_noise_seed_delta));
    }
  }

  ImageNoiseOptions options_;
  std::vector<NormalGenerator> generators_;
  std::vector<BrownianTree> trees_;
  bool is_first_ = true;
};

class RecordedNoise : public NoiseSource {
 public:
  explicit RecordedNoise(at::Tensor draws) : draws_(std::move(draws)) {}

  at::Tensor next() override {
    if (next_ >= draws_.size(0)) {
      throw Error(kBadInput, "the recorded noise has {} tensors, but the sampler asked for more.",
                  draws_.size(0));
    }
    return draws_[next_++];
  }
  void set_sigma_range(float, float) override {}
  at::Tensor between(float, float) override { return next(); }

 private:
  at::Tensor draws_;
  std::int64_t next_ = 0;
};

}  // namespace

std::unique_ptr<NoiseSource> make_image_noise(ImageNoiseOptions options) {
  if (options.seeds.empty() || options.channels < 1 || options.height < 1 || options.width < 1) {
    throw Error(kBadInput,
                "noise for {} images of {} × {} × {} was requested; at least one image and a non-zero size "
                "are needed.",
                options.seeds.size(), options.channels, options.height, options.width);
  }
  const bool resizes = options.seed_resize_from_width > 0 && options.seed_resize_from_height > 0;
  if (resizes && (options.seed_resize_from_width < 8 || options.seed_resize_from_height < 8)) {
    throw Error(kBadInput, "'Resize seed from' is {}x{}, but each side must be at least 8 pixels.",
                options.seed_resize_from_width, options.seed_resize_from_height);
  }
  return std::make_unique<ImageNoise>(std::move(options));
}

std::unique_ptr<NoiseSource> make_recorded_noise(const at::Tensor& draws) {
  return std::make_unique<RecordedNoise>(draws);
}

at::Tensor slerp(double amount, const at::Tensor& low, const at::Tensor& high) {
  // Plain loops in double: sums of a tensor operation could depend on the number of threads.
  const auto channels = low.size(0), height = low.size(1), width = low.size(2);
  const auto out = at::empty_like(low, at::MemoryFormat::Contiguous);
  const at::Tensor low_c = low.contiguous(), high_c = high.contiguous();
  const auto a = values_of(low_c), b = values_of(high_c), o = values_of(out);
  const auto at = [&](std::int64_t c, std::int64_t y, std::int64_t x) {
    return static_cast<std::size_t>((c * height + y) * width + x);
  };
  std::vector<double> cosines;
  double sum = 0;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t x = 0; x < width; ++x) {
      double aa = 0, bb = 0, ab = 0;
      for (std::int64_t y = 0; y < height; ++y) {
        const double p = a[at(c, y, x)], q = b[at(c, y, x)];
        aa += p * p;
        bb += q * q;
        ab += p * q;
      }
      cosines.push_back(ab / (std::sqrt(aa) * std::sqrt(bb)));
      sum += cosines.back();
    }
  }
  const bool nearly_equal = sum / static_cast<double>(cosines.size()) > 0.9995;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t x = 0; x < width; ++x) {
      const double omega = std::acos(cosines[static_cast<std::size_t>(c * width + x)]);
      // A1111's quirk: the weights of the plain mix are the wrong way round. Kept.
      const double weight_low = nearly_equal ? amount : std::sin((1 - amount) * omega) / std::sin(omega);
      const double weight_high = nearly_equal ? 1 - amount : std::sin(amount * omega) / std::sin(omega);
      for (std::int64_t y = 0; y < height; ++y) {
        const auto i = at(c, y, x);
        o[i] = static_cast<float>(weight_low * a[i] + weight_high * b[i]);
      }
    }
  }
  return out;
}

}  // namespace lowrank::sampling
