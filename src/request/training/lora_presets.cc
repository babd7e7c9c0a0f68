#include "request/training/lora_presets.h"

namespace lowrank::request {
namespace {

// clang-format off
constexpr LoraPreset kPresets[] = {
    {"Character or object", "A person, character or object. 10 to 30 images.",
     {{{"network-dim", "8"}, {"network-alpha", "4"}, {"max-train-steps", "800"}, {"learning-rate", "0.0005"}}}},
    {"Style", "An art style. 20 or more images of different subjects.",
     {{{"network-dim", "16"}, {"network-alpha", "8"}, {"max-train-steps", "1500"}, {"learning-rate", "0.0003"}}}},
    {"Quick test", "A short run to check that everything works.",
     {{{"network-dim", "4"}, {"network-alpha", "2"}, {"max-train-steps", "100"}, {"learning-rate", "0.001"}}}},
};
// clang-format on

}  // namespace

std::span<const LoraPreset> lora_presets() {
  return kPresets;
}

}  // namespace lowrank::request
