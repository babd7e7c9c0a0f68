// What a person should know of a training set before time is spent on it: how its pictures are used, and which of them
// look as if they would harm. Nothing is judged but told.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "image/picture.h"
#include "training/data/dataset.h"

namespace lowrank::training {

// 64 bits that stay nearly the same when a picture is scaled, saved again or slightly changed: the signs of its lowest 8×8
// cosine frequencies at 32×32 pixels against their median. Source: Zauner 2010, "Implementation and Benchmarking of
// Perceptual Image Hash Functions", section 3.2.
std::uint64_t perceptual_hash(const image::Picture& picture);

// Variance of the Laplacian (4 neighbours) of the luminance 0…255: the less, the more blurred.
// Source: Pech-Pacheco et al. 2000, "Diatom autofocusing in brightfield microscopy", section 3.
double sharpness(const image::Picture& picture);

// Pictures whose hashes differ in at most that many bits look alike.
inline constexpr int kAlikeBits = 6;
// Below that sharpness, at training size, a picture looks blurred.
inline constexpr double kBlurred = 100;

struct TooLong {
  std::size_t example = 0;
  std::int64_t tokens = 0;
};

// Indices are into Dataset::examples().
struct SetReport {
  struct Pair {
    std::size_t first = 0, second = 0;
    int bits = 0;              // that differ
    bool is_same = false;      // the same file twice
    bool is_mirrored = false;  // alike when one is mirrored left to right
  };
  std::vector<Pair> alike;
  std::vector<std::pair<std::size_t, double>> enlarged;  // by which factor, more than 1; the largest first
  std::vector<std::pair<std::size_t, double>> blurred;   // their sharpness, the least first
  std::vector<std::pair<std::string, std::int64_t>>
      tags;                              // how many pictures have each, the most frequent first
  std::vector<std::string> common_tags;  // that every picture's caption has
  std::int64_t own_captions = 0, trigger_captions = 0, empty_captions = 0;
  std::int64_t longest_tokens = 0;
  std::vector<TooLong> too_long;  // more tokens than max_token_length
};

// Decodes every picture once. `progress` is told how many are done. Throws Error(kCancelled) when stopped.
SetReport report_on(const Dataset& data, int max_token_length,
                    const std::function<void(std::int64_t done, std::int64_t total)>& progress,
                    const std::stop_token& stop);

}  // namespace lowrank::training
