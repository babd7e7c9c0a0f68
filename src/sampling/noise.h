// Where samplers get their randomness: an interface, the real thing (one generator per image, so that a batch
// equals the same images made alone), and a replay of recorded tensors for comparisons with other programs.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "sampling/rng.h"
#include "tensor/tensor_fwd.h"

namespace lowrank::sampling {

// Note [noise order]: the order in which noise is drawn is part of a picture. The first draw is the start
// noise, then comes one tensor for every ξ of the sampler's formulas, in the order in which the reference
// draws them, even where it is multiplied by zero.
class NoiseSource {
 public:
  virtual ~NoiseSource() = default;
  // Fresh unit normal noise [n, 4, h, w], float32. The first call gives the start noise.
  virtual at::Tensor next() = 0;
  // Announces the range of sigmas of the coming walk (whole schedule, smallest positive and largest) to
  // sources with Brownian noise. Called once before the first between().
  virtual void set_sigma_range(float sigma_min, float sigma_max) = 0;
  // Unit noise [n, 4, h, w] for the fall `from` → `to` (from > to > 0), correlated over overlapping intervals
  // as a Brownian path is. For the SDE samplers.
  virtual at::Tensor between(float from, float to) = 0;
};

struct ImageNoiseOptions {
  RngKind rng = RngKind::kGpu;
  std::vector<std::uint64_t> seeds = {};     // one per image
  std::vector<std::uint64_t> subseeds = {};  // one per image, or empty; a missing one counts as 0
  double subseed_strength = 0;               // "Variation strength" 0…1; 0: none
  int seed_resize_from_width = 0;            // in pixels; both > 0: "Resize seed from"
  int seed_resize_from_height = 0;
  // ENSD: after the start noise the generators restart from seed + this
  std::int64_t eta_noise_seed_delta = 0;
  std::int64_t channels = 4, height = 0, width = 0;  // latent size (pixels / 8)
};

// A1111's generator of a batch. Throws Error(kBadInput) when a size is missing or no seed is given.
std::unique_ptr<NoiseSource> make_image_noise(ImageNoiseOptions options);

// Gives recorded tensors [draws, n, 4, h, w] in order, for next() and between() alike. Throws
// Error(kBadInput) when they are used up.
std::unique_ptr<NoiseSource> make_recorded_noise(const at::Tensor& draws);

// Spherical mix of two noises [c, h, w] with A1111's two quirks: lengths and angles are taken along dim 1
// (h), and when the noises nearly agree (mean cosine > 0.9995) the plain mix has its weights swapped.
// `amount` 0…1.
at::Tensor slerp(double amount, const at::Tensor& low, const at::Tensor& high);

}  // namespace lowrank::sampling
