#include "request/training/lora_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/files_below.h"
#include "base/text/ascii.h"
#include "base/text/text.h"
#include "base/text/text_file.h"
#include "request/training/lora_presets.h"
#include "request/training/optimisers.h"
#include "request/training/schedules.h"

namespace lowrank::request {
namespace {

using J = LoraTraining;
using Text = std::string_view;

constexpr Text kServersPaths = "paths on the server are not accepted in requests";

template <class... Parts>
std::vector<std::string> list(Parts... parts) {
  return {std::string(parts)...};
}

// ── values that are more than a field ──────────────────────────────────────────────────────────────────────

// "512" or "768,512" (width, height).
constexpr TextField<J> kResolution = {
    [](const J& j) {
      const PixelSize& size = j.options.data.buckets.resolution;
      return size.width == 0 ? std::string() : fmt::format("{},{}", size.width, size.height);
    },
    [](J& j, Text text, Text name) {
      const auto side = [&](Text part) {
        std::int64_t value = 0;
        part = trim(part);
        const auto [stop, code] = std::from_chars(part.data(), part.data() + part.size(), value);
        if (code != std::errc() || stop != part.data() + part.size())
          throw Error(kBadInput,
                      "{} is '{}', but must be one side in pixels, such as 512, or width and height, such as "
                      "768,512.",
                      name, text);
        return value;
      };
      const auto comma = text.find_first_of(",x");
      const std::int64_t width = side(text.substr(0, comma));
      j.options.data.buckets.resolution = {width, comma == Text::npos ? width : side(text.substr(comma + 1))};
    }};

constexpr TextField<J> kCaptionEncoding = {[](const J& j) {
                                             const std::string& encoding = j.options.data.caption_encoding;
                                             return encoding.empty() ? std::string("utf-8") : encoding;
                                           },
                                           [](J& j, Text text, Text name) {
                                             check_encoding(std::string(text), std::string(name));
                                             j.options.data.caption_encoding = std::string(text);
                                           }};

constexpr TextField<J> kCaptionExtension = {
    [](const J& j) { return j.options.data.caption_extension; },
    [](J& j, Text text, Text name) {
      if (text.size() < 2 || text.front() != '.' || text.find('/') != Text::npos)
        throw Error(kBadInput, "{} is '{}', but must be an ending with its dot, such as .txt.", name, text);
      j.options.data.caption_extension = std::string(text);
    }};

constexpr TextField<J> kCaptionSeparator = {[](const J& j) { return j.options.data.captions.separator; },
                                            [](J& j, Text text, Text name) {
                                              if (text.empty())
                                                throw Error(kBadInput, "{} must not be empty.", name);
                                              j.options.data.captions.separator = std::string(text);
                                            }};

// "conv_dim=4 conv_alpha=1"
std::string network_args_text(const J& j) {
  return fmt::format("conv_dim={} conv_alpha={}", j.options.conv_rank, j.options.conv_alpha);
}

double network_arg(Text pair, Text value, Text name, double min, double max) {
  const auto number = parse_number(value);
  if (!number || *number < min || *number > max)
    throw Error(kBadInput, "{} is '{}', but {} must be between {} and {}.", name, pair,
                pair.substr(0, pair.find('=')), min, max);
  return *number;
}

constexpr TextField<J> kNetworkArgs = {
    [](const J& j) {
      const LoraTrainOptions defaults;
      const auto& o = j.options;
      const bool is_default = o.conv_rank == defaults.conv_rank && o.conv_alpha == defaults.conv_alpha;
      return is_default ? std::string() : network_args_text(j);
    },
    [](J& j, Text text, Text name) {
      while (!(text = trim(text)).empty()) {
        const std::size_t end = std::min(text.find_first_of(" ,\t\n"), text.size());
        const Text pair = text.substr(0, end);
        const std::size_t equals = pair.find('=');
        const Text key = pair.substr(0, equals),
                   value = equals == Text::npos ? Text() : pair.substr(equals + 1);
        if (key == "conv_dim") {
          const double rank = network_arg(pair, value, name, 0, 4096);
          if (rank != static_cast<double>(static_cast<std::int64_t>(rank)))
            throw Error(kBadInput, "{} is '{}', but conv_dim must be a whole number.", name, pair);
          j.options.conv_rank = static_cast<std::int64_t>(rank);
        } else if (key == "conv_alpha") {
          j.options.conv_alpha = network_arg(pair, value, name, 1e-6, 65504);
        } else {
          throw Error(kBadInput, "{}: '{}' is unknown; LowRank supports conv_dim=N and conv_alpha=A.", name,
                      pair);
        }
        text.remove_prefix(std::min(end + 1, text.size()));
      }
    }};

// The name stands in a tag of prompts and before "-state" and "-step00000100" in names of files, which hold 255 bytes.
constexpr TextField<J> kOutputName = {
    [](const J& j) { return j.options.output_name; },
    [](J& j, Text text, Text name) {
      constexpr std::size_t kMostBytes = 200;
      const std::string well_formed = lowrank::well_formed(text);
      const auto refuse = [&](const char* why) {
        throw Error(kBadInput, "{} is '{}', but {}.", name, well_formed.substr(0, kMostBytes), why);
      };
      if (text.empty() || text.find('/') != Text::npos) refuse("must be a file name without folders");
      if (is_system_name(text)) refuse("must not name a hidden file; begin it with a letter");
      if (std::ranges::any_of(text, [](unsigned char c) { return c < 0x20 || c == 0x7f; }) ||
          well_formed != text)
        refuse("must not contain characters that cannot be written in a prompt, such as line breaks");
      if (text.size() > kMostBytes) refuse("must be at most 200 bytes long");
      const std::string lower = lower_ascii(text);
      if (lower.ends_with(".safetensors"))
        refuse("must not end with .safetensors, which is added automatically");
      if (lower.ends_with("-state")) refuse("must not end with -state, which is reserved for saved states");
      j.options.output_name = std::string(text);
    }};

constexpr TextField<J> kUnetOnly = {
    [](const J& j) { return std::string(j.options.train_text_encoder ? "false" : "true"); },
    [](J& j, Text text, Text) { j.options.train_text_encoder = text == "false"; }};
constexpr TextField<J> kTextEncoderOnly = {
    [](const J& j) { return std::string(j.options.train_unet ? "false" : "true"); },
    [](J& j, Text text, Text) { j.options.train_unet = text == "false"; }};

// "5e-5", or "5e-5 1e-5" for the two encoders of SDXL.
std::string text_encoder_rates(const J& j) {
  const auto& o = j.options;
  return o.text_encoder2_learning_rate ? fmt::format("{} {}", o.text_encoder_rate(), o.text_encoder2_rate())
                                       : fmt::format("{}", o.text_encoder_rate());
}

constexpr TextField<J> kTextEncoderRates = {
    [](const J& j) { return j.options.text_encoder_learning_rate ? text_encoder_rates(j) : std::string(); },
    [](J& j, Text text, Text name) {
      std::vector<double> rates;
      for (Text rest = trim(text); !rest.empty();) {
        const std::size_t end = std::min(rest.find_first_of(" ,\t\n"), rest.size());
        const auto rate = parse_number(rest.substr(0, end));
        if (!rate || rates.size() == 2)
          throw Error(kBadInput,
                      "{} is '{}', but must be a number, or two: one for each text encoder of SDXL.", name,
                      text);
        if (*rate < 0 || *rate > 10)
          throw Error(kBadInput, "{} is '{}', but must be between 0 and 10.", name, text);
        rates.push_back(*rate);
        rest = trim(rest.substr(std::min(end + 1, rest.size())));
      }
      if (rates.empty()) throw Error(kBadInput, "{} is '{}', but must be a number.", name, text);
      j.options.text_encoder_learning_rate = rates.front();
      j.options.text_encoder2_learning_rate = std::nullopt;
      if (rates.size() == 2) j.options.text_encoder2_learning_rate = rates.back();
    }};

constexpr TextField<J> kScheduler = {
    [](const J& j) { return j.options.scheduler; },
    [](J& j, Text text, Text) { j.options.scheduler = std::string(schedule(text).name); }};
constexpr TextField<J> kOptimiser = {
    [](const J& j) { return j.options.optimiser; },
    [](J& j, Text text, Text) { j.options.optimiser = std::string(optimiser(text).name); }};
// Whose arguments they are is known when all options are: check_options reads them.
constexpr TextField<J> kOptimiserArguments = {
    [](const J& j) { return j.options.optimiser_arguments; },
    [](J& j, Text text, Text name) {
      if (text.find('=') == Text::npos)
        throw Error(kBadInput, "{} is '{}', but must be name=value, such as weight_decay=0.1.", name, text);
      j.options.optimiser_arguments = std::string(trim(text));
    }};

// Its options are set with it: whoever reads options takes the preset first.
constexpr TextField<J> kPreset = {[](const J& j) { return j.preset; },
                                  [](J& j, Text text, Text name) {
                                    const LoraPreset* preset = find_lora_preset(text);
                                    if (preset == nullptr)
                                      throw Error(kBadInput, "{} is '{}', but must be one of {}.", name, text,
                                                  fmt::join(lora_preset_names(), ", "));
                                    for (const auto& option : preset->options)
                                      set_option(*find_lora_option(option.flag), j, option.value,
                                                 option.flag);
                                    j.preset = std::string(preset->name);
                                  }};

// Begins the name of a folder.
constexpr TextField<J> kLogPrefix = {
    [](const J& j) { return j.options.log_prefix; },
    [](J& j, Text text, Text name) {
      if (text.find('/') != Text::npos || text.starts_with('.') || text.size() > 200 ||
          std::ranges::any_of(text, [](unsigned char c) { return c < 0x20; }))
        throw Error(kBadInput, "{} must be the start of a folder's name, without folders.", name);
      j.options.log_prefix = std::string(text);
    }};

constexpr TextField<J> kMixedPrecision = {
    [](const J& j) { return std::string(j.options.bf16 ? "bf16" : "no"); },
    [](J& j, Text text, Text name) {
      if (text != "no" && text != "bf16")
        throw Error(kBadInput,
                    "{} is '{}', but must be no or bf16 (on a CPU, fp16 is no faster and less accurate).",
                    name, text);
      j.options.bf16 = text == "bf16";
    }};

constexpr std::pair<SavePrecision, Text> kSavePrecisions[] = {
    {SavePrecision::kFp16, "fp16"}, {SavePrecision::kBf16, "bf16"}, {SavePrecision::kFloat, "float"}};
constexpr TextField<J> kSavePrecision = {[](const J& j) {
                                           for (const auto& [precision, text] : kSavePrecisions)
                                             if (precision == j.options.save_precision)
                                               return std::string(text);
                                           return std::string();
                                         },
                                         [](J& j, Text text, Text) {
                                           for (const auto& [precision, known] : kSavePrecisions)
                                             if (known == text) j.options.save_precision = precision;
                                         }};

// ── what the metadata say, where it is not the value ───────────────────────────────────────────────────────

std::string number_or_none(double value, bool is_set) {
  return is_set ? python_text(value) : "None";
}

std::string whole_or_none(const std::optional<std::int64_t>& value) {
  return value ? std::to_string(*value) : "None";
}

std::string network_args_note(const J& j) {
  if (j.options.conv_rank == 0) return "{}";
  return fmt::format(R"({{"conv_dim":"{}","conv_alpha":"{}"}})", j.options.conv_rank,
                     python_text(j.options.conv_alpha));
}

std::string text_encoder_rates_note(const J& j) {
  const auto& o = j.options;
  if (o.train_text_encoder && o.text_encoder2_learning_rate)
    return fmt::format("[{}, {}]", python_text(o.text_encoder_rate()), python_text(o.text_encoder2_rate()));
  return number_or_none(o.text_encoder_rate(), o.train_text_encoder);
}

OptimiserArguments arguments_of(const J& j) {
  const auto& o = j.options;
  return optimiser_arguments(o.optimiser, o.optimiser_arguments, o.weight_decay);
}

// "AdamW(weight_decay=0.01,betas=0.9,0.99)": the decay, and what else was chosen.
std::string optimiser_note(const J& j) {
  const OptimiserArguments arguments = arguments_of(j);
  std::string all = fmt::format("weight_decay={}", python_text(arguments.number("weight_decay")));
  for (const auto& [name, value] : arguments.chosen())
    if (name != "weight_decay") all += fmt::format(",{}={}", name, value);
  return fmt::format("{}({})", j.options.optimiser, all);
}

// What was chosen but the weight decay, which has its own row.
std::string optimiser_arguments_key(const J& j) {
  const OptimiserArguments arguments = arguments_of(j);
  std::string all;
  for (const auto& [name, value] : arguments.chosen())
    if (name != "weight_decay") all += fmt::format("{}{}={}", all.empty() ? "" : " ", name, value);
  return all;
}

// ── the table ──────────────────────────────────────────────────────────────────────────────────────────────

#define FIELD(member)   \
  +[](J & j) -> auto& { \
    return j.member;    \
  }
using enum OnResume;

// clang-format off
constexpr LoraOption kLoraOptions[] = {
    {.flag = "config-file", .value = "FILE", .help = "read options from this TOML file, with kohya's names; options on the command line override them", .field = FIELD(config_file), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFile, .not_in_api = kServersPaths},
    {.flag = "preset", .value = "NAME", .help = "start from the options of a preset, which others override (see lowrank train presets)", .field = kPreset, .on_resume = kByEffect, .metadata = kNoMetadata, .choices = lora_preset_names, .only_choices = true, .form = {.first_value = "character"}},
    // What is learned, and on what.
    {.flag = "pretrained-model", .value = "NAME", .help = "checkpoint to train on, by name or file (default: the newest)", .field = FIELD(checkpoint), .on_resume = kByEffect, .metadata = "ss_sd_model_name", .aliases = {"pretrained-model-name-or-path", "model"}, .place = Place::kCheckpoint, .is_noted_by_run = true},
    {.flag = "vae", .value = "NAME", .help = "VAE by name, Automatic or None", .field = FIELD(vae), .on_resume = kByEffect, .metadata = kNoMetadata},
    {.flag = "train-data-dir", .value = "DIR", .help = "folder that contains N_TRIGGER folders with pictures and .txt captions", .field = FIELD(options.data.folder), .on_resume = kByEffect, .metadata = "ss_dataset_dirs", .place = Place::kFolder, .is_noted_by_run = true},
    {.flag = "dataset-config", .value = "FILE", .help = "training set described by kohya's dataset configuration, TOML or JSON, instead of --train-data-dir; it may hold several sets with own resolutions, captions and masks", .field = FIELD(options.data.config), .on_resume = kByEffect, .metadata = kNoMetadata, .place = Place::kFile, .not_in_api = kServersPaths},
    {.flag = "reg-data-dir", .value = "DIR", .help = "folder that contains N_CLASS folders with regularisation pictures", .field = FIELD(options.data.regularisation), .on_resume = kByEffect, .metadata = kNoMetadata, .place = Place::kFolder, .not_in_api = kServersPaths},
    {.flag = "output-dir", .value = "DIR", .help = "folder for the LoRA (default: models/Lora of the data folder)", .field = FIELD(options.output_dir), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFolder, .not_in_api = kServersPaths},
    {.flag = "output-name", .value = "NAME", .help = "file name without extension, and the name used in prompts", .field = kOutputName, .on_resume = kFree, .metadata = "ss_output_name"},
    {.flag = "resolution", .value = "W[,H]", .help = "training size in pixels (default: the model's native size, such as 512 for SD 1.x and 1024 for SDXL)", .field = kResolution, .on_resume = kByEffect, .metadata = "ss_resolution", .is_noted_by_run = true, .form = {.first_value = "512", .min = 64, .max = 2048, .step = 8}},
    {.flag = "train-batch-size", .value = "N", .help = "pictures per batch", .field = FIELD(options.data.batch_size), .on_resume = kSame, .metadata = "ss_batch_size_per_device", .min = 1, .max = 4096},
    {.flag = "max-train-steps", .value = "N", .help = "steps to train", .field = FIELD(options.max_steps), .on_resume = kLength, .metadata = "ss_max_train_steps", .min = 1, .max = kMaxSteps, .is_noted_by_run = true},
    {.flag = "max-train-epochs", .value = "N", .help = "epochs to train, instead of steps", .field = FIELD(options.max_epochs), .on_resume = kLength, .metadata = "ss_num_epochs", .min = 1, .max = 1e6, .is_noted_by_run = true},
    {.flag = "gradient-accumulation-steps", .value = "N", .help = "gradient accumulation: batches per step", .field = FIELD(options.gradient_accumulation), .on_resume = kSame, .metadata = "ss_gradient_accumulation_steps", .min = 1, .max = 1e6},
    // The network.
    {.flag = "network-dim", .value = "N", .help = "rank of the LoRA", .field = FIELD(options.network_rank), .on_resume = kSame, .metadata = "ss_network_dim", .min = 1, .max = 4096, .aliases = {"network-rank"}},
    {.flag = "network-alpha", .value = "A", .help = "alpha of the LoRA; its change is scaled by alpha / rank", .field = FIELD(options.network_alpha), .on_resume = kSame, .metadata = "ss_network_alpha", .min = 1e-6, .max = 65504, .form = {.step = 0.1}},
    {.flag = "network-args", .value = "ARGS", .help = "\"conv_dim=N conv_alpha=A\": train convolutions too", .field = kNetworkArgs, .on_resume = kSame, .metadata = "ss_network_args", .key = network_args_text, .note = network_args_note},
    {.flag = "network-train-unet-only", .help = "train the U-Net only, not the text encoder (of SDXL: neither of its two)", .field = kUnetOnly, .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "network-train-text-encoder-only", .help = "do not train the U-Net", .field = kTextEncoderOnly, .on_resume = kSame, .metadata = kNoMetadata},
    // The optimiser.
    {.flag = "learning-rate", .value = "RATE", .help = "learning rate", .field = FIELD(options.learning_rate), .on_resume = kByEffect, .metadata = "ss_learning_rate", .min = 0, .max = 10, .form = {.step = 0.0001}},
    {.flag = "unet-lr", .value = "RATE", .help = "learning rate of the U-Net (default: --learning-rate)", .field = FIELD(options.unet_learning_rate), .on_resume = kSame, .metadata = "ss_unet_lr", .min = 0, .max = 10,
     .key = [](const J& j) { return fmt::format("{}", j.options.unet_rate()); },
     .note = [](const J& j) { return number_or_none(j.options.unet_rate(), j.options.train_unet); }},
    {.flag = "text-encoder-lr", .value = "RATE", .help = "learning rate of the text encoder (default: --learning-rate); SDXL has two encoders and takes a rate for each: 5e-5 1e-5", .field = kTextEncoderRates, .on_resume = kSame, .metadata = "ss_text_encoder_lr", .most_words = 2, .key = text_encoder_rates, .note = text_encoder_rates_note},
    {.flag = "lr-scheduler", .value = "NAME", .help = "learning-rate schedule", .field = kScheduler, .on_resume = kSame, .metadata = "ss_lr_scheduler", .choices = lr_schedule_names, .only_choices = true},
    {.flag = "lr-warmup-steps", .value = "N", .help = "warm-up steps of the learning rate", .field = FIELD(options.warmup_steps), .on_resume = kSame, .metadata = "ss_lr_warmup_steps", .min = 0, .max = kMaxSteps},
    {.flag = "lr-scheduler-num-cycles", .value = "N", .help = "restarts of the schedule cosine_with_restarts", .field = FIELD(options.schedule_shape.cycles), .on_resume = kSame, .metadata = "ss_lr_scheduler_num_cycles", .min = 1, .max = 1e6},
    {.flag = "lr-scheduler-power", .value = "P", .help = "power of the schedule polynomial", .field = FIELD(options.schedule_shape.power), .on_resume = kSame, .metadata = "ss_lr_scheduler_power", .min = 0, .max = 100, .form = {.step = 0.1}},
    {.flag = "lr-scheduler-timescale", .value = "N", .help = "steps after which the schedule inverse_sqrt has fallen to 0.71; 0: the warm-up steps, or 10000 without them", .field = FIELD(options.schedule_shape.timescale), .on_resume = kSame, .metadata = "ss_lr_scheduler_timescale", .min = 0, .max = kMaxSteps},
    {.flag = "lr-scheduler-min-lr-ratio", .value = "X", .help = "where the schedule cosine_with_min_lr ends, of the learning rate", .field = FIELD(options.schedule_shape.least), .on_resume = kSame, .metadata = "ss_lr_scheduler_min_lr_ratio", .min = 0, .max = 1, .form = {.step = 0.01}},
    {.flag = "optimizer-type", .value = "NAME", .help = "optimiser, by kohya's name or that of its Python class", .field = kOptimiser, .on_resume = kSame, .metadata = "ss_optimizer", .choices = optimiser_names, .note = optimiser_note},
    {.flag = "optimizer-args", .value = "ARGS", .help = "arguments of the optimiser, as its Python package names them: \"betas=0.9,0.99 weight_decay=0.1\"", .field = kOptimiserArguments, .on_resume = kSame, .metadata = "ss_optimizer", .most_words = 16, .key = optimiser_arguments_key, .note = optimiser_note},
    {.flag = "weight-decay", .value = "D", .help = "weight decay of the optimiser (default: the optimiser's own, such as 0.01 of AdamW)", .field = FIELD(options.weight_decay), .on_resume = kSame, .metadata = "ss_optimizer", .min = 0, .max = 1,
     .key = [](const J& j) { return fmt::format("{}", arguments_of(j).number("weight_decay")); }, .note = optimiser_note, .form = {.step = 0.01}},
    {.flag = "max-grad-norm", .value = "N", .help = "clip gradients to this norm; 0: no clipping", .field = FIELD(options.max_gradient_norm), .on_resume = kSame, .metadata = "ss_max_grad_norm", .min = 0, .max = kMaxSteps},
    {.flag = "ema-decay", .value = "D", .help = "train as ever, but save and draw with the moving average of the weights, whose share of the old is D in a step, such as 0.999; 0: off", .field = FIELD(options.ema_decay), .on_resume = kSame, .metadata = "ss_ema_decay", .min = 0, .max = 0.999999, .form = {.step = 0.001}},
    // The objective.
    {.flag = "min-snr-gamma", .value = "G", .help = "down-weight low-noise steps (min-SNR), usually 5; 0: off", .field = FIELD(options.min_snr_gamma), .on_resume = kSame, .metadata = "ss_min_snr_gamma", .min = 0, .max = 1e6,
     .note = [](const J& j) { return number_or_none(j.options.min_snr_gamma, j.options.min_snr_gamma > 0); }},
    {.flag = "zero-terminal-snr", .help = "let the last timestep be noise alone, for v-prediction checkpoints (default: as the checkpoint states)", .field = FIELD(options.zero_terminal_snr), .on_resume = kSame, .metadata = "ss_zero_terminal_snr", .is_noted_by_run = true},
    {.flag = "noise-offset", .value = "X", .help = "add noise per channel, for darker and brighter pictures", .field = FIELD(options.noise_offset), .on_resume = kSame, .metadata = "ss_noise_offset", .min = 0, .max = 1,
     .note = [](const J& j) { return number_or_none(j.options.noise_offset, j.options.noise_offset > 0); }},
    // Pictures and captions.
    {.flag = "enable-bucket", .help = "keep aspect ratios: sort pictures into buckets of similar area", .field = FIELD(options.data.buckets.enable), .on_resume = kByEffect, .metadata = "ss_enable_bucket"},
    {.flag = "min-bucket-reso", .value = "N", .help = "smallest side of a bucket (default: 256, less for small resolutions)", .field = FIELD(options.data.buckets.min_side), .on_resume = kByEffect, .metadata = "ss_min_bucket_reso", .min = 8, .max = 65536, .is_noted_by_run = true},
    {.flag = "max-bucket-reso", .value = "N", .help = "largest side of a bucket (default: 1024, less for small resolutions)", .field = FIELD(options.data.buckets.max_side), .on_resume = kByEffect, .metadata = "ss_max_bucket_reso", .min = 8, .max = 65536, .is_noted_by_run = true},
    {.flag = "bucket-reso-steps", .value = "N", .help = "bucket sides are multiples of this (default: 64, less for small resolutions)", .field = FIELD(options.data.buckets.step), .on_resume = kByEffect, .metadata = kNoMetadata, .min = 8, .max = 65536},
    {.flag = "bucket-no-upscale", .help = "do not upscale small pictures", .field = FIELD(options.data.buckets.no_upscale), .on_resume = kByEffect, .metadata = "ss_bucket_no_upscale"},
    {.flag = "flip-aug", .help = "randomly mirror half of the pictures", .field = FIELD(options.data.flip_aug), .on_resume = kSame, .metadata = "ss_flip_aug"},
    {.flag = "color-aug", .help = "show a third of the pictures in slightly other colours; encodes each picture anew every time", .field = FIELD(options.data.color_aug), .on_resume = kSame, .metadata = "ss_color_aug"},
    {.flag = "random-crop", .help = "cut pictures at random places instead of the middle; encodes each picture anew every time", .field = FIELD(options.data.random_crop), .on_resume = kSame, .metadata = "ss_random_crop"},
    {.flag = "alpha-mask", .help = "learn each part of a picture as far as it is opaque", .field = FIELD(options.data.alpha_mask), .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "masked-loss", .help = "use masks: NAME-masklabel.png beside NAME.png is white where the picture is learned", .field = FIELD(options.data.masked_loss), .on_resume = kByEffect, .metadata = kNoMetadata},
    {.flag = "caption-extension", .value = "EXT", .help = "ending of caption files, such as .txt or .json (default: .txt, else .caption)", .field = kCaptionExtension, .on_resume = kByEffect, .metadata = kNoMetadata, .choices = [] { return list(".txt", ".caption", ".json"); }},
    {.flag = "caption-encoding", .value = "NAME", .help = "encoding of captions without a byte order mark", .field = kCaptionEncoding, .on_resume = kByEffect, .metadata = kNoMetadata, .choices = [] { return list("utf-8", "utf-16", "cp1252", "cp932", "gbk"); }},
    {.flag = "shuffle-caption", .help = "shuffle the comma-separated tags of a caption", .field = FIELD(options.data.captions.shuffle), .on_resume = kSame, .metadata = "ss_shuffle_caption"},
    {.flag = "keep-tokens", .value = "N", .help = "number of leading tags that are not shuffled", .field = FIELD(options.data.captions.keep_tokens), .on_resume = kSame, .metadata = "ss_keep_tokens", .min = 0, .max = 1e6},
    {.flag = "caption-dropout-rate", .value = "P", .help = "share of pictures trained without their caption", .field = FIELD(options.data.captions.dropout_rate), .on_resume = kSame, .metadata = "ss_caption_dropout_rate", .min = 0, .max = 1},
    {.flag = "keep-tokens-separator", .value = "TEXT", .help = "tags before this text in a caption are not shuffled, and tags after a second one neither", .field = FIELD(options.data.captions.keep_separator), .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "secondary-separator", .value = "TEXT", .help = "tags joined by this text are shuffled and dropped as one", .field = FIELD(options.data.captions.secondary_separator), .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "caption-separator", .value = "TEXT", .help = "text between the tags of a caption", .field = kCaptionSeparator, .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "caption-prefix", .value = "TEXT", .help = "text before every caption", .field = FIELD(options.data.captions.prefix), .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "caption-suffix", .value = "TEXT", .help = "text after every caption", .field = FIELD(options.data.captions.suffix), .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "enable-wildcard", .help = "draw one of a caption's lines, and one of each {red|blue}; write {{ and }} for braces", .field = FIELD(options.data.captions.wildcards), .on_resume = kSame, .metadata = kNoMetadata},
    {.flag = "caption-dropout-every-n-epochs", .value = "N", .help = "train every N-th epoch without captions; 0: none", .field = FIELD(options.data.captions.dropout_every_n_epochs), .on_resume = kSame, .metadata = "ss_caption_dropout_every_n_epochs", .min = 0, .max = 1e6},
    {.flag = "caption-tag-dropout-rate", .value = "P", .help = "share of tags left out each time a caption is used", .field = FIELD(options.data.captions.tag_dropout_rate), .on_resume = kSame, .metadata = "ss_caption_tag_dropout_rate", .min = 0, .max = 1},
    {.flag = "token-warmup-min", .value = "N", .help = "number of tags used at the first step of --token-warmup-step", .field = FIELD(options.data.captions.token_warmup_min), .on_resume = kSame, .metadata = kNoMetadata, .min = 0, .max = 1e6},
    {.flag = "token-warmup-step", .value = "N", .help = "use all tags only after N steps, or a share of the steps below 1; 0: from the start", .field = FIELD(options.data.captions.token_warmup_step), .on_resume = kSame, .metadata = kNoMetadata, .min = 0, .max = kMaxSteps},
    {.flag = "max-token-length", .value = "N", .help = "maximum caption length in tokens", .field = FIELD(options.max_token_length), .on_resume = kSame, .metadata = "ss_max_token_length", .choices = [] { return list("75", "150", "225"); }, .only_choices = true,
     .note = [](const J& j) { return j.options.max_token_length > 75 ? std::to_string(j.options.max_token_length) : "None"; }},
    {.flag = "clip-skip", .value = "N", .help = "text encoder layer to use, counted from the end; SD 2.x and SDXL always use the last but one", .field = FIELD(options.clip_skip), .on_resume = kSame, .metadata = "ss_clip_skip", .min = 1, .max = 24,
     .note = [](const J& j) { return j.options.clip_skip > 1 ? std::to_string(j.options.clip_skip) : "None"; }},
    {.flag = "seed", .value = "N", .help = "random seed", .field = FIELD(options.seed), .on_resume = kSame, .metadata = "ss_seed", .min = 0},
    // How it is computed.
    {.flag = "mixed-precision", .value = "TYPE", .help = "precision of matrix products", .field = kMixedPrecision, .on_resume = kSame, .metadata = "ss_mixed_precision", .choices = [] { return list("no", "bf16"); }},
    {.flag = "gradient-checkpointing", .help = "compute the U-Net's blocks twice instead of keeping what they made: the same LoRA with less memory, in more time", .field = FIELD(options.gradient_checkpointing), .on_resume = kFree, .metadata = "ss_gradient_checkpointing"},
    {.flag = "cache-latents-to-disk", .help = "keep the encoded pictures for the next run", .field = FIELD(options.cache_latents_to_disk), .on_resume = kFree, .metadata = kNoMetadata},
    {.flag = "threads", .value = "N", .help = "number of threads; 0: all cores, or the number that the resumed run began with", .field = FIELD(options.threads), .on_resume = kByEffect, .metadata = kNoMetadata, .min = 0, .max = 1024, .not_in_api = "set the number of threads on the server: lowrank serve --threads N"},
    // What is saved.
    {.flag = "save-precision", .value = "TYPE", .help = "precision of the saved LoRA", .field = kSavePrecision, .on_resume = kFree, .metadata = kNoMetadata, .choices = [] { return list("fp16", "bf16", "float"); }, .only_choices = true},
    {.flag = "save-every-n-steps", .value = "N", .help = "also save NAME-stepNNNNNNNN.safetensors every N steps; 0: never", .field = FIELD(options.save_every_steps), .on_resume = kFree, .metadata = kNoMetadata, .min = 0, .max = kMaxSteps},
    {.flag = "save-every-n-epochs", .value = "N", .help = "also save NAME-NNNNNN.safetensors every N epochs; 0: never", .field = FIELD(options.save_every_epochs), .on_resume = kFree, .metadata = kNoMetadata, .min = 0, .max = kMaxSteps},
    {.flag = "save-last-n-steps", .value = "N", .help = "of the files of --save-every-n-steps keep only those of the last N steps (default: all)", .field = FIELD(options.save_last_steps), .on_resume = kFree, .metadata = kNoMetadata, .min = 1, .max = kMaxSteps},
    {.flag = "save-last-n-epochs", .value = "N", .help = "of the files of --save-every-n-epochs keep only the last N (default: all)", .field = FIELD(options.save_last_epochs), .on_resume = kFree, .metadata = kNoMetadata, .min = 1, .max = kMaxSteps},
    {.flag = "delete-state", .help = "delete the saved state when the run has finished; otherwise it is kept, and the same command with a larger --max-train-steps trains further", .field = FIELD(options.delete_state), .on_resume = kFree, .metadata = kNoMetadata},
    {.flag = "state-every-n-steps", .value = "N", .help = "save the state for resuming every N steps", .field = FIELD(state_every_steps), .on_resume = kFree, .metadata = kNoMetadata, .min = 1, .max = kMaxSteps},
    {.flag = "sample-prompts", .value = "FILE", .help = "prompts of sample pictures, one per line", .field = FIELD(sample_prompts), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFile},
    {.flag = "sample-every-n-steps", .value = "N", .help = "generate the sample pictures every N steps; 0: only at the end", .field = FIELD(sample_every_steps), .on_resume = kFree, .metadata = kNoMetadata, .min = 0, .max = kMaxSteps},
    {.flag = "sample-every-n-epochs", .value = "N", .help = "generate the sample pictures every N epochs; 0: by steps", .field = FIELD(sample_every_epochs), .on_resume = kFree, .metadata = kNoMetadata, .min = 0, .max = kMaxSteps},
    {.flag = "sample-at-first", .help = "generate the sample pictures before the first step too", .field = FIELD(sample_at_first), .on_resume = kFree, .metadata = kNoMetadata},
    // What is watched.
    {.flag = "validation-split", .value = "P", .help = "share of the pictures that are not trained on; their loss is measured on the same noise each time", .field = FIELD(options.validation.split), .on_resume = kSame, .metadata = "ss_validation_split", .min = 0, .max = 0.9},
    {.flag = "validation-seed", .value = "N", .help = "seed of that choice and noise; 0: --seed", .field = FIELD(options.validation.seed), .on_resume = kSame, .metadata = "ss_validation_seed", .min = 0},
    {.flag = "validate-every-n-steps", .value = "N", .help = "measure the validation loss every N steps; 0: by epochs", .field = FIELD(options.validation.every_steps), .on_resume = kFree, .metadata = "ss_validate_every_n_steps", .min = 0, .max = kMaxSteps},
    {.flag = "validate-every-n-epochs", .value = "N", .help = "measure the validation loss every N epochs (default: 1, unless it is measured by steps)", .field = FIELD(options.validation.every_epochs), .on_resume = kFree, .metadata = "ss_validate_every_n_epochs", .min = 1, .max = kMaxSteps, .note = [](const J& j) { return whole_or_none(j.options.validation.every_epochs); }},
    {.flag = "max-validation-steps", .value = "N", .help = "measure the validation loss on at most N pictures (default: all that are held out)", .field = FIELD(options.validation.max_pictures), .on_resume = kSame, .metadata = "ss_max_validation_steps", .min = 1, .max = kMaxSteps, .note = [](const J& j) { return whole_or_none(j.options.validation.max_pictures); }},
    {.flag = "logging-dir", .value = "DIR", .help = "write TensorBoard event files and CSV to a folder in this one", .field = FIELD(options.logging_dir), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFolder, .not_in_api = kServersPaths},
    {.flag = "log-prefix", .value = "TEXT", .help = "start of that folder's name, before the time", .field = kLogPrefix, .on_resume = kFree, .metadata = kNoMetadata, .not_in_api = kServersPaths},
    // How it begins.
    {.flag = "resume", .value = "FILE", .help = "resume from this state (default: NAME-state.safetensors of the output folder, if it exists)", .field = FIELD(options.resume), .on_resume = kFree, .metadata = kNoMetadata, .place = Place::kFile, .not_in_api = kServersPaths},
    {.flag = "fresh", .help = "discard a saved state, start over and replace the LoRA of that name", .field = FIELD(options.fresh), .on_resume = kFree, .metadata = kNoMetadata},
    {.flag = "training-comment", .value = "TEXT", .help = "comment to store in the file's metadata", .field = FIELD(options.comment), .on_resume = kFree, .metadata = "ss_training_comment",
     .note = [](const J& j) { return j.options.comment.empty() ? std::string("None") : j.options.comment; }},
    {.flag = "metadata-title", .value = "TEXT", .help = "title in the file's model card (default: --output-name)", .field = FIELD(options.card.title), .on_resume = kFree, .metadata = "modelspec.title", .is_noted_by_run = true},
    {.flag = "metadata-author", .value = "TEXT", .help = "author in the file's model card", .field = FIELD(options.card.author), .on_resume = kFree, .metadata = "modelspec.author", .is_noted_by_run = true},
    {.flag = "metadata-description", .value = "TEXT", .help = "description in the file's model card", .field = FIELD(options.card.description), .on_resume = kFree, .metadata = "modelspec.description", .is_noted_by_run = true},
    {.flag = "metadata-license", .value = "TEXT", .help = "licence in the file's model card", .field = FIELD(options.card.license), .on_resume = kFree, .metadata = "modelspec.license", .is_noted_by_run = true},
    {.flag = "metadata-tags", .value = "TEXT", .help = "tags in the file's model card, separated by commas", .field = FIELD(options.card.tags), .on_resume = kFree, .metadata = "modelspec.tags", .is_noted_by_run = true},
    {.flag = "metadata-usage-hint", .value = "TEXT", .help = "how to use the LoRA, in the file's model card", .field = FIELD(options.card.usage_hint), .on_resume = kFree, .metadata = "modelspec.usage_hint", .is_noted_by_run = true},
    {.flag = "metadata-trigger-phrase", .value = "TEXT", .help = "trigger phrase in the file's model card (default: the trigger words of the folders)", .field = FIELD(options.card.trigger_phrase), .on_resume = kFree, .metadata = "modelspec.trigger_phrase", .is_noted_by_run = true},
};
// clang-format on
#undef FIELD

static_assert(
    std::ranges::all_of(kLoraOptions, is_complete<J>),
    "a row says neither whether a resumed run must repeat its option nor what the metadata tell of it");

}  // namespace

std::span<const LoraOption> lora_options() {
  return kLoraOptions;
}

const LoraOption* find_lora_option(std::string_view name) {
  return find_option(lora_options(), name);
}

void check_options(const LoraTraining& job) {
  check_options(lora_options(), job);
  const LoraTrainOptions& o = job.options;
  if (!o.train_unet && !o.train_text_encoder)
    throw Error(kBadInput,
                "--network-train-unet-only and --network-train-text-encoder-only cannot be used together.");
  arguments_of(job);
  if (o.output_name.empty()) throw Error(kBadInput, "--output-name is empty, but must be a file name.");
}

}  // namespace lowrank::request
