#include "training/lora/lora_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/ascii.h"
#include "base/error.h"
#include "base/files_below.h"
#include "prompt/text.h"
#include "request/schedules.h"

namespace lowrank::training {
namespace {

void check_range(const char* option, double value, double low, double high) {
  if (!(value >= low && value <= high))
    throw Error(kBadInput, "{} {}: must lie between {} and {}.", option, value, low, high);
}

void check_rate(const char* option, std::optional<double> rate) {
  if (rate) check_range(option, *rate, 0, 10);
}

}  // namespace

// The name stands in a tag of prompts and before "-state" and "-step00000100" in names of files, which hold 255 bytes.
void check_output_name(const std::string& name) {
  constexpr std::size_t kMostBytes = 200;
  const auto refuse = [&](const char* why) {
    throw Error(kBadInput, "--output-name '{}': {}.", prompt::well_formed(name).substr(0, kMostBytes), why);
  };
  if (name.empty() || name.find('/') != std::string::npos) refuse("must be a file name without folders");
  if (is_system_name(name))
    refuse("would be a hidden file, which is no LoRA for anyone; begin it with a letter");
  if (std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; }) ||
      prompt::well_formed(name) != name)
    refuse("holds characters that cannot be written in a prompt, such as a line break; leave them out");
  if (name.size() > kMostBytes) refuse("is longer than 200 bytes; choose a shorter one");
  const std::string lower = lower_ascii(name);
  if (lower.ends_with(".safetensors")) refuse("leave the ending .safetensors out, it is added");
  if (lower.ends_with("-state"))
    refuse("ends with -state, which names the saved state of a run; choose another");
}

SavePrecision save_precision_from_name(const std::string& name) {
  for (const auto precision : {SavePrecision::kFloat, SavePrecision::kFp16, SavePrecision::kBf16})
    if (name == save_precision_name(precision)) return precision;
  throw Error(kBadInput, "--save-precision '{}' is unknown; choose float, fp16 or bf16.", name);
}

const char* save_precision_name(SavePrecision precision) {
  switch (precision) {
    case SavePrecision::kFloat:
      return "float";
    case SavePrecision::kFp16:
      return "fp16";
    case SavePrecision::kBf16:
      return "bf16";
  }
  return "";
}

std::filesystem::path LoraTrainOptions::step_file(std::int64_t step) const {
  return output_dir / fmt::format("{}-step{:08d}.safetensors", output_name, step);
}

std::filesystem::path LoraTrainOptions::epoch_file(std::int64_t epoch) const {
  return output_dir / fmt::format("{}-{:06d}.safetensors", output_name, epoch);
}

void check_options(const LoraTrainOptions& o) {
  constexpr double kMany = 1e9;
  check_range("--network-dim", static_cast<double>(o.network_rank), 1, 4096);
  check_range("--network-alpha", o.network_alpha, 1e-6, 65504);
  check_range("conv_dim in --network-args", static_cast<double>(o.conv_rank), 0, 4096);
  check_range("conv_alpha in --network-args", o.conv_alpha, 1e-6, 65504);
  if (!o.train_unet && !o.train_text_encoder)
    throw Error(kBadInput,
                "--network-train-unet-only and --network-train-text-encoder-only exclude each other.");
  check_rate("--learning-rate", o.learning_rate);
  check_rate("--unet-lr", o.unet_learning_rate);
  check_rate("--text-encoder-lr", o.text_encoder_learning_rate);
  request::schedule(o.scheduler);
  check_range("--lr-warmup-steps", static_cast<double>(o.warmup_steps), 0, kMany);
  check_range("--weight-decay", o.weight_decay, 0, 1);
  check_range("--max-grad-norm", o.max_gradient_norm, 0, kMany);
  check_range("--max-train-steps", static_cast<double>(o.max_steps), 1, kMany);
  if (o.max_epochs) check_range("--max-train-epochs", static_cast<double>(*o.max_epochs), 1, 1e6);
  check_range("--gradient-accumulation-steps", static_cast<double>(o.gradient_accumulation), 1, 1e6);
  check_range("--min-snr-gamma", o.min_snr_gamma, 0, 1e6);
  check_range("--noise-offset", o.noise_offset, 0, 1);
  check_range("--caption-dropout-rate", o.captions.dropout_rate, 0, 1);
  check_range("--keep-tokens", o.captions.keep_tokens, 0, 1e6);
  check_range("--save-every-n-steps", static_cast<double>(o.save_every_steps), 0, kMany);
  check_range("--save-every-n-epochs", static_cast<double>(o.save_every_epochs), 0, kMany);
  check_output_name(o.output_name);
}

}  // namespace lowrank::training
