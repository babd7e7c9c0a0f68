#include "request/training/lora_presets.h"

#include "base/text/ascii.h"

namespace lowrank::request {
namespace {

// clang-format off
constexpr LoraPreset kPresets[] = {
    {"character", "One person, animal or figure. 15 to 40 pictures of it alone, from several sides, in different places and clothes; captions name all that is not part of it.",
     {{{"network-dim", "16", "room for a face and a body"},
       {"network-alpha", "8", "half the rank: a steady start"},
       {"network-args", "conv_dim=0 conv_alpha=1", "identity is learned well enough without convolutions"},
       {"learning-rate", "0.0003", "fast enough to hold the likeness, slow enough to keep the pose free"},
       {"text-encoder-lr", "0.00005", "the trigger word must come to mean this one figure"},
       {"max-train-steps", "1200", "some 40 views of each of 30 pictures"},
       {"flip-aug", "false", "a face, a scar or writing is not symmetric"},
       {"caption-dropout-rate", "0.05", "a little, so that guidance keeps working"},
       {"min-snr-gamma", "5", "fewer steps spent on almost clean pictures"}}}},
    {"style", "A way of drawing or painting. 30 to 200 pictures of different subjects in the one style; captions name the subjects and not the style.",
     {{{"network-dim", "32", "a style touches everything in a picture"},
       {"network-alpha", "16", "half the rank: a steady start"},
       {"network-args", "conv_dim=8 conv_alpha=4", "strokes and textures lie in the convolutions"},
       {"learning-rate", "0.0002", "slow: a style that is learned too fast copies single pictures"},
       {"text-encoder-lr", "0.00001", "words keep their meaning; only the look changes"},
       {"max-train-steps", "2500", "many pictures, each seen seldom"},
       {"flip-aug", "true", "mirrored, a picture has the same style"},
       {"caption-dropout-rate", "0.1", "the style must show without being asked for by every word"},
       {"min-snr-gamma", "5", "fewer steps spent on almost clean pictures"}}}},
    {"concept", "An idea that many pictures share: a kind of place, a weather, an arrangement. 30 to 100 varied pictures; captions name what differs.",
     {{{"network-dim", "16", "more than a thing, less than a style"},
       {"network-alpha", "8", "half the rank: a steady start"},
       {"network-args", "conv_dim=4 conv_alpha=2", "a little of the texture belongs to it"},
       {"learning-rate", "0.0002", "slow, as the idea and not its examples should be learned"},
       {"text-encoder-lr", "0.00005", "the word must come to mean the idea"},
       {"max-train-steps", "2000", "an idea needs more views than a thing"},
       {"flip-aug", "true", "mirrored, it is the same idea"},
       {"caption-dropout-rate", "0.1", "so that it does not hang on single words"},
       {"min-snr-gamma", "5", "fewer steps spent on almost clean pictures"}}}},
    {"pose", "A posture, gesture or view. 20 to 60 pictures of different people in the same posture; captions name the people, clothes and places.",
     {{{"network-dim", "8", "a posture is coarse and needs little room, which keeps faces and clothes out"},
       {"network-alpha", "4", "half the rank: a steady start"},
       {"network-args", "conv_dim=0 conv_alpha=1", "layout lies in the attention"},
       {"learning-rate", "0.0002", "slow, so that the people in the pictures are not learned"},
       {"text-encoder-lr", "0.00005", "the word must come to mean the posture"},
       {"max-train-steps", "1200", "more would bring the pictures' faces along"},
       {"flip-aug", "true", "mirrored, it is the same posture; leave it off where left and right matter"},
       {"caption-dropout-rate", "0.05", "a little, so that guidance keeps working"},
       {"min-snr-gamma", "0", "layout is decided in the noisy steps, which min-SNR makes lighter against the others"}}}},
    {"clothing", "A garment or costume. 15 to 40 pictures on different people; captions name the people and places, and not the parts of the garment.",
     {{{"network-dim", "16", "cut, material and pattern"},
       {"network-alpha", "8", "half the rank: a steady start"},
       {"network-args", "conv_dim=4 conv_alpha=2", "fabric and pattern lie in the convolutions"},
       {"learning-rate", "0.0003", "fast enough for details"},
       {"text-encoder-lr", "0.00005", "the word must come to mean the garment"},
       {"max-train-steps", "1200", "some 40 views of each of 30 pictures"},
       {"flip-aug", "true", "most garments are symmetric; leave it off where buttons or writing matter"},
       {"caption-dropout-rate", "0.05", "a little, so that guidance keeps working"},
       {"min-snr-gamma", "5", "fewer steps spent on almost clean pictures"}}}},
    {"object", "A thing: a vehicle, a tool, a logo. 10 to 30 pictures of it from several sides on different grounds; captions name the ground and not its parts.",
     {{{"network-dim", "8", "one thing needs little room"},
       {"network-alpha", "4", "half the rank: a steady start"},
       {"network-args", "conv_dim=4 conv_alpha=2", "its surface lies in the convolutions"},
       {"learning-rate", "0.0005", "a single thing is learned fast"},
       {"text-encoder-lr", "0.00005", "the word must come to mean this thing"},
       {"max-train-steps", "800", "some 40 views of each of 20 pictures"},
       {"flip-aug", "false", "writing and one-sided parts would be mirrored"},
       {"caption-dropout-rate", "0.05", "a little, so that guidance keeps working"},
       {"min-snr-gamma", "5", "fewer steps spent on almost clean pictures"}}}},
    {"quick test", "A short run to check that folders and captions work; it learns next to nothing.",
     {{{"network-dim", "4", "small"},
       {"network-alpha", "2", "half the rank"},
       {"network-args", "conv_dim=0 conv_alpha=1", "small"},
       {"learning-rate", "0.001", "so that something shows"},
       {"text-encoder-lr", "0.0001", "so that something shows"},
       {"max-train-steps", "100", "a few minutes"},
       {"flip-aug", "false", "as the pictures are"},
       {"caption-dropout-rate", "0", "as the captions are"},
       {"min-snr-gamma", "0", "plain loss"}}}},
};
// clang-format on

}  // namespace

std::span<const LoraPreset> lora_presets() {
  return kPresets;
}

const LoraPreset* find_lora_preset(std::string_view name) {
  for (const LoraPreset& preset : kPresets)
    if (lower_ascii(preset.name) == lower_ascii(name)) return &preset;
  return nullptr;
}

std::vector<std::string> lora_preset_names() {
  std::vector<std::string> names;
  for (const LoraPreset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

}  // namespace lowrank::request
