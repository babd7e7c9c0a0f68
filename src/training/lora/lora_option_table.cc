#include "training/lora/lora_option_table.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/error.h"
#include "base/text/text.h"
#include "base/text/text_file.h"

namespace lowrank::training {
namespace {

using O = LoraTrainOptions;
using Text = std::string_view;

std::int64_t integer(Text text, Text flag) {
  std::int64_t value = 0;
  const Text t = trim(text);
  const auto [stop, code] = std::from_chars(t.data(), t.data() + t.size(), value);
  if (code != std::errc() || stop != t.data() + t.size() || t.empty())
    throw Error(kBadInput, "--{} '{}': must be a whole number.", flag, text);
  return value;
}

double number(Text text, Text flag) {
  const auto value = parse_number(text);
  if (!value) throw Error(kBadInput, "--{} '{}': must be a number.", flag, text);
  return *value;
}

// "512" or "768,512" (width, height).
PixelSize resolution(Text text, Text flag) {
  const auto comma = text.find_first_of(",x");
  const std::int64_t width = integer(text.substr(0, comma), flag);
  return {width, comma == Text::npos ? width : integer(text.substr(comma + 1), flag)};
}

// "conv_dim=4 conv_alpha=1"
void network_args(O& o, Text text, Text flag) {
  while (!(text = trim(text)).empty()) {
    const std::size_t end = std::min(text.find_first_of(" ,\t\n"), text.size());
    const Text pair = text.substr(0, end);
    const std::size_t equals = pair.find('=');
    const Text key = pair.substr(0, equals), value = equals == Text::npos ? Text() : pair.substr(equals + 1);
    if (key == "conv_dim") {
      o.conv_rank = integer(value, "network-args conv_dim");
    } else if (key == "conv_alpha") {
      o.conv_alpha = number(value, "network-args conv_alpha");
    } else {
      throw Error(kBadInput, "--{} '{}': unknown; LowRank knows conv_dim=N and conv_alpha=A.", flag, pair);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void mixed_precision(O& o, Text text, Text flag) {
  if (text != "no" && text != "bf16")
    throw Error(kBadInput, "--{} '{}': choose no or bf16 (on a CPU fp16 is no faster and less exact).", flag,
                text);
  o.bf16 = text == "bf16";
}

void optimizer(O&, Text text, Text flag) {
  if (lower(text) != "adamw") throw Error(kUnsupported, "--{} '{}': LowRank trains with AdamW.", flag, text);
}

void refuse_checkpointing(O&, Text, Text flag) {
  throw Error(kUnsupported,
              "--{} is not supported yet: use a smaller --resolution, --train-batch-size 1 with "
              "--gradient-accumulation-steps, or --mixed-precision bf16 to save memory.",
              flag);
}

constexpr LoraOptionRow kTable[] = {
    // What is learned from.
    {"train-data-dir", "DIR", "folder of folders N_TRIGGER with pictures and .txt captions",
     [](O& o, Text t, Text) { o.data.folder = std::string(t); }},
    {"resolution", "W[,H]", "training size in pixels (default: the model's own)",
     [](O& o, Text t, Text f) { o.data.buckets.resolution = resolution(t, f); }},
    {"enable-bucket", "", "keep aspect ratios: sort pictures into buckets of equal area",
     [](O& o, Text, Text) { o.data.buckets.enable = true; }},
    {"min-bucket-reso", "N", "smallest side of a bucket (default 256, less for small resolutions)",
     [](O& o, Text t, Text f) { o.data.buckets.min_side = integer(t, f); }},
    {"max-bucket-reso", "N", "largest side of a bucket (default 1024, less for small resolutions)",
     [](O& o, Text t, Text f) { o.data.buckets.max_side = integer(t, f); }},
    {"bucket-reso-steps", "N",
     "sides of buckets are multiples of this (default 64, less for small resolutions)",
     [](O& o, Text t, Text f) { o.data.buckets.step = integer(t, f); }},
    {"bucket-no-upscale", "", "do not enlarge small pictures",
     [](O& o, Text, Text) { o.data.buckets.no_upscale = true; }},
    {"flip-aug", "", "show each picture mirrored half of the time",
     [](O& o, Text, Text) { o.flip_aug = true; }},
    {"caption-encoding", "NAME", "encoding of captions without a byte order mark (default utf-8)",
     [](O& o, Text t, Text f) {
       o.data.caption_encoding = std::string(t);
       check_encoding(o.data.caption_encoding, fmt::format("--{}", f));
     }},
    {"shuffle-caption", "", "shuffle the comma-separated tags of a caption",
     [](O& o, Text, Text) { o.captions.shuffle = true; }},
    {"keep-tokens", "N", "tags at the front that shuffling leaves in place (default 0)",
     [](O& o, Text t, Text f) {
       o.captions.keep_tokens = static_cast<int>(std::clamp<std::int64_t>(integer(t, f), -1, 1 << 30));
     }},
    {"caption-dropout-rate", "P", "share of pictures shown without caption (default 0)",
     [](O& o, Text t, Text f) { o.captions.dropout_rate = number(t, f); }},
    {"max-token-length", "N", "tokens of a caption that are read: 75, 150 or 225 (default 75)",
     [](O& o, Text t, Text f) {
       o.max_token_length = static_cast<int>(std::clamp<std::int64_t>(integer(t, f), 0, 1000));
     }},
    {"cache-latents-to-disk", "", "keep the encoded pictures beside the output for the next run",
     [](O& o, Text, Text) { o.cache_latents_to_disk = true; }},
    // The network.
    {"network-dim", "N", "rank of the LoRA (default 4)",
     [](O& o, Text t, Text f) { o.network_rank = integer(t, f); }},
    {"network-alpha", "A", "the LoRA acts scaled by alpha / rank (default 1)",
     [](O& o, Text t, Text f) { o.network_alpha = number(t, f); }},
    {"network-args", "ARGS", "\"conv_dim=N conv_alpha=A\": train convolutions too", network_args},
    {"network-train-unet-only", "", "leave the text encoder as it is",
     [](O& o, Text, Text) { o.train_text_encoder = false; }},
    {"network-train-text-encoder-only", "", "leave the U-Net as it is",
     [](O& o, Text, Text) { o.train_unet = false; }},
    // The optimiser.
    {"learning-rate", "RATE", "learning rate (default 1e-4)",
     [](O& o, Text t, Text f) { o.learning_rate = number(t, f); }},
    {"unet-lr", "RATE", "learning rate of the U-Net (default: --learning-rate)",
     [](O& o, Text t, Text f) { o.unet_learning_rate = number(t, f); }},
    {"text-encoder-lr", "RATE", "learning rate of the text encoder (default: --learning-rate)",
     [](O& o, Text t, Text f) { o.text_encoder_learning_rate = number(t, f); }},
    {"lr-scheduler", "NAME", "constant, linear or cosine (default constant)",
     [](O& o, Text t, Text) { o.scheduler = std::string(t); }},
    {"lr-warmup-steps", "N", "steps in which the learning rate rises to its peak (default 0)",
     [](O& o, Text t, Text f) { o.warmup_steps = integer(t, f); }},
    {"optimizer-type", "NAME", "AdamW", optimizer},
    {"weight-decay", "D", "of AdamW (default 0.01)",
     [](O& o, Text t, Text f) { o.weight_decay = number(t, f); }},
    {"max-grad-norm", "N", "limit of the gradient's norm, 0: none (default 1)",
     [](O& o, Text t, Text f) { o.max_gradient_norm = number(t, f); }},
    {"max-train-steps", "N", "steps to train (default 1600)",
     [](O& o, Text t, Text f) { o.max_steps = integer(t, f); }},
    {"max-train-epochs", "N", "epochs to train, instead of steps",
     [](O& o, Text t, Text f) { o.max_epochs = integer(t, f); }},
    {"train-batch-size", "N", "pictures per batch (default 1)",
     [](O& o, Text t, Text f) { o.data.batch_size = integer(t, f); }},
    {"gradient-accumulation-steps", "N", "batches per step (default 1)",
     [](O& o, Text t, Text f) { o.gradient_accumulation = integer(t, f); }},
    {"gradient-checkpointing", "", "not supported yet", refuse_checkpointing},
    // The objective.
    {"min-snr-gamma", "G", "weigh down low-noise steps, usually 5 (default: off)",
     [](O& o, Text t, Text f) { o.min_snr_gamma = number(t, f); }},
    {"noise-offset", "X", "noise per channel, for dark and bright pictures (default 0)",
     [](O& o, Text t, Text f) { o.noise_offset = number(t, f); }},
    {"clip-skip", "N", "layer of the text encoder to use, from the end (default 1)",
     [](O& o, Text t, Text f) {
       o.clip_skip = static_cast<int>(std::clamp<std::int64_t>(integer(t, f), 0, 1000));
     }},
    {"seed", "N", "of all random draws (default 42)",
     [](O& o, Text t, Text f) { o.seed = static_cast<std::uint64_t>(integer(t, f)); }},
    {"mixed-precision", "TYPE", "no or bf16 (default no)", mixed_precision},
    // Files.
    {"output-dir", "DIR", "where the LoRA goes (default: models/Lora of the data folder)",
     [](O& o, Text t, Text) { o.output_dir = std::string(t); }},
    {"output-name", "NAME", "file name without ending, and the name in prompts (default last)",
     [](O& o, Text t, Text) { o.output_name = std::string(t); }},
    {"save-precision", "TYPE", "fp16, bf16 or float (default fp16)",
     [](O& o, Text t, Text) { o.save_precision = save_precision_from_name(std::string(t)); }},
    {"save-every-n-steps", "N", "also save NAME-stepNNNNNNNN.safetensors every N steps",
     [](O& o, Text t, Text f) { o.save_every_steps = integer(t, f); }},
    {"save-every-n-epochs", "N", "also save NAME-NNNNNN.safetensors every N epochs",
     [](O& o, Text t, Text f) { o.save_every_epochs = integer(t, f); }},
    {"resume", "FILE",
     "go on from this state (default: NAME-state.safetensors of the output folder, when it is there)",
     [](O& o, Text t, Text) { o.resume = std::string(t); }},
    {"fresh", "", "forget a saved state, start anew and replace the LoRA of that name",
     [](O& o, Text, Text) { o.fresh = true; }},
    {"training-comment", "TEXT", "kept in the file's metadata",
     [](O& o, Text t, Text) { o.comment = std::string(t); }},
};

}  // namespace

std::span<const LoraOptionRow> lora_option_table() {
  return kTable;
}

const LoraOptionRow* lora_option(std::string_view flag) {
  std::string name(flag);
  std::replace(name.begin(), name.end(), '_', '-');
  for (const auto& row : kTable)
    if (row.flag == name) return &row;
  return nullptr;
}

void set_lora_option(LoraTrainOptions& options, std::string_view flag, std::string_view text) {
  const LoraOptionRow* row = lora_option(flag);
  if (row == nullptr) throw Error(kBadInput, "--{}: there is no such option of LoRA training.", flag);
  if (row->value.empty()) {
    if (text == "false") return;
    if (!text.empty() && text != "true") throw Error(kBadInput, "--{} takes no value.", row->flag);
  } else if (trim(text).empty()) {
    throw Error(kBadInput, "--{}: a value is missing ({}).", row->flag, row->value);
  }
  row->set(options, text, row->flag);
}

}  // namespace lowrank::training
