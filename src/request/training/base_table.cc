#include "request/training/base_table.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/text.h"

namespace lowrank::request {
namespace {

using B = BaseTraining;

// One seed for both phases.
constexpr TextField<B> kBaseSeed = {
    [](const B& b) { return std::to_string(b.base.seed); },
    [](B& b, std::string_view text, std::string_view name) {
      const auto seed = parse_integer(text);
      if (!seed || *seed < 0)
        throw Error(kBadInput, "{} is '{}', but must be a whole number of at least 0.", name, text);
      b.vae.seed = b.base.seed = static_cast<std::uint64_t>(*seed);
    }};

#define FIELD(member)   \
  +[](B & b) -> auto& { \
    return b.member;    \
  }
using enum OnResume;

// Rates and lengths may change in a resumed run, as they do by hand while one looks for good ones.
// clang-format off
constexpr BaseOption kBaseOptions[] = {
    {.flag = "data", .value = "DIR", .help = "folder of pictures of one size, each with a .txt caption", .field = FIELD(pictures), .on_resume = kByEffect, .metadata = kNoMetadata, .place = Place::kFolder},
    {.flag = "vae-data", .value = "DIR", .help = "folder of pictures for the VAE, no captions needed (default: --data)", .field = FIELD(vae_pictures), .on_resume = kByEffect, .metadata = kNoMetadata, .place = Place::kFolder},
    {.flag = "from", .value = "FILE", .help = "checkpoint to continue from, keeping its VAE (default: train from scratch)", .field = FIELD(start), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFile},
    {.flag = "out", .value = "FILE", .help = "output checkpoint, .safetensors", .field = FIELD(out), .on_resume = kFree, .metadata = kNoMetadata, .letter = 'o', .place = Place::kFile},
    {.flag = "state", .value = "DIR", .help = "folder for saved states and caches, used to resume a stopped run (default: --out with the extension .state)", .field = FIELD(work), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFolder},
    {.flag = "shape", .value = "NAME", .help = "architecture size of the model", .field = FIELD(shape), .on_resume = kByEffect, .metadata = "lowrank.shape", .choices = [] { return std::vector<std::string>{"starter", "tiny", "sd15"}; }, .only_choices = true},
    {.flag = "vae-steps", .value = "N", .help = "training steps of the VAE", .field = FIELD(vae.steps), .on_resume = kFree, .metadata = kNoMetadata, .min = 1, .max = kMaxSteps},
    {.flag = "steps", .value = "N", .help = "training steps of text encoder and U-Net", .field = FIELD(base.steps), .on_resume = kFree, .metadata = "lowrank.trained_steps", .min = 1, .max = kMaxSteps},
    {.flag = "batch", .value = "N", .help = "pictures per step", .field = FIELD(base.batch), .on_resume = kFree, .metadata = kNoMetadata, .min = 1, .max = 4096},
    {.flag = "learning-rate", .value = "RATE", .help = "peak learning rate of text encoder and U-Net", .field = FIELD(base.learning_rate), .on_resume = kFree, .metadata = kNoMetadata, .min = 1e-12, .max = 10},
    {.flag = "seed", .value = "N", .help = "random seed", .field = kBaseSeed, .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "threads", .value = "N", .help = "number of threads; 0: all cores", .field = FIELD(threads), .on_resume = kFree, .metadata = kNoMetadata, .min = 0, .max = 1024},
};
// clang-format on
#undef FIELD

static_assert(
    std::ranges::all_of(kBaseOptions, is_complete<B>),
    "a row says neither whether a resumed run must repeat its option nor what the metadata tell of it");

}  // namespace

std::span<const BaseOption> base_options() {
  return kBaseOptions;
}

}  // namespace lowrank::request
