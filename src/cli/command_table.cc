#include "cli/command_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "cli/light/commands.h"
#include "pipeline/field_table.h"

namespace lowrank::cli {
namespace {

using enum ValueKind;

// What can be chosen among, for completion; the engine knows more spellings (A1111's aliases, "DPM++ 2M
// Karras").
const std::vector<std::string> kSamplers = {"DPM++ 2M",   "DPM++ SDE",    "DPM++ 2M SDE", "DPM++ 2M SDE Heun",
                                            "DPM++ 2S a", "DPM++ 3M SDE", "Euler a",      "Euler",
                                            "LMS",        "Heun",         "DPM2",         "DPM2 a",
                                            "DPM fast",   "DPM adaptive", "Restart",      "DDIM",
                                            "DDIM CFG++", "PLMS",         "UniPC",        "LCM"};
const std::vector<std::string> kLatentUpscalers = {
    "Latent",           "Latent (antialiased)",   "Latent (bicubic)", "Latent (bicubic antialiased)",
    "Latent (nearest)", "Latent (nearest-exact)", "Lanczos",          "Nearest"};
const std::vector<std::string> kSchedulers = {
    "Automatic",       "Uniform",     "Karras",     "Exponential",
    "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
    "Simple",          "Normal",      "DDIM",       "Beta"};

// clang-format off
const OptionRow kDataDir = {.flag = "data-dir", .value = "DIR", .help = "folder that holds models/, embeddings/ and styles.csv", .kind = kFolder};
const OptionRow kThreads = {.flag = "threads", .value = "N", .help = "threads to compute with; 0: all cores", .kind = kInteger, .min = 0, .max = 1024, .standard = "0"};
const OptionRow kJson = {.flag = "json", .help = "print the result as JSON"};

// What `txt2img` takes beside the fields of a request.
const std::vector<OptionRow> kGeneration = {
    {.flag = "size", .value = "WxH", .help = "width and height at once", .kind = kSize},
    {.flag = "zero-terminal-snr", .help = "the same as --noise-schedule \"Zero Terminal SNR\""},
    {.flag = "from", .value = "FILE", .help = "repeat a picture with the settings stored in it; options given beside it win", .kind = kFile},
    {.flag = "output", .letter = 'o', .value = "PATTERN", .help = "file to write; [number], [seed], [index], [date], [model], [sampler], [steps], [cfg], [width] and [height] are filled in", .kind = kFile},
    {.flag = "format", .value = "NAME", .help = "kind of file (default: by the ending of --output, else png)", .choices = {"png", "jpg", "jpeg", "webp"}, .only_choices = true},
    {.flag = "quality", .value = "N", .help = "of jpg and webp", .kind = kInteger, .min = 1, .max = 100, .standard = "80"},
    {.flag = "preview", .value = "FILE", .help = "write a live preview here at each step", .kind = kFile},
    kDataDir,
    kThreads,
    {.flag = "device", .value = "NAME", .help = "where to compute", .standard = "cpu", .choices = {"cpu"}},
    kJson,
    {.flag = "quiet", .letter = 'q', .help = "show no progress"},
};

const OptionRow kOutput = {.flag = "output", .letter = 'o', .value = "PATTERN", .help = "file to write, or a folder with '/' at its end", .kind = kFile};
const OptionRow kInit = {.flag = "init", .letter = 'i', .value = "FILE", .help = "picture to start from", .kind = kFile, .aliases = {"init-images"}};
const OptionRow kMask = {.flag = "mask", .letter = 'm', .value = "FILE", .help = "light where the picture is made anew; or transparency", .kind = kFile};
const OptionRow kNoSheet = {.flag = "no-sheet", .help = "save the pictures only, no sheet of all"};

const std::vector<OptionRow> kImg2imgOptions = {
    {.flag = "init", .letter = 'i', .value = "FILE", .help = "picture to start from, or a folder of pictures, one after the other", .kind = kFile, .aliases = {"init-images"}, .is_repeatable = true},
    {.flag = "mask", .letter = 'm', .value = "FILE", .help = "light where the picture is made anew, or transparency; a folder of masks named like the pictures", .kind = kFile},
};
const std::vector<OptionRow> kXyzOptions = {
    {.flag = "x", .value = "AXIS", .help = "across: \"NAME: VALUES\""},
    {.flag = "y", .value = "AXIS", .help = "downwards"},
    {.flag = "z", .value = "AXIS", .help = "sheet below sheet"},
    kInit, kMask, kNoSheet,
};
const std::vector<OptionRow> kMatrixOptions = {
    {.flag = "vary-negative", .help = "combine the parts of the negative prompt instead"},
    {.flag = "parts-first", .help = "put the chosen parts before the first one"},
    {.flag = "join-by-blank", .help = "join the parts by a blank instead of a comma"},
    {.flag = "different-seeds", .help = "another seed for each picture"},
    kInit, kMask, kNoSheet,
};
const std::vector<OptionRow> kPromptsOptions = {
    {.flag = "file", .letter = 'f', .value = "FILE", .help = "one prompt a line, or options such as --prompt \"a fox\" --steps 30", .kind = kFile},
    {.flag = "iterate-seed", .help = "one seed more for each line"},
    {.flag = "same-seed", .help = "one random seed for all lines"},
    kInit, kMask, kNoSheet,
};

const std::vector<OptionRow> kTrainLora = {
    {.flag = "pretrained-model", .value = "NAME", .help = "checkpoint to train on, by name or file (default: the newest)", .kind = kFile, .aliases = {"pretrained-model-name-or-path", "model"}},
    {.flag = "vae", .value = "NAME", .help = "VAE by name, Automatic or None", .standard = "Automatic"},
    {.flag = "train-data-dir", .value = "DIR", .help = "folder of folders N_TRIGGER with pictures and .txt captions", .kind = kFolder},
    {.flag = "output-dir", .value = "DIR", .help = "where the LoRA goes (default: models/Lora of the data folder)", .kind = kFolder},
    {.flag = "output-name", .value = "NAME", .help = "file name without ending, and the name in prompts", .standard = "last"},
    {.flag = "resolution", .value = "W[,H]", .help = "training size in pixels (default: the model's own)"},
    {.flag = "train-batch-size", .value = "N", .help = "pictures per batch", .kind = kInteger, .min = 1, .standard = "1"},
    {.flag = "max-train-steps", .value = "N", .help = "steps to train", .kind = kInteger, .min = 1, .standard = "1600"},
    {.flag = "max-train-epochs", .value = "N", .help = "epochs to train, instead of steps", .kind = kInteger, .min = 1},
    {.flag = "gradient-accumulation-steps", .value = "N", .help = "batches per step", .kind = kInteger, .min = 1, .standard = "1"},
    {.flag = "network-dim", .value = "N", .help = "rank of the LoRA", .kind = kInteger, .min = 1, .standard = "4", .aliases = {"network-rank"}},
    {.flag = "network-alpha", .value = "A", .help = "the LoRA acts scaled by alpha / rank", .kind = kNumber, .standard = "1"},
    {.flag = "network-args", .value = "ARGS", .help = "\"conv_dim=N conv_alpha=A\": train convolutions too"},
    {.flag = "network-train-unet-only", .help = "leave the text encoder as it is"},
    {.flag = "network-train-text-encoder-only", .help = "leave the U-Net as it is"},
    {.flag = "learning-rate", .value = "RATE", .help = "learning rate", .kind = kNumber, .min = 0, .max = 10, .standard = "1e-4"},
    {.flag = "unet-lr", .value = "RATE", .help = "learning rate of the U-Net (default: --learning-rate)", .kind = kNumber, .min = 0, .max = 10},
    {.flag = "text-encoder-lr", .value = "RATE", .help = "learning rate of the text encoder (default: --learning-rate)", .kind = kNumber, .min = 0, .max = 10},
    {.flag = "lr-scheduler", .value = "NAME", .help = "course of the learning rate", .standard = "constant", .choices = {"constant", "linear", "cosine"}},
    {.flag = "lr-warmup-steps", .value = "N", .help = "steps over which the learning rate rises", .kind = kInteger, .min = 0, .standard = "0"},
    {.flag = "optimizer-type", .value = "NAME", .help = "AdamW", .standard = "AdamW", .choices = {"AdamW"}},
    {.flag = "weight-decay", .value = "D", .help = "of AdamW", .kind = kNumber, .min = 0, .standard = "0.01"},
    {.flag = "max-grad-norm", .value = "N", .help = "limit of the gradient's norm; 0: none", .kind = kNumber, .min = 0, .standard = "1"},
    {.flag = "min-snr-gamma", .value = "G", .help = "weigh down low-noise steps, usually 5; 0: off", .kind = kNumber, .min = 0, .standard = "0"},
    {.flag = "noise-offset", .value = "X", .help = "noise per channel, for dark and bright pictures", .kind = kNumber, .standard = "0"},
    {.flag = "enable-bucket", .help = "keep aspect ratios: sort pictures into buckets of equal area"},
    {.flag = "min-bucket-reso", .value = "N", .help = "smallest side of a bucket", .kind = kInteger, .min = 8},
    {.flag = "max-bucket-reso", .value = "N", .help = "largest side of a bucket", .kind = kInteger, .min = 8},
    {.flag = "bucket-reso-steps", .value = "N", .help = "sides of buckets are multiples of this", .kind = kInteger, .min = 8},
    {.flag = "bucket-no-upscale", .help = "do not enlarge small pictures"},
    {.flag = "flip-aug", .help = "show each picture mirrored half of the time"},
    {.flag = "shuffle-caption", .help = "shuffle the comma-separated tags of a caption"},
    {.flag = "keep-tokens", .value = "N", .help = "tags at the front that shuffling leaves in place", .kind = kInteger, .min = 0, .standard = "0"},
    {.flag = "caption-dropout-rate", .value = "P", .help = "share of pictures shown without caption", .kind = kNumber, .min = 0, .max = 1, .standard = "0"},
    {.flag = "max-token-length", .value = "N", .help = "tokens of a caption that are read", .standard = "75", .choices = {"75", "150", "225"}, .only_choices = true},
    {.flag = "clip-skip", .value = "N", .help = "layer of the text encoder to use, from the end", .kind = kInteger, .min = 1, .max = 24, .standard = "1"},
    {.flag = "seed", .value = "N", .help = "of all random draws", .kind = kInteger, .min = 0, .standard = "42"},
    {.flag = "mixed-precision", .value = "TYPE", .help = "precision of products", .standard = "no", .choices = {"no", "bf16"}},
    {.flag = "gradient-checkpointing", .help = "not supported yet; says what saves memory instead"},
    {.flag = "cache-latents-to-disk", .help = "keep the encoded pictures beside the output for the next run"},
    {.flag = "save-precision", .value = "TYPE", .help = "of the file", .standard = "fp16", .choices = {"fp16", "bf16", "float"}, .only_choices = true},
    {.flag = "save-every-n-steps", .value = "N", .help = "also save a LoRA every N steps", .kind = kInteger, .min = 0},
    {.flag = "save-every-n-epochs", .value = "N", .help = "also save a LoRA every N epochs", .kind = kInteger, .min = 0},
    {.flag = "state-every-n-steps", .value = "N", .help = "save the state that a stopped run goes on from every N steps", .kind = kInteger, .min = 1, .standard = "50"},
    {.flag = "sample-prompts", .value = "FILE", .help = "prompts to draw while training, one a line", .kind = kFile},
    {.flag = "sample-every-n-steps", .value = "N", .help = "draw them every N steps", .kind = kInteger, .min = 0},
    {.flag = "resume", .value = "FILE", .help = "go on from this state (default: the output's own, when it is there)", .kind = kFile},
    {.flag = "fresh", .help = "forget a saved state and start anew"},
    {.flag = "training-comment", .value = "TEXT", .help = "kept in the file's metadata"},
    kDataDir,
    kThreads,
};

const std::vector<OptionRow> kTrainBase = {
    {.flag = "data", .value = "DIR", .help = "pictures of one size, each with a .txt caption beside it", .kind = kFolder},
    {.flag = "vae-data", .value = "DIR", .help = "pictures for the autoencoder, no captions needed (default: those of --data)", .kind = kFolder},
    {.flag = "out", .letter = 'o', .value = "FILE", .help = "checkpoint to write, .safetensors", .kind = kFile},
    {.flag = "state", .value = "DIR", .help = "where states and caches are kept, from which a stopped run goes on", .kind = kFolder},
    {.flag = "shape", .value = "NAME", .help = "widths and depths of the model", .standard = "starter", .choices = {"starter", "tiny", "sd15"}, .only_choices = true},
    {.flag = "vae-steps", .value = "N", .help = "steps of the autoencoder", .kind = kInteger, .min = 1, .standard = "4500"},
    {.flag = "steps", .value = "N", .help = "steps of text encoder and U-Net", .kind = kInteger, .min = 1, .standard = "10000"},
    {.flag = "batch", .value = "N", .help = "pictures per step", .kind = kInteger, .min = 1, .standard = "16"},
    {.flag = "learning-rate", .value = "RATE", .help = "highest learning rate of text encoder and U-Net", .kind = kNumber, .min = 0, .max = 10, .standard = "7e-4"},
    {.flag = "seed", .value = "N", .help = "of all random draws", .kind = kInteger, .min = 0, .standard = "1"},
    kThreads,
};

const std::vector<OptionRow> kCollection = {kDataDir, kJson};
const std::vector<OptionRow> kList = {kDataDir, kJson, {.flag = "names", .help = "print the names only, one a line"}};

const std::vector<OptionRow> kExplain = {
    {.flag = "negative", .letter = 'n', .value = "TEXT", .help = "negative prompt", .aliases = {"negative-prompt"}},
    {.flag = "steps", .value = "N", .help = "sampling steps, for schedules", .kind = kInteger, .min = 1, .max = 150, .standard = "20"},
    {.flag = "style", .value = "NAME", .help = "a style of styles.csv, may be given several times", .aliases = {"styles"}, .is_repeatable = true},
    {.flag = "emphasis", .value = "MODE", .help = "what weights do", .standard = "Original", .choices = {"Original", "No norm", "Ignore", "None"}, .only_choices = true},
    {.flag = "second-order", .help = "as for a sampler that calls the model twice a step"},
    {.flag = "old-prompt-editing", .help = "read [a:b:when] as A1111 before 1.6"},
    {.flag = "comma-backtrack", .value = "N", .help = "how many tokens a chunk may give up to end at a comma", .kind = kInteger, .min = 0, .max = 74, .standard = "20"},
    kDataDir,
    kJson,
};
// clang-format on

std::string value_word(const pipeline::FieldRow& row) {
  const pipeline::FieldMember& member = row.member;
  if (row.is_switch()) return "";
  if (!row.words.empty() ||
      std::holds_alternative<std::string pipeline::GenerationRequest::*>(member) ||
      std::holds_alternative<std::vector<std::string> pipeline::GenerationRequest::*>(member))
    return "TEXT";
  return "N";
}

// A field of a request as an option; A1111's name in its API is understood too.
OptionRow field_option(const pipeline::FieldRow& row) {
  OptionRow option{
      .flag = std::string(row.flag),
      .value = value_word(row),
      .help = std::string(row.help),
      .aliases = {},
      .is_repeatable =
          std::holds_alternative<std::vector<std::string> pipeline::GenerationRequest::*>(row.member),
      .is_field = true};
  std::string alias(row.api);
  std::ranges::replace(alias, '_', '-');
  std::ranges::transform(alias, alias.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (alias != option.flag) option.aliases.push_back(alias);
  if (option.value == "N") {
    option.kind = kNumber;
    option.min = row.min;
    option.max = row.max;
  }
  option.choices.assign(row.words.begin(), row.words.end());
  if (!option.is_switch() && !option.is_repeatable)
    option.standard = pipeline::field_text(pipeline::GenerationRequest{}, row).value_or("");
  return option;
}

enum class Wants { kTxt2img, kImg2img, kBoth };

// Fields that only one of the two kinds of generation reads.
bool is_for(const pipeline::FieldRow& row, Wants wants) {
  const std::string_view api = row.api;
  const bool hires = api.starts_with("hr_") || api.starts_with("firstphase_") || api == "enable_hr" ||
                     api == "hires_fix_refiner_pass";
  const bool image = api.starts_with("mask_") || api.starts_with("inpaint") || api == "resize_mode" ||
                     api == "upscaler_for_img2img" || api == "img2img_fix_steps" || api == "initial_noise_multiplier";
  return (wants != Wants::kImg2img || !hires) && (wants != Wants::kTxt2img || !image);
}

// The fields of a generation, what a command adds of its own, and what all of them share.
std::vector<OptionRow> generation_options(Wants wants, const std::vector<OptionRow>& own = {}) {
  std::vector<OptionRow> options = own;
  for (const auto& row : pipeline::field_table())
    if (is_for(row, wants)) options.push_back(field_option(row));
  options.insert(options.end(), kGeneration.begin(), kGeneration.end());
  for (OptionRow& option : options) {
    if (option.flag == "prompt") option.letter = 'p';
    if (option.flag == "negative") option.letter = 'n';
    if (option.flag == "width") option.letter = 'W';
    if (option.flag == "height") option.letter = 'H';
    if (option.flag == "sampler") option.choices = kSamplers, option.standard = kSamplers.front();
    if (option.flag == "scheduler") option.choices = kSchedulers;
    if (option.flag == "hires-sampler") option.choices = kSamplers;
    if (option.flag == "hires-scheduler") option.choices = kSchedulers;
    if (option.flag == "hires-upscaler") option.choices = kLatentUpscalers;
    if (option.flag == "hires-refiner") option.choices = {"first pass", "second pass", "both passes"};
    if (option.flag == "rng") option.choices = {"GPU", "NV", "CPU"};
    if (option.flag == "emphasis") option.choices = {"Original", "No norm", "Ignore", "None"};
    if (option.flag == "noise-schedule") option.choices = {"Default", "Zero Terminal SNR"};
  }
  return options;
}

std::vector<OptionRow> extras_options() {
  std::vector<OptionRow> options;
  for (const auto& row : pipeline::extras_field_table()) {
    OptionRow option{.flag = std::string(row.flag), .value = row.is_switch() ? "" : "N", .help = std::string(row.help)};
    option.standard = pipeline::field_text(pipeline::ExtrasRequest{}, row).value_or("");
    if (!row.words.empty() || std::holds_alternative<std::string pipeline::ExtrasRequest::*>(row.member)) {
      option.value = "TEXT";
      option.choices.assign(row.words.begin(), row.words.end());
    } else if (!row.is_switch()) {
      option.kind = kNumber;
      option.min = row.min;
      option.max = row.max;
    }
    options.push_back(option);
  }
  options.insert(options.end(), {kOutput,
                                 {.flag = "format", .value = "NAME", .help = "kind of file (default: by the ending of --output, else png)", .choices = {"png", "jpg", "jpeg", "webp"}, .only_choices = true},
                                 {.flag = "quality", .value = "N", .help = "of jpg and webp", .kind = kInteger, .min = 1, .max = 100, .standard = "80"},
                                 kDataDir, kThreads, kJson, {.flag = "quiet", .letter = 'q', .help = "show no progress"}});
  return options;
}

// clang-format off
std::vector<CommandRow> make_table() {
  const std::vector<OptionRow> generation = generation_options(Wants::kTxt2img);
  const PlaceRow files = {.name = "FILE", .help = "a picture", .kind = kFile, .is_repeatable = true};
  return {
      {.name = "txt2img", .summary = "make pictures from a prompt", .side = Side::kEngine, .options = generation,
       .examples = {{"txt2img -p \"a red fox in the snow\" -o fox.png", "one picture with the newest checkpoint"},
                    {"txt2img -p \"3dmm style, a red fox <lora:3dmm:0.8>\" --seed 42", "with a LoRA of models/Lora, at weight 0.8"},
                    {"txt2img -p \"a fox\" --sampler \"Euler a\" --steps 30 --size 512x768 --batch-count 4", "four pictures with seeds one apart"},
                    {"txt2img --from fox.png --seed 43 -o other.png", "the same settings, another seed"}},
       .more = "Without --width and --height the picture gets the checkpoint's own size: 512 x 512 for Stable Diffusion 1.x, 128 x 128 for the starter model. Ctrl-C stops within a step and leaves no broken file."},
      {.name = "img2img", .summary = "make pictures from pictures, whole or under a mask", .side = Side::kEngine, .options = generation_options(Wants::kImg2img, kImg2imgOptions),
       .examples = {{"img2img -i fox.png -p \"a red fox, oil painting\" --denoising 0.6 -o painted.png", "the same fox, painted"},
                    {"img2img -i fox.png -m mask.png -p \"a hat\" --inpaint-padding 32 -o hat.png", "only what is light in the mask, enlarged while it is worked on"},
                    {"img2img -i photos/ -p \"watercolour\" --denoising 0.5 -o painted/[name]", "every picture of a folder"},
                    {"img2img --from hat.png -i fox.png -m mask.png --seed 7", "the settings of a picture again, with another seed"}},
       .more = "Of the steps about --denoising times as many are made, as in A1111; --fix-steps makes all. Without --width and --height the result has the init picture's size; with a mask and the inpaint area 'Only masked' the region is worked on in the checkpoint's own size and put back. A mask is light where the picture is made anew; a picture with transparency is a mask by what is opaque. Inpainting checkpoints, whose U-Net has 9 input channels, are recognised."},
      {.name = "extras", .summary = "enlarge finished pictures", .side = Side::kEngine, .places = {files}, .options = extras_options(),
       .examples = {{"extras fox.png --upscaler Lanczos --scale 2 -o large.png", ""},
                    {"extras photos/ --upscaler 4x-UltraSharp --width 2048 --height 2048 -o large/", "every picture of a folder, with a model of models/ESRGAN"}},
       .more = "Upscalers: None, Lanczos, Nearest, and models of the ESRGAN form (ESRGAN, BSRGAN, Real-ESRGAN) in models/ESRGAN and models/RealESRGAN, named without their ending. --width or --height enlarge to a size, which --crop False only has covered. By a factor, sides are rounded down to multiples of 8, as in A1111."},
      {.name = "xyz", .summary = "plot pictures over one, two or three axes of settings", .side = Side::kEngine, .options = generation_options(Wants::kBoth, kXyzOptions),
       .examples = {{"xyz -p \"a red fox\" --x \"Steps: 10, 20, 30\" --y \"CFG Scale: 3-9 [3]\"", "nine pictures and a sheet"},
                    {"xyz -p \"a red fox <lora:3dmm:0.5>\" --x \"Prompt S/R: 0.5, 0.75, 1\" --y \"Seed: 1-4\"", "how a LoRA's weight shows"}},
       .more = "An axis is NAME: VALUES. Names are A1111's (Seed, Steps, CFG Scale, Sampler, Schedule type, Checkpoint name, Prompt S/R, Prompt order, Denoising, Clip skip, Size, Hires upscaler, VAE, Styles …) or any option of this command. Values stand between commas; numbers also as 1-5, 1-10 (+3) or 1-10 [4]. All pictures share one seed."},
      {.name = "matrix", .summary = "combine parts of a prompt in every way", .side = Side::kEngine, .options = generation_options(Wants::kBoth, kMatrixOptions),
       .examples = {{"matrix -p \"a fox|red|in the snow\"", "a fox; a fox, red; a fox, in the snow; a fox, red, in the snow"}}},
      {.name = "prompts", .summary = "make pictures of the prompts in a file", .side = Side::kEngine, .options = generation_options(Wants::kBoth, kPromptsOptions),
       .examples = {{"prompts -f prompts.txt --steps 25 -o outputs/", ""}},
       .more = "A line is a prompt, or options for it as A1111 reads them: --prompt \"a fox\" --negative_prompt \"blurry\" --seed 7 --sampler_name \"Euler a\". What a line leaves out is taken from the command."},
      {.name = "train lora", .summary = "train a LoRA on a folder of pictures", .side = Side::kEngine, .options = kTrainLora,
       .examples = {{"train lora --train-data-dir pictures --output-name fox --network-dim 8 --max-train-steps 400", "pictures/10_foxy/*.png with captions beside them become <lora:fox:1>"}},
       .more = "Options bear kohya's names; underscores may stand for hyphens. A stopped run goes on from its last state when it is started again with the same options."},
      {.name = "train base", .summary = "train a small model from nothing", .side = Side::kEngine, .options = kTrainBase,
       .examples = {{"train base --data drawings --state work --out starter.safetensors", "autoencoder, text encoder and U-Net; go on by the same command"}}},
      {.name = "model list", .summary = "list the checkpoints", .run = model_list, .options = kList,
       .examples = {{"model list", ""}}},
      {.name = "model inspect", .summary = "say what a checkpoint holds", .run = model_inspect,
       .places = {{.name = "NAME", .help = "a checkpoint by name or file", .kind = kFile}}, .options = kCollection,
       .examples = {{"model inspect starter", ""}}},
      {.name = "model random", .summary = "write a checkpoint with random weights, for measuring", .side = Side::kEngine,
       .options = {{.flag = "like", .value = "SHAPE", .help = "whose dimensions", .standard = "sd15", .choices = {"sd15", "starter", "tiny"}, .only_choices = true},
                   {.flag = "out", .letter = 'o', .value = "FILE", .help = "file to write, .safetensors", .kind = kFile, .aliases = {"output"}},
                   {.flag = "seed", .value = "N", .help = "of the weights", .kind = kInteger, .min = 0, .max = 2147483647, .standard = "0"}},
       .examples = {{"model random --like sd15 --out random.safetensors", "2 GB of float16"}}},
      {.name = "lora list", .summary = "list the LoRAs", .run = lora_list, .options = kList,
       .examples = {{"lora list", ""}, {"lora list --json | jq '.loras[].name'", "for scripts"}}},
      {.name = "lora show", .summary = "show what a LoRA is for: trigger words, base model, training", .run = lora_show,
       .places = {{.name = "NAME", .help = "a LoRA by name, alias, folder/name or file", .kind = kFile}}, .options = kCollection,
       .examples = {{"lora show 3dmm", ""}}},
      {.name = "lora inspect", .summary = "show what a LoRA's file holds, module by module", .run = lora_inspect,
       .places = {{.name = "NAME", .help = "a LoRA by name, alias, folder/name or file", .kind = kFile}},
       .options = {kDataDir, kJson, {.flag = "all", .help = "list every module instead of a summary"}},
       .examples = {{"lora inspect models/Lora/3dmm.safetensors --all", ""}}},
      {.name = "prompt explain", .summary = "show how a prompt is read: schedules, chunks, tokens, weights, tags", .run = prompt_explain,
       .places = {{.name = "PROMPT", .help = "the prompt, in quotes"}}, .options = kExplain,
       .examples = {{"prompt explain \"a (red:1.3) [fox:cat:0.5] <lora:3dmm:0.8>\"", ""}}},
      {.name = "png-info", .summary = "read the settings stored in pictures (png, jpg, webp)", .run = png_info, .places = {files}, .options = {kJson},
       .examples = {{"png-info fox.png", ""}}},
      {.name = "contact-sheet", .summary = "lay out pictures on one sheet with captions", .run = contact_sheet, .places = {files},
       .options = {{.flag = "columns", .value = "N", .help = "pictures in a row", .kind = kInteger, .min = 1, .max = 64, .standard = "4"},
                   {.flag = "output", .letter = 'o', .value = "FILE", .help = "file to write; .png, .jpg or .webp", .kind = kFile, .standard = "contact-sheet.png"},
                   {.flag = "caption", .value = "TEXT", .help = "caption of the next picture, once for each (default: the first line of its settings)", .is_repeatable = true}},
       .examples = {{"contact-sheet --columns 2 -o sheet.png without.png with.png", ""}}},
      {.name = "bench", .summary = "measure what a picture costs on this machine", .side = Side::kEngine, .options = generation,
       .examples = {{"bench --size 512x512 --steps 3", ""}}},
      {.name = "completion", .summary = "print the completion script of a shell", .run = completion,
       .places = {{.name = "SHELL", .help = "bash, zsh or fish", .choices = {"bash", "zsh", "fish"}}},
       .examples = {{"completion bash > ~/.local/share/bash-completion/completions/lowrank", ""}}},
      {.name = "man", .summary = "print the manual page", .run = man, .examples = {{"man | man -l -", ""}}},
  };
}
// clang-format on

}  // namespace

const std::vector<CommandRow>& command_table() {
  static const std::vector<CommandRow> table = make_table();
  return table;
}

const CommandRow* find_command(std::string_view name) {
  for (const auto& command : command_table())
    if (command.name == name) return &command;
  return nullptr;
}

std::string_view data_folder_help() {
  return "The data folder is laid out as A1111's: models/Stable-diffusion, models/Lora and models/VAE with "
         "sub-folders, "
         "embeddings, styles.csv, outputs. It is --data-dir, else $LOWRANK_DATA_DIR, else the current folder "
         "if it "
         "holds models/, else the source tree that the program was built in, else the current folder. The "
         "starter "
         "model that ships with the program is used when the folder holds no checkpoint, and its LoRAs are "
         "always "
         "found; LoRAs of the data folder win over the starter's of the same name.";
}

}  // namespace lowrank::cli
