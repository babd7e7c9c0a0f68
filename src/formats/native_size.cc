#include "formats/native_size.h"

#include "formats/checkpoint/metadata_number.h"

namespace lowrank::formats {
namespace {

constexpr const char* kStated = "lowrank.default_size";
constexpr int kLeast = 8, kMost = 4096;

// Source: "SDXL: Improving Latent Diffusion Models for High-Resolution Image Synthesis", appendix I: of the aspect ratios that
// it learned those of about 1024² pixels that lie some way apart.
constexpr int kSdxlSize = 1024;
constexpr PictureSize kSdxlSizes[] = {{1152, 896}, {1216, 832}, {1344, 768}, {1536, 640}};

// Sides are multiples of this: what the deepest level of the network halves evenly, where the sizes allow.
constexpr int step_of(int native) {
  return native >= 256 ? 64 : 8;
}

}  // namespace

int native_size(const Checkpoint& checkpoint) {
  if (const auto stated = metadata_number(checkpoint, kStated, kLeast, kMost))
    return static_cast<int>(*stated);
  const FamilyRow* row = family(checkpoint.base_model);
  if (row == nullptr) return 0;
  const bool is_small = row->epsilon_size > 0 && checkpoint.prediction == PredictionType::kEpsilon;
  return is_small ? row->epsilon_size : row->native_size;
}

std::vector<PictureSize> usual_sizes(int native) {
  std::vector<PictureSize> sizes = {{native, native}};
  const auto add = [&](PictureSize landscape) {
    sizes.push_back(landscape);
    sizes.push_back({landscape.height, landscape.width});
  };
  if (native == kSdxlSize) {
    for (const PictureSize& size : kSdxlSizes) add(size);
    return sizes;
  }
  for (const int quarters : {5, 6})
    if (const int longer = native * quarters / 4 / step_of(native) * step_of(native); longer > native)
      add({longer, native});
  return sizes;
}

}  // namespace lowrank::formats
