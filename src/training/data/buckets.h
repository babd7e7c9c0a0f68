// Aspect-ratio buckets: pictures of one bucket share a size, so that they fit one batch and little of each is
// cut away. Source: kohya sd-scripts' rules (library/train_util.py BucketManager, library/model_util.py).
#pragma once

#include <cstdint>
#include <vector>

#include "request/training/lora_options.h"

namespace lowrank::training {

using request::BucketOptions;
using request::PixelSize;

struct BucketLimits {
  std::int64_t min_side, max_side, step;
};

// kohya's 256, 1024 and 64 for resolutions of 512 and more. Below, all three shrink with the smaller side s,
// as its 64-pixel steps would leave a small model almost no bucket: s/2, 2s, and the largest power of two ≤
// s/8, at least 8. Explicit values win. The limits are then widened to multiples of the step. Throws
// Error(kBadInput) naming the option: a step that is no multiple of 8, limits that do not hold the
// resolution.
BucketLimits bucket_limits(const BucketOptions& options);

// Every size width × height of multiples of `step` within the limits whose area is at most the resolution's:
// for each width the tallest such height, both ways round, and the square. Sorted by width, then height.
std::vector<PixelSize> bucket_sizes(PixelSize resolution, const BucketLimits& limits);

// How one picture is fitted: resized to `resized` (both sides ≥ the bucket's), then the middle is cut to
// `bucket`.
struct BucketChoice {
  PixelSize bucket, resized;
  double aspect_error = 0;  // bucket's width / height − the picture's
};

// Chooses buckets for pictures of one training run.
class BucketChooser {
 public:
  explicit BucketChooser(const BucketOptions& options);  // throws as bucket_limits
  // Throws Error(kBadInput) when the picture is smaller than one step (only with no_upscale).
  BucketChoice choose(PixelSize picture) const;
  const BucketLimits& limits() const { return limits_; }

 private:
  BucketChoice choose_without_upscale(PixelSize picture) const;
  BucketOptions options_;
  BucketLimits limits_{};
  std::vector<PixelSize> sizes_;
};

}  // namespace lowrank::training
