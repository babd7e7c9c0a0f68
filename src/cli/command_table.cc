#include "cli/command_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <variant>

#include "cli/light/commands.h"
#include "pipeline/field_table.h"
#include "prompt/limits.h"
#include "request/training/base_table.h"
#include "request/training/lora_table.h"

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

template <class Job>
OptionRow training_row(const request::TrainingOption<Job>& row) {
  const auto type = request::option_type(row);
  OptionRow option{.flag = std::string(row.flag),
                   .letter = row.letter,
                   .value = std::string(row.value),
                   .help = std::string(row.help),
                   .kind = row.place == request::Place::kFolder ? kFolder
                           : row.place != request::Place::kNone ? kFile
                           : type == "integer"                  ? kInteger
                           : type == "number"                   ? kNumber
                                                                : kText,
                   .min = row.min,
                   .max = row.max,
                   .only_choices = row.only_choices,
                   .names = row.place == request::Place::kCheckpoint ? Names::kCheckpoint : Names::kNone,
                   .check = [&row](const std::string& text) {
                     Job scratch;
                     request::set_option(row, scratch, text, fmt::format("--{}", row.flag));
                   }};
  if (!row.is_switch()) option.standard = request::option_text(row, Job());
  if (row.choices != nullptr) option.choices = row.choices();
  for (const auto alias : row.aliases)
    if (!alias.empty()) option.aliases.emplace_back(alias);
  return option;
}

template <class Job>
std::vector<OptionRow> training_rows(std::span<const request::TrainingOption<Job>> rows,
                                     std::vector<OptionRow> others) {
  std::vector<OptionRow> options;
  for (const auto& row : rows) options.push_back(training_row(row));
  options.insert(options.end(), others.begin(), others.end());
  return options;
}

// clang-format off
const OptionRow kDataDir = {.flag = "data-dir", .value = "DIR", .help = "folder that holds models/, embeddings/ and styles.csv", .kind = kFolder};
const OptionRow kThreads = {.flag = "threads", .value = "N", .help = "threads to compute with; 0: all cores", .kind = kInteger, .min = 0, .max = 1024, .standard = "0"};
const OptionRow kInt8 = {.flag = "int8", .help = "hold the U-Net's weights in 8 bits: half the memory, and pictures that differ a little"};
const OptionRow kPromptLimits = {.flag = "prompt-limits", .value = "LIST", .help = "how much work a prompt may ask for; memory is in MB, 0: what is available", .standard = prompt::prompt_limits_text()};
const OptionRow kJson = {.flag = "json", .help = "print the result as JSON"};

// What `txt2img` takes beside the fields of a request.
const std::vector<OptionRow> kGeneration = {
    {.flag = "size", .value = "WxH", .help = "width and height at once", .kind = kSize},
    {.flag = "zero-terminal-snr", .help = "the same as --noise-schedule \"Zero Terminal SNR\""},
    {.flag = "recipe", .value = "NAME", .help = "add a recipe's LoRAs and words (lowrank recipe list), may be given several times", .is_repeatable = true, .names = Names::kRecipe},
    {.flag = "from", .value = "FILE", .help = "repeat a picture with the settings stored in it; options given beside it win", .kind = kFile},
    {.flag = "output", .letter = 'o', .value = "PATTERN", .help = "file to write; [number], [seed], [index], [date], [model], [sampler], [steps], [cfg], [width] and [height] are filled in; a name that is taken gets -2, -3 …", .kind = kFile},
    {.flag = "format", .value = "NAME", .help = "kind of file (default: by the ending of --output, else png)", .choices = {"png", "jpg", "jpeg", "webp"}, .only_choices = true},
    {.flag = "quality", .value = "N", .help = "of jpg and webp", .kind = kInteger, .min = 1, .max = 100, .standard = "80"},
    {.flag = "preview", .value = "FILE", .help = "write a live preview here at each step", .kind = kFile},
    kDataDir,
    kThreads,
    kInt8,
    kPromptLimits,
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
    // All that are given reach the reader of axes, which refuses a second one of a letter.
    {.flag = "x", .value = "AXIS", .help = "across: \"NAME: VALUES\"", .is_repeatable = true},
    {.flag = "y", .value = "AXIS", .help = "downwards", .is_repeatable = true},
    {.flag = "z", .value = "AXIS", .help = "sheet beside sheet", .is_repeatable = true},
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

const std::vector<OptionRow> kTrainLora = training_rows(request::lora_options(), {kPromptLimits, kDataDir});
const std::vector<OptionRow> kTrainBase = training_rows(request::base_options(), {});

// The names are those of A1111's launcher where it has them.
const std::vector<OptionRow> kServe = {
    {.flag = "listen", .help = "be reached from the network (0.0.0.0), not only from this machine; needs --api-auth"},
    {.flag = "server-name", .value = "ADDRESS", .help = "address to listen on", .standard = "127.0.0.1"},
    {.flag = "port", .value = "N", .help = "0: any free one", .kind = kInteger, .min = 0, .max = 65535, .standard = "7860"},
    {.flag = "api-auth", .value = "USER:PASSWORD", .help = "who may use the API; commas between several"},
    {.flag = "api-auth-file", .value = "FILE", .help = "the same from a file, which other users of the machine cannot see in the process list", .kind = kFile},
    {.flag = "gradio-auth", .value = "USER:PASSWORD", .help = "who may open the web page"},
    {.flag = "listen-without-auth", .help = "let everyone in the network in"},
    {.flag = "cors-allow-origins", .value = "LIST", .help = "web pages of these origins may use the API; commas between several, * for any"},
    {.flag = "cors-allow-origins-regex", .value = "REGEX", .help = "the same as a regular expression for a whole origin"},
    {.flag = "tls-certfile", .value = "FILE", .help = "PEM certificate chain: serve https", .kind = kFile},
    {.flag = "tls-keyfile", .value = "FILE", .help = "its private key", .kind = kFile},
    {.flag = "api", .help = "taken for A1111's sake: the API is always there"},
    {.flag = "nowebui", .help = "serve no web page"},
    {.flag = "open", .help = "show the page in the web browser"},
    {.flag = "autolaunch", .help = "A1111's name for --open"},
    {.flag = "api-server-stop", .help = "let the API stop the server"},
    {.flag = "max-queue", .value = "N", .help = "jobs that may wait", .kind = kInteger, .min = 1, .max = 100000, .standard = "256"},
    {.flag = "max-steps", .value = "N", .help = "steps of one request", .kind = kInteger, .min = 1, .max = 1000, .standard = "1000"},
    {.flag = "max-pixels", .value = "N", .help = "pixels of one picture", .kind = kInteger, .min = 4096, .max = 67108864, .standard = "4194304"},
    {.flag = "max-body-mb", .value = "N", .help = "size of a request", .kind = kInteger, .min = 1, .max = 4096, .standard = "256"},
    {.flag = "max-connections", .value = "N", .help = "connections at once", .kind = kInteger, .min = 1, .max = 4096, .standard = "256"},
    kPromptLimits,
    {.flag = "keep-results-hours", .value = "H", .help = "how long results of jobs are kept", .kind = kNumber, .min = 0, .max = 100000, .standard = "24"},
    {.flag = "keep-results-mb", .value = "N", .help = "how much room they may take", .kind = kInteger, .min = 0, .max = 1000000, .standard = "1024"},
    {.flag = "state-dir", .value = "DIR", .help = "where queue and options are kept (default: ~/.local/state/lowrank/server-KEY, a KEY for each data folder)", .kind = kFolder},
    {.flag = "access-log", .value = "FILE", .help = "where each request is noted; - for standard error, none for nowhere", .kind = kFile, .standard = "-"},
    kDataDir,
    kThreads,
    kInt8,
};

const std::vector<OptionRow> kCollection = {kDataDir, kJson};
const std::vector<OptionRow> kList = {kDataDir, kJson, {.flag = "names", .help = "print the names only, one a line"}};
// What the collection can be narrowed to.
const std::vector<OptionRow> kFilters = {
    {.flag = "type", .value = "TYPE", .help = "only this type", .choices = {"character", "style", "concept", "pose", "clothing", "object", "none"}},
    {.flag = "base", .value = "NAME", .help = "only this base model, such as SD1, SDXL or Pony"},
    {.flag = "fits", .value = "MODEL", .help = "only what fits this checkpoint; 'default' is the one taken without --model", .kind = kFile, .names = Names::kCheckpoint},
    {.flag = "tag", .value = "TAG", .help = "only with this tag, of yours, of Civitai or of the training captions"},
    {.flag = "trigger", .value = "WORD", .help = "only with this trigger word"},
    {.flag = "folder", .value = "FOLDER", .help = "only below this folder of models/Lora; a dot: in no folder"},
    {.flag = "rating", .value = "N", .help = "only with so many stars or more", .kind = kInteger, .min = 1, .max = 5},
    {.flag = "since", .value = "DAY", .help = "only first seen on this day or later, 2026-01-31"},
    {.flag = "until", .value = "DAY", .help = "only first seen on this day or earlier"},
    {.flag = "min-size", .value = "SIZE", .help = "only files of this size or more, 10MB"},
    {.flag = "max-size", .value = "SIZE", .help = "only files of this size or less"},
    {.flag = "sort", .value = "KEY", .help = "order", .choices = {"name", "added", "date", "size", "rating"}, .only_choices = true},
    {.flag = "limit", .value = "N", .help = "at most so many", .kind = kInteger, .min = 1, .max = 1000000},
    {.flag = "names", .help = "print the names only, one a line"},
    kDataDir,
    kJson,
};

const PlaceRow kLoraName = {.name = "NAME", .help = "a LoRA by name, alias, folder/name, former name, hash or file", .kind = kFile, .names = Names::kLora};
const PlaceRow kRecipeName = {.name = "NAME", .help = "name of the recipe", .names = Names::kRecipe};
// In which a prompt may come.
const std::vector<std::string> kPromptFlags = {"prompt", "from", "recipe", "style"};
const OptionRow kReplace = {.flag = "replace", .help = "write over one of the same name"};

const std::vector<OptionRow> kExplain = {
    {.flag = "negative", .letter = 'n', .value = "TEXT", .help = "negative prompt", .aliases = {"negative-prompt"}},
    {.flag = "steps", .value = "N", .help = "sampling steps, for schedules", .kind = kInteger, .min = 1, .max = 150, .standard = "20"},
    {.flag = "style", .value = "NAME", .help = "a style of styles.csv, may be given several times", .aliases = {"styles"}, .is_repeatable = true},
    {.flag = "emphasis", .value = "MODE", .help = "what weights do", .standard = "Original", .choices = {"Original", "No norm", "Ignore", "None"}, .only_choices = true},
    {.flag = "second-order", .help = "as for a sampler that calls the model twice a step"},
    {.flag = "old-prompt-editing", .help = "read [a:b:when] as A1111 before 1.6"},
    {.flag = "comma-backtrack", .value = "N", .help = "how many tokens a chunk may give up to end at a comma", .kind = kInteger, .min = 0, .max = 74, .standard = "20"},
    kPromptLimits,
    kDataDir,
    kJson,
};
// clang-format on

std::string value_word(const pipeline::FieldRow& row) {
  const pipeline::FieldMember& member = row.member;
  if (row.is_switch()) return "";
  if (!row.words.empty() || std::holds_alternative<std::string pipeline::GenerationRequest::*>(member) ||
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
                     api == "upscaler_for_img2img" || api == "img2img_fix_steps" ||
                     api == "initial_noise_multiplier";
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
    if (option.flag == "model" || option.flag == "refiner" || option.flag == "hires-model")
      option.names = Names::kCheckpoint;
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
    OptionRow option{
        .flag = std::string(row.flag), .value = row.is_switch() ? "" : "N", .help = std::string(row.help)};
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
                                 {.flag = "format",
                                  .value = "NAME",
                                  .help = "kind of file (default: by the ending of --output, else png)",
                                  .choices = {"png", "jpg", "jpeg", "webp"},
                                  .only_choices = true},
                                 {.flag = "quality",
                                  .value = "N",
                                  .help = "of jpg and webp",
                                  .kind = kInteger,
                                  .min = 1,
                                  .max = 100,
                                  .standard = "80"},
                                 kDataDir,
                                 kThreads,
                                 kJson,
                                 {.flag = "quiet", .letter = 'q', .help = "show no progress"}});
  return options;
}

// clang-format off
std::vector<CommandRow> make_table() {
  const std::vector<OptionRow> generation = generation_options(Wants::kTxt2img);
  const PlaceRow files = {.name = "FILE", .help = "a picture", .kind = kFile, .is_repeatable = true};
  return {
      {.name = "txt2img", .summary = "make pictures from a prompt", .side = Side::kEngine, .options = generation,
       .needs = {{kPromptFlags, "a prompt: -p \"a red fox in the snow\", or --from FILE to repeat a picture"}},
       .examples = {{"txt2img -p \"a red fox in the snow\" -o fox.png", "one picture with the newest checkpoint"},
                    {"txt2img -p \"cat face, 3dmm style, purple background <lora:3dmm_style:0.8>\" --cfg 5 --seed 42", "with a LoRA at weight 0.8"},
                    {"txt2img -p \"a fox\" --sampler \"Euler a\" --steps 30 --size 128x192 --batch-count 4", "four pictures with seeds one apart"},
                    {"txt2img --from fox.png --seed 43 -o other.png", "the same settings, another seed"}},
       .more = "Without --width and --height the picture gets the checkpoint's own size: 512 x 512 for Stable Diffusion 1.x, 128 x 128 for the starter model. Ctrl-C stops within a step and leaves no broken file."},
      {.name = "img2img", .summary = "make pictures from pictures, whole or under a mask", .side = Side::kEngine, .options = generation_options(Wants::kImg2img, kImg2imgOptions),
       .needs = {{{"init"}, "a picture to start from: -i FILE, or a folder of pictures"}},
       .examples = {{"img2img -i fox.png -p \"a red fox, oil painting\" --denoising 0.6 -o painted.png", "the same fox, painted"},
                    {"img2img -i fox.png -m mask.png -p \"a hat\" --inpaint-padding 32 -o hat.png", "only what is light in the mask, enlarged while it is worked on"},
                    {"img2img -i photos/ -p \"watercolour\" --denoising 0.5 -o \"painted/[name]\"", "every picture of a folder"},
                    {"img2img --from hat.png -i fox.png -m mask.png --seed 7", "the settings of a picture again, with another seed"}},
       .more = "Of the steps about --denoising times as many are made, as in A1111; --fix-steps makes all. Without --width and --height the result has the init picture's size; with a mask and the inpaint area 'Only masked' the region is worked on in the checkpoint's own size and put back. A mask is light where the picture is made anew; a picture with transparency is a mask by what is opaque. Inpainting checkpoints, whose U-Net has 9 input channels, are recognised."},
      {.name = "extras", .summary = "enlarge finished pictures", .side = Side::kEngine, .places = {files}, .options = extras_options(),
       .examples = {{"extras fox.png --upscaler Lanczos --scale 2 -o large.png", ""},
                    {"extras photos/ --upscaler 4x-UltraSharp --width 2048 --height 2048 -o large/", "every picture of a folder, with a model of models/ESRGAN"}},
       .more = "Upscalers: None, Lanczos, Nearest, and models of the ESRGAN form (ESRGAN, BSRGAN, Real-ESRGAN) in models/ESRGAN and models/RealESRGAN, named without their ending. --width or --height enlarge to a size, which --crop False only has covered. By a factor, sides are rounded down to multiples of 8, as in A1111."},
      {.name = "xyz", .summary = "plot pictures over one, two or three axes of settings", .side = Side::kEngine, .options = generation_options(Wants::kBoth, kXyzOptions),
       .needs = {{{"prompt", "from", "recipe", "style", "init"}, "a prompt: -p \"a red fox in the snow\""}, {{"x", "y", "z"}, "an axis: --x \"Steps: 10, 20, 30\", and --y and --z as you like"}},
       .examples = {{"xyz -p \"a red fox\" --x \"Steps: 10, 20, 30\" --y \"CFG Scale: 3-9 [3]\"", "nine pictures and a sheet"},
                    {"xyz -p \"a red fox <lora:3dmm_style:0.5>\" --x \"Prompt S/R: 0.5, 0.75, 1\" --y \"Seed: 1-4\"", "how a LoRA's weight shows"}},
       .more = "An axis is NAME: VALUES. Names are A1111's (Seed, Steps, CFG Scale, Sampler, Schedule type, Checkpoint name, Prompt S/R, Prompt order, Denoising, Clip skip, Size, Hires upscaler, VAE, Styles …) or any option of this command. Values stand between commas; numbers also as 1-5, 1-10 (+3) or 1-10 [4]. All pictures share one seed."},
      {.name = "matrix", .summary = "combine parts of a prompt in every way", .side = Side::kEngine, .options = generation_options(Wants::kBoth, kMatrixOptions),
       .needs = {{{"prompt", "negative", "from", "recipe", "style"}, "a prompt of several parts: -p \"a fox|red|in the snow\""}},
       .examples = {{"matrix -p \"a fox|red|in the snow\"", "a fox; a fox, red; a fox, in the snow; a fox, red, in the snow"}}},
      {.name = "prompts", .summary = "make pictures of the prompts in a file", .side = Side::kEngine, .options = generation_options(Wants::kBoth, kPromptsOptions),
       .needs = {{{"file"}, "a file of prompts, one a line: -f FILE"}},
       .examples = {{"prompts -f prompts.txt --steps 25 -o outputs/", ""}},
       .more = "A line is a prompt, or options for it as A1111 reads them: --prompt \"a fox\" --negative_prompt \"blurry\" --seed 7 --sampler_name \"Euler a\". What a line leaves out is taken from the command; the command's prompt stands behind each line's."},
      {.name = "train lora", .summary = "train a LoRA on a folder of pictures", .side = Side::kEngine, .options = kTrainLora,
       .needs = {{{"train-data-dir"}, "the folder that holds the N_TRIGGER folders with pictures: --train-data-dir DIR"}},
       .examples = {{"train lora --train-data-dir pictures --output-name fox --network-dim 8 --max-train-steps 400", "pictures/10_foxy/*.png with captions beside them become <lora:fox:1>"}},
       .more = "Options have kohya's names, with hyphens or underscores. To resume a stopped run from its last saved state, run the same command again."},
      {.name = "train base", .summary = "train a small model from scratch", .side = Side::kEngine, .options = kTrainBase,
       .needs = {{{"data"}, "a folder of captioned pictures: --data DIR"}, {{"out"}, "a file to write: --out FILE.safetensors"}},
       .examples = {{"train base --data drawings --state work --out starter.safetensors", "autoencoder, text encoder and U-Net; the same command resumes a stopped run"}}},
      {.name = "serve", .summary = "serve A1111's API, a job API and the web page", .side = Side::kEngine, .options = kServe,
       .examples = {{"serve", "on http://127.0.0.1:7860, for this machine only"},
                    {"serve --listen --api-auth-file password.txt", "for the network; the file holds user:password"},
                    {"serve --port 7861 --cors-allow-origins https://example.org", "for a web page of another site"}},
       .more = "Jobs of the job API survive the end of the server and go on at its next start. Ctrl-C ends it within a step. /docs describes every route."},
      {.name = "model list", .summary = "list the checkpoints", .run = model_list, .options = kList,
       .examples = {{"model list", ""}}},
      {.name = "model inspect", .summary = "say what a checkpoint holds", .run = model_inspect,
       .places = {{.name = "NAME", .help = "a checkpoint by name or file", .kind = kFile, .names = Names::kCheckpoint}}, .options = kCollection,
       .examples = {{"model inspect starter", ""}}},
      {.name = "model random", .summary = "write a checkpoint with random weights, for measuring", .side = Side::kEngine,
       .options = {{.flag = "like", .value = "SHAPE", .help = "whose dimensions", .standard = "sd15", .choices = {"sd15", "starter", "tiny"}, .only_choices = true},
                   {.flag = "out", .letter = 'o', .value = "FILE", .help = "file to write, .safetensors", .kind = kFile, .aliases = {"output"}},
                   {.flag = "seed", .value = "N", .help = "of the weights", .kind = kInteger, .min = 0, .max = 2147483647, .standard = "0"}},
       .needs = {{{"out"}, "a file to write: --out FILE.safetensors"}},
       .examples = {{"model random --like sd15 --out random.safetensors", "2 GB of float16"}}},
      {.name = "lora list", .summary = "list the LoRAs", .run = lora_list, .options = kFilters,
       .examples = {{"lora list", ""}, {"lora list --type style --fits default --sort rating", "the styles that the checkpoint at hand can use, best first"}, {"lora list --names", "for scripts; --json says more"}}},
      {.name = "lora find", .summary = "search names, trigger words, tags, notes and descriptions", .run = lora_find,
       .places = {{.name = "WORD", .help = "words that all must occur; the beginning of a word is enough", .is_repeatable = true}}, .options = kFilters,
       .examples = {{"lora find 3dmm style", ""}, {"lora find head --type character --max-size 50MB", ""}}},
      {.name = "lora scan", .summary = "bring the index of the collection up to date, with hashes if asked", .run = lora_scan,
       .options = {kDataDir, kJson, {.flag = "hash", .help = "hash every file that has no hash yet"}, {.flag = "rebuild", .help = "make the index anew from the files"},
                   {.flag = "watch", .help = "stay and follow changes until Ctrl-C"}, {.flag = "quiet", .letter = 'q', .help = "show no progress"}},
       .examples = {{"lora scan --hash", "then everything is found by its hash"}, {"lora scan --watch", ""}},
       .more = "Every command brings the index up to date by itself; this one is for the first time and for hashes. The index lies in ~/.cache/lowrank and can be deleted at any time: the files are the truth."},
      {.name = "lora show", .summary = "show what a LoRA is for: trigger words, base model, training", .run = lora_show,
       .places = {kLoraName}, .options = kCollection,
       .examples = {{"lora show 3dmm_style", ""}}},
      {.name = "lora inspect", .summary = "show what a LoRA's file holds, module by module", .run = lora_inspect,
       .places = {kLoraName},
       .options = {kDataDir, kJson, {.flag = "all", .help = "list every module instead of a summary"}},
       .examples = {{"lora inspect 3dmm_style --all", ""}}},
      {.name = "lora why", .summary = "say whether and how a LoRA will apply, and to which checkpoints", .run = lora_why, .places = {kLoraName},
       .options = {{.flag = "model", .value = "NAME", .help = "checkpoint by name or file (default: the newest)", .kind = kFile, .names = Names::kCheckpoint}, kDataDir, kJson},
       .examples = {{"lora why 3dmm_style --model starter", ""}}, .more = "Only the headers of the files are read; nothing is loaded."},
      {.name = "lora tag", .summary = "show, add or remove tags of a LoRA", .run = lora_tag,
       .places = {kLoraName, {.name = "TAG", .help = "a tag to add", .is_required = false, .is_repeatable = true}},
       .options = {{.flag = "remove", .help = "remove these tags instead"}, kDataDir, kJson},
       .examples = {{"lora tag character_zorbo robot grey", ""}, {"lora tag character_zorbo grey --remove", ""}}},
      {.name = "lora type", .summary = "say what a LoRA is for", .run = lora_type,
       .places = {kLoraName, {.name = "TYPE", .help = "character, style, concept, pose, clothing or object; auto: let the files tell", .choices = {"character", "style", "concept", "pose", "clothing", "object", "auto"}}},
       .options = kCollection, .examples = {{"lora type character_zorbo character", ""}}},
      {.name = "lora note", .summary = "show or write notes, trigger words and the preferred weight of a LoRA", .run = lora_note,
       .places = {kLoraName, {.name = "TEXT", .help = "the new notes", .is_required = false}},
       .options = {{.flag = "append", .help = "add TEXT to the notes as a new line"}, {.flag = "trigger", .value = "TEXT", .help = "what to add to a prompt"},
                   {.flag = "negative", .value = "TEXT", .help = "what to add to a negative prompt"}, {.flag = "weight", .value = "W", .help = "preferred weight; 0 takes it away"},
                   {.flag = "description", .value = "TEXT", .help = "what it shows"}, kDataDir, kJson},
       .examples = {{"lora note character_zorbo \"best below 0.8\" --weight 0.7 --trigger zorbo", ""}}, .more = "Everything is written into NAME.json beside the file, as A1111 does; where that folder cannot be written, and for the LoRAs that came with the program, into ~/.local/share/lowrank."},
      {.name = "lora rate", .summary = "give a LoRA one to five stars", .run = lora_rate,
       .places = {kLoraName, {.name = "STARS", .help = "1 to 5; 0 takes the rating away"}}, .options = kCollection, .examples = {{"lora rate character_zorbo 5", ""}}},
      {.name = "lora preview", .summary = "show, set or remove the preview picture of a LoRA", .run = lora_preview,
       .places = {kLoraName, {.name = "PICTURE", .help = "the new preview", .kind = kFile, .is_required = false}},
       .options = {{.flag = "remove", .help = "remove the preview"}, kDataDir, kJson}, .examples = {{"lora preview character_zorbo", "where it lies; a picture behind the name sets it"}}},
      {.name = "lora dedupe", .summary = "show files that are there twice and names that mean several files", .run = lora_dedupe, .options = kCollection,
       .examples = {{"lora dedupe", ""}}, .more = "Nothing is removed. Files of equal size are hashed to compare them."},
      {.name = "lora missing", .summary = "show what a prompt or picture needs, what of it is here, and where to get the rest", .run = lora_missing,
       .places = {{.name = "WHAT", .help = "pictures, text files or a prompt in quotes; - reads standard input; nothing: all recipes", .kind = kFile, .is_required = false, .is_repeatable = true}},
       .options = {{.flag = "hash", .help = "hash LoRAs that have no hash yet before calling anything missing"}, kDataDir, kJson},
       .examples = {{"lora missing friend.png", ""}, {"lora missing \"a fox <lora:foxy:0.8>\"", ""}}},
      {.name = "lora import", .summary = "bring LoRAs in from Civitai, Hugging Face or a file", .run = lora_import,
       .places = {{.name = "SOURCE", .help = "a page of civitai.com or huggingface.co, owner/repo[@revision][:file], a hash, or a file", .kind = kFile, .is_repeatable = true}},
       .options = {{.flag = "to", .value = "DIR", .help = "into this folder instead of the one of its type and base model", .kind = kFolder}, {.flag = "flat", .help = "straight into models/Lora"},
                   {.flag = "name", .value = "NAME", .help = "file name without ending, for a single file"}, {.flag = "kind", .value = "KIND", .help = "what it is, where the site does not tell", .choices = {"lora", "checkpoint", "vae", "embedding", "upscaler"}, .only_choices = true},
                   {.flag = "jobs", .letter = 'j', .value = "N", .help = "files fetched at once", .kind = kInteger, .min = 1, .max = 16, .standard = "3"}, {.flag = "max-size", .value = "SIZE", .help = "fetch nothing larger", .standard = "16GB"},
                   {.flag = "allow-pickle", .help = "take .pt, .ckpt and .bin too; nothing in them is ever run"}, {.flag = "no-preview", .help = "leave the preview picture"},
                   {.flag = "metadata-only", .help = "SOURCE is a LoRA that is here: fetch only what Civitai says of it, by its hash"},
                   {.flag = "from-metadata", .help = "without a network: write trigger words, base model and preview out of the file's own metadata"},
                   {.flag = "dry-run", .help = "say what would be fetched"}, {.flag = "quiet", .letter = 'q', .help = "show no progress"}, kDataDir, kJson},
       .examples = {{"lora import \"https://civitai.com/models/123/fox?modelVersionId=456\"", ""}, {"lora import owner/repo:fox.safetensors", ""}, {"lora import 0123456789ab", "by AutoV3 or any other hash that Civitai knows"}, {"lora import fox.safetensors --from-metadata", ""}},
       .more = "Size and SHA-256 are proven before a file takes its place; a download that was cut short goes on where it ended. Tokens come from $CIVITAI_TOKEN and $HF_TOKEN, or from ~/.config/lowrank/tokens (mode 600; lines 'civitai = ...' and 'huggingface = ...'); they are sent to their own site only. $LOWRANK_CIVITAI_URL and $HF_ENDPOINT name other base URLs."},
      {.name = "lora check-updates", .summary = "ask the sites for newer versions of the LoRAs that came from there", .run = lora_check_updates,
       .places = {{.name = "NAME", .help = "only these", .kind = kFile, .is_required = false, .is_repeatable = true, .names = Names::kLora}}, .options = kCollection,
       .examples = {{"lora check-updates", ""}}},
      {.name = "recipe save", .summary = "save a set of LoRAs, weights and prompt pieces under a name", .run = recipe_save,
       .places = {{.name = "NAME", .help = "name of the recipe"}},
       .options = {{.flag = "lora", .value = "NAME:WEIGHT", .help = "a LoRA of the set, may be given several times", .is_repeatable = true}, {.flag = "prompt", .letter = 'p', .value = "TEXT", .help = "words to add to a prompt; tags in it count as --lora"},
                   {.flag = "negative", .letter = 'n', .value = "TEXT", .help = "words to add to a negative prompt"}, {.flag = "from", .value = "FILE", .help = "take all that from a picture", .kind = kFile},
                   {.flag = "notes", .value = "TEXT", .help = "for yourself"}, kReplace, kDataDir, kJson},
       .examples = {{"recipe save soft3d --lora 3dmm_style:0.8 -p \"3dmm style\"", ""}, {"recipe save fox --from fox.png", ""}, {"txt2img -p \"a cat\" --recipe soft3d", "and that is how it is used"}}},
      {.name = "recipe list", .summary = "list the recipes", .run = recipe_list, .options = kList, .examples = {{"recipe list", ""}}},
      {.name = "recipe show", .summary = "show a recipe and what it adds to a prompt", .run = recipe_show, .places = {kRecipeName}, .options = kCollection, .examples = {{"recipe show soft3d", ""}}},
      {.name = "recipe export", .summary = "print a recipe as JSON, with the hashes of its LoRAs", .run = recipe_export, .places = {kRecipeName},
       .options = {{.flag = "output", .letter = 'o', .value = "FILE", .help = "file to write instead", .kind = kFile}, kDataDir}, .examples = {{"recipe export soft3d -o soft3d.json", ""}}},
      {.name = "recipe import", .summary = "take in a recipe that someone exported", .run = recipe_import, .places = {{.name = "FILE", .help = "the recipe's JSON", .kind = kFile}},
       .options = {{.flag = "name", .value = "NAME", .help = "under this name (default: its own)"}, kReplace, kDataDir, kJson}, .examples = {{"recipe import soft3d.json --name from-a-friend", ""}}},
      {.name = "recipe remove", .summary = "remove a recipe", .run = recipe_remove, .places = {kRecipeName}, .options = {kDataDir}, .examples = {{"recipe remove soft3d", ""}}},
      {.name = "prompt explain", .summary = "show how a prompt is read: schedules, chunks, tokens, weights, tags", .run = prompt_explain,
       .places = {{.name = "PROMPT", .help = "the prompt, in quotes"}}, .options = kExplain,
       .examples = {{"prompt explain \"a (red:1.3) [fox:cat:0.5] <lora:3dmm_style:0.8>\"", ""}}},
      {.name = "png-info", .summary = "read the settings stored in pictures (png, jpg, webp)", .run = png_info, .places = {files}, .options = {kJson},
       .examples = {{"png-info fox.png", ""}}},
      {.name = "contact-sheet", .summary = "lay out pictures on one sheet with captions", .run = contact_sheet, .places = {files},
       .options = {{.flag = "columns", .value = "N", .help = "pictures in a row", .kind = kInteger, .min = 1, .max = 64, .standard = "4"},
                   {.flag = "output", .letter = 'o', .value = "FILE", .help = "file to write; .png, .jpg or .webp", .kind = kFile, .standard = "contact-sheet.png"},
                   {.flag = "caption", .value = "TEXT", .help = "caption of the next picture, once for each (default: the first line of its settings)", .is_repeatable = true}},
       .examples = {{"contact-sheet --columns 2 -o sheet.png without.png with.png", ""}}},
      {.name = "bench", .summary = "measure what a picture costs on this machine", .side = Side::kEngine, .options = generation,
       .examples = {{"bench --size 512x512 --steps 3", "what a picture of this size takes, in seconds and memory"}}},
      {.name = "completion", .summary = "print the completion script of a shell", .run = completion,
       .places = {{.name = "SHELL", .help = "bash, zsh or fish", .choices = {"bash", "zsh", "fish"}}},
       .examples = {{"completion bash > lowrank.bash", "then: source lowrank.bash; make install puts it in its place"}}},
      {.name = "man", .summary = "print the manual page", .run = man, .examples = {{"man | man -l -", ""}}},
      {.name = "version", .summary = "print the version", .run = version, .examples = {{"version", ""}}},
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
         "holds models/, else the source tree that the program was built in, else ~/lowrank. Folders as "
         "ComfyUI names them (models/checkpoints, models/loras, models/upscale_models) are read too. The "
         "starter "
         "model that ships with the program is used when the folder holds no checkpoint, and its LoRAs are "
         "always "
         "found; LoRAs of the data folder win over the starter's of the same name.";
}

}  // namespace lowrank::cli
