#include "cli/command_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <variant>

#include "base/text/ascii.h"
#include "cli/edit_rows.h"
#include "cli/light/commands.h"
#include "image/codec/codec.h"
#include "library/import/importer.h"
#include "prompt/limits.h"
#include "request/field_table.h"
#include "request/preview_types.h"
#include "request/serve_table.h"
#include "request/training/base_table.h"
#include "request/training/lora_presets.h"
#include "request/training/lora_table.h"

namespace lowrank::cli {
namespace {

using enum ValueKind;

template <class Job>
OptionRow row_of(const request::OptionOf<Job>& row) {
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
                   .most_words = row.most_words,
                   .check =
                       [&row](const std::string& text) {
                         Job scratch;
                         request::set_option(row, scratch, text, fmt::format("--{}", row.flag));
                       },
                   .names = row.place == request::Place::kCheckpoint ? Names::kCheckpoint : Names::kNone};
  if (!row.is_switch()) option.default_value = request::option_text(row, Job());
  if (row.choices != nullptr) option.choices = row.choices();
  for (const auto alias : row.aliases)
    if (!alias.empty()) option.aliases.emplace_back(alias);
  return option;
}

template <class Job>
std::vector<OptionRow> rows_of(std::span<const request::OptionOf<Job>> rows, std::vector<OptionRow> others) {
  std::vector<OptionRow> options;
  for (const auto& row : rows) options.push_back(row_of(row));
  options.insert(options.end(), others.begin(), others.end());
  return options;
}

// clang-format off
const OptionRow kDataDir = {.flag = "data-dir", .value = "DIR", .help = "folder that contains models/, embeddings/ and styles.csv", .kind = kFolder};
const OptionRow kThreads = {.flag = "threads", .value = "N", .help = "number of threads; 0: all cores", .kind = kInteger, .min = 0, .max = 1024, .default_value = "0"};
const OptionRow kInt8 = {.flag = "int8", .help = "store the U-Net's weights in 8 bits: half the memory, slightly different pictures"};
const OptionRow kPromptLimits = {.flag = "prompt-limits", .value = "LIST", .help = "limits for the complexity of a prompt; memory in MB, 0: what is available", .default_value = prompt::prompt_limits_text()};
const OptionRow kFormat = {.flag = "format", .value = "NAME", .help = "file format (default: from the extension of --output, else png)", .choices = {"png", "jpg", "jpeg", "webp"}, .only_choices = true};
const OptionRow kQuality = {.flag = "quality", .value = "N", .help = "quality of jpg and webp", .kind = kInteger, .min = 1, .max = 100, .default_value = std::to_string(image::kUsualQuality)};
const OptionRow kJson = {.flag = "json", .help = "print the result as JSON"};

// What `txt2img` takes beside the fields of a request.
const std::vector<OptionRow> kGeneration = {
    {.flag = "size", .value = "WxH", .help = "width and height", .kind = kSize},
    {.flag = "zero-terminal-snr", .help = "short for --noise-schedule \"Zero Terminal SNR\"", .stands_for = {"noise-schedule", "Zero Terminal SNR"}},
    {.flag = "recipe", .value = "NAME", .help = "add a recipe's LoRAs and prompt text (see lowrank recipe list); may be given several times", .is_repeatable = true, .names = Names::kRecipe},
    {.flag = "from", .value = "FILE", .help = "use the settings stored in a picture; other options override them", .kind = kFile},
    {.flag = "output", .letter = 'o', .value = "PATTERN", .help = "output file; [number], [seed], [index], [date], [model], [sampler], [steps], [cfg], [width] and [height] are substituted; if the file exists, -2, -3 … is appended", .kind = kFile},
    kFormat,
    kQuality,
    {.flag = "preview", .value = "FILE", .help = "write a live preview to this file at each step", .kind = kFile},
    {.flag = "preview-type", .value = "NAME", .help = "what --preview shows: Approx NN (TAESD where its file lies in models/VAE-approx, else Approx cheap), Approx cheap, TAESD or Full", .default_value = std::string(request::kPreviewTypes[0]), .choices = {request::kPreviewTypes.begin(), request::kPreviewTypes.end()}, .only_choices = true},
    kDataDir,
    kThreads,
    kInt8,
    kPromptLimits,
    {.flag = "device", .value = "NAME", .help = "compute device", .default_value = "cpu", .choices = {"cpu"}},
    kJson,
    {.flag = "quiet", .letter = 'q', .help = "show no progress"},
};

const OptionRow kOutput = {.flag = "output", .letter = 'o', .value = "PATTERN", .help = "output file, or a folder ending in '/'", .kind = kFile};
const OptionRow kInit = {.flag = "init", .letter = 'i', .value = "FILE", .help = "picture to start from", .kind = kFile, .aliases = {"init-images"}};
const OptionRow kMask = {.flag = "mask", .letter = 'm', .value = "FILE", .help = "mask, white where the picture is repainted, or opaque if it has transparency", .kind = kFile};
const OptionRow kNoSheet = {.flag = "no-sheet", .help = "save only the pictures, no grid"};

const std::vector<OptionRow> kImg2imgOptions = {
    {.flag = "init", .letter = 'i', .value = "FILE", .help = "picture to start from, or a folder of pictures to process one by one", .kind = kFile, .aliases = {"init-images"}, .is_repeatable = true},
    {.flag = "mask", .letter = 'm', .value = "FILE", .help = "mask, white where the picture is repainted, or opaque if it has transparency; or a folder of masks with the pictures' names", .kind = kFile},
};
const std::vector<OptionRow> kXyzOptions = {
    // All that are given reach the reader of axes, which refuses a second one of a letter.
    {.flag = "x", .value = "AXIS", .help = "horizontal axis: \"NAME: VALUES\"", .is_repeatable = true},
    {.flag = "y", .value = "AXIS", .help = "vertical axis", .is_repeatable = true},
    {.flag = "z", .value = "AXIS", .help = "third axis, one grid per value", .is_repeatable = true},
    kInit, kMask, kNoSheet,
};
const std::vector<OptionRow> kMatrixOptions = {
    {.flag = "vary-negative", .help = "combine the parts of the negative prompt instead"},
    {.flag = "parts-first", .help = "put the combined parts before the first one"},
    {.flag = "join-by-blank", .help = "join the parts with a space instead of a comma"},
    {.flag = "different-seeds", .help = "use a different seed for each picture"},
    kInit, kMask, kNoSheet,
};
const std::vector<OptionRow> kPromptsOptions = {
    {.flag = "file", .letter = 'f', .value = "FILE", .help = "one prompt per line, or options such as --prompt \"a fox\" --steps 30", .kind = kFile},
    {.flag = "iterate-seed", .help = "increase the seed by one for each line"},
    {.flag = "same-seed", .help = "use the same random seed for all lines"},
    kInit, kMask, kNoSheet,
};

const std::vector<OptionRow> kTrainLora = rows_of(request::lora_options(), {kPromptLimits, kDataDir});
const std::vector<OptionRow> kTrainCheck = rows_of(request::lora_options(), {kPromptLimits, kDataDir, kJson, {.flag = "no-measure", .help = "do not measure time and memory of a step"}});
const std::vector<OptionRow> kTrainBase = rows_of(request::base_options(), {});

const std::vector<OptionRow> kServe = rows_of(request::serve_options(), {kPromptLimits, kDataDir, kThreads, kInt8});

const std::vector<OptionRow> kCollection = {kDataDir, kJson};
const std::vector<OptionRow> kList = {kDataDir, kJson, {.flag = "names", .help = "print only the names, one per line"}};
// What the collection can be narrowed to.
const std::vector<OptionRow> kFilters = {
    {.flag = "type", .value = "TYPE", .help = "only LoRAs of this type", .choices = {"character", "style", "concept", "pose", "clothing", "object", "none"}},
    {.flag = "base", .value = "NAME", .help = "only LoRAs for this base model, such as SD1, SDXL or Pony"},
    {.flag = "subfamily", .value = "NAME", .help = "only LoRAs for this subfamily, such as Pony, Illustrious or NoobAI; none: those without one"},
    {.flag = "fits", .value = "MODEL", .help = "only LoRAs that fit this checkpoint; 'default': the one used without --model", .kind = kFile, .names = Names::kCheckpoint},
    {.flag = "tag", .value = "TAG", .help = "only LoRAs with this tag (your own, from Civitai or from the training captions)"},
    {.flag = "trigger", .value = "WORD", .help = "only LoRAs with this trigger word"},
    {.flag = "folder", .value = "FOLDER", .help = "only LoRAs in this sub-folder of models/Lora; a dot: the top level only"},
    {.flag = "rating", .value = "N", .help = "only LoRAs with at least this many stars", .kind = kInteger, .min = 1, .max = 5},
    {.flag = "since", .value = "DAY", .help = "only LoRAs added on or after this date, such as 2026-01-31"},
    {.flag = "until", .value = "DAY", .help = "only LoRAs added on or before this date"},
    {.flag = "min-size", .value = "SIZE", .help = "only files of at least this size, such as 10MB"},
    {.flag = "max-size", .value = "SIZE", .help = "only files of at most this size"},
    {.flag = "sort", .value = "KEY", .help = "sort order", .choices = {"name", "added", "date", "size", "rating"}, .only_choices = true},
    {.flag = "limit", .value = "N", .help = "maximum number of results", .kind = kInteger, .min = 1, .max = 1000000},
    {.flag = "names", .help = "print only the names, one per line"},
    kDataDir,
    kJson,
};

const PositionalRow kLoraName = {.name = "NAME", .help = "a LoRA by name, alias, folder/name, former name, hash or file", .kind = kFile, .names = Names::kLora};
const PositionalRow kRecipeName = {.name = "NAME", .help = "name of the recipe", .names = Names::kRecipe};
// In which a prompt may come.
const std::vector<std::string> kPromptFlags = {"prompt", "from", "recipe", "style"};
const OptionRow kReplace = {.flag = "replace", .help = "overwrite an existing recipe of this name"};

// clang-format on

// A field of a request as an option; A1111's name in its API is understood too.
template <typename Request>
OptionRow field_option(const request::FieldRowOf<Request>& row) {
  const bool is_list = std::holds_alternative<std::vector<std::string> Request::*>(row.member);
  const bool is_text =
      is_list || !row.words.empty() || std::holds_alternative<std::string Request::*>(row.member);
  OptionRow option{.flag = std::string(row.flag),
                   .letter = row.traits.letter,
                   .value = row.is_switch() ? ""
                            : is_text       ? "TEXT"
                                            : "N",
                   .help = std::string(row.help),
                   .only_choices = row.traits.only_choices,
                   .aliases = {},
                   .is_repeatable = is_list,
                   .check =
                       [&row](const std::string& text) {
                         Request request;
                         request::set_field(request, row, text, fmt::format("--{}", row.flag));
                         check_request(request);
                       },
                   .names = row.traits.is_checkpoint ? Names::kCheckpoint : Names::kNone};
  std::string alias = lower_ascii(row.api);
  std::ranges::replace(alias, '_', '-');
  if (alias != option.flag) option.aliases.push_back(alias);
  if (option.value == "N") {
    option.kind = kNumber;
    option.min = row.min;
    option.max = row.max;
  }
  const auto choices = row.traits.choices != nullptr ? row.traits.choices() : row.words;
  option.choices.assign(choices.begin(), choices.end());
  if (!option.is_switch() && !option.is_repeatable)
    option.default_value = request::field_text(Request{}, row).value_or("");
  if (option.default_value.empty() && row.traits.first_is_default) option.default_value = choices.front();
  return option;
}

// Those fields that decide how a prompt is read.
std::vector<OptionRow> explain_options() {
  std::vector<OptionRow> options;
  for (const char* flag : {"negative", "steps", "style", "emphasis", "old-prompt-editing", "comma-backtrack"})
    options.push_back(field_option(*request::field_by_flag(flag)));
  options.insert(options.end(),
                 {{.flag = "second-order", .help = "assume a sampler that calls the model twice per step"},
                  kPromptLimits,
                  kDataDir,
                  kJson});
  return options;
}

// The fields of a generation of that kind (kBoth: of either), what a command adds of its own, and what all of them
// share.
std::vector<OptionRow> generation_options(request::ReadBy kind, const std::vector<OptionRow>& own = {}) {
  std::vector<OptionRow> options = own;
  for (const auto& row : request::field_table()) {
    const request::ReadBy read_by = row.traits.read_by;
    if (kind == request::ReadBy::kBoth || read_by == request::ReadBy::kBoth || read_by == kind)
      options.push_back(field_option(row));
  }
  options.insert(options.end(), kGeneration.begin(), kGeneration.end());
  return options;
}

std::vector<OptionRow> extras_options() {
  std::vector<OptionRow> options;
  for (const auto& row : request::extras_field_table()) options.push_back(field_option(row));
  options.insert(options.end(), {kOutput,
                                 kFormat,
                                 kQuality,
                                 kDataDir,
                                 kThreads,
                                 kJson,
                                 {.flag = "quiet", .letter = 'q', .help = "show no progress"}});
  return options;
}

// clang-format off
std::vector<CommandRow> make_table() {
  const std::vector<OptionRow> generation = generation_options(request::ReadBy::kTxt2img);
  const PositionalRow files = {.name = "FILE", .help = "a picture", .kind = kFile, .is_repeatable = true};
  return {
      {.name = "txt2img", .summary = "generate pictures from a prompt", .side = Side::kEngine, .options = generation,
       .needs = {{kPromptFlags, "a prompt: -p \"a red fox in the snow\", or --from FILE to repeat a picture"}},
       .examples = {{"txt2img -p \"a red fox in the snow\" -o fox.png", "one picture with the newest checkpoint"},
                    {"txt2img -p \"cat face, 3dmm style, purple background <lora:3dmm_style:0.8>\" --cfg 5 --seed 42", "with a LoRA at weight 0.8"},
                    {"txt2img -p \"a fox\" --sampler \"Euler a\" --steps 30 --size 128x192 --batch-count 4", "four pictures with consecutive seeds"},
                    {"txt2img --from fox.png --seed 43 -o other.png", "the same settings, another seed"}},
       .more = "Without --width and --height, the picture has the checkpoint's native size: 512 x 512 for Stable Diffusion 1.x, 768 x 768 for 2.x (512 x 512 for its base), 1024 x 1024 for SDXL, 128 x 128 for the starter model. With --refiner, such as --model sd_xl_base_1.0 --refiner sd_xl_refiner_1.0, the refiner takes over after 0.8 of the sampling. Ctrl-C stops within a step and never leaves an incomplete file."},
      {.name = "img2img", .summary = "generate pictures from pictures, with or without a mask", .side = Side::kEngine, .options = generation_options(request::ReadBy::kImg2img, kImg2imgOptions),
       .needs = {{{"init"}, "a picture to start from: -i FILE, or a folder of pictures"}},
       .examples = {{"img2img -i fox.png -p \"a red fox, oil painting\" --denoising 0.6 -o painted.png", "the same fox, painted"},
                    {"img2img -i fox.png -m mask.png -p \"a hat\" --inpaint-padding 32 -o hat.png", "repaint only the white area of the mask, at a higher resolution"},
                    {"img2img -i photos/ -p \"watercolour\" --denoising 0.5 -o \"painted/[name]\"", "every picture of a folder"},
                    {"img2img --from hat.png -i fox.png -m mask.png --seed 7", "the same settings with another seed"}},
       .more = "As in A1111, about --denoising times --steps steps are run; --fix-steps runs all of them. Without --width and --height, the result has the init picture's size; with a mask and the inpaint area 'Only masked', the masked area is generated at the checkpoint's native size and pasted back. A mask is white where the picture is repainted; in a picture with transparency, the opaque area is the mask. Inpainting checkpoints, whose U-Net has 9 input channels, are recognised."},
      {.name = "extras", .summary = "upscale finished pictures", .side = Side::kEngine, .positionals = {files}, .options = extras_options(),
       .examples = {{"extras fox.png --upscaler Lanczos --scale 2 -o large.png", ""},
                    {"extras photos/ --upscaler 4x-UltraSharp --width 2048 --height 2048 -o large/", "every picture of a folder, with a model from models/ESRGAN"}},
       .more = "Upscalers: None, Lanczos, Nearest, and ESRGAN-type models (ESRGAN, BSRGAN, Real-ESRGAN) in models/ESRGAN and models/RealESRGAN, given without their extension. --width and --height upscale to a size; with --crop False the result covers that size and is not cropped. When scaling by a factor, sides are rounded down to multiples of 8, as in A1111."},
      {.name = "xyz", .summary = "generate a grid of pictures over one, two or three settings", .side = Side::kEngine, .options = generation_options(request::ReadBy::kBoth, kXyzOptions),
       .needs = {{{"prompt", "from", "recipe", "style", "init"}, "a prompt: -p \"a red fox in the snow\""}, {{"x", "y", "z"}, "an axis: --x \"Steps: 10, 20, 30\", and optionally --y and --z"}},
       .examples = {{"xyz -p \"a red fox\" --x \"Steps: 10, 20, 30\" --y \"CFG Scale: 3-9 [3]\"", "nine pictures and a grid"},
                    {"xyz -p \"a red fox <lora:3dmm_style:0.5>\" --x \"Prompt S/R: 0.5, 0.75, 1\" --y \"Seed: 1-4\"", "the effect of a LoRA's weight"}},
       .more = "An axis is NAME: VALUES. NAME is one of A1111's (Seed, Steps, CFG Scale, Sampler, Schedule type, Checkpoint name, Prompt S/R, Prompt order, Denoising, Clip skip, Size, Hires upscaler, VAE, Styles …) or any option of this command. Values are separated by commas; number ranges can be written as 1-5, 1-10 (+3) or 1-10 [4]. All pictures share one seed."},
      {.name = "matrix", .summary = "generate pictures for every combination of prompt parts", .side = Side::kEngine, .options = generation_options(request::ReadBy::kBoth, kMatrixOptions),
       .needs = {{{"prompt", "negative", "from", "recipe", "style"}, "a prompt of several parts: -p \"a fox|red|in the snow\""}},
       .examples = {{"matrix -p \"a fox|red|in the snow\"", "a fox; a fox, red; a fox, in the snow; a fox, red, in the snow"}}},
      {.name = "prompts", .summary = "generate pictures from a file of prompts", .side = Side::kEngine, .options = generation_options(request::ReadBy::kBoth, kPromptsOptions),
       .needs = {{{"file"}, "a file of prompts, one per line: -f FILE"}},
       .examples = {{"prompts -f prompts.txt --steps 25 -o outputs/", ""}},
       .more = "Each line is a prompt, or options in A1111's form: --prompt \"a fox\" --negative_prompt \"blurry\" --seed 7 --sampler_name \"Euler a\". Options missing from a line are taken from the command; the command's prompt is appended to each line's."},
      {.name = "train lora", .summary = "train a LoRA on a folder of pictures", .side = Side::kEngine, .options = kTrainLora,
       .needs = {{{"train-data-dir", "dataset-config", "config-file"}, "the folder that contains the N_TRIGGER folders with pictures: --train-data-dir DIR"}},
       .examples = {{"train lora --train-data-dir pictures --output-name fox --network-dim 8 --max-train-steps 400", "trains <lora:fox:1> on pictures/10_foxy/*.png and their captions"},
                    {"train lora --preset character --train-data-dir pictures --output-name foxy --max-train-steps 400", "a preset's options, but fewer steps"}},
       .more = "Options have kohya's names, with hyphens or underscores. To resume a stopped run from its last saved state, run the same command again; after a finished one, a larger --max-train-steps trains further. Checkpoints of SD 1.x, SD 2.x and SDXL can be trained on, whether they predict epsilon or v; inpainting, rectified-flow and refiner checkpoints cannot. SDXL learns each picture's original size and crop as kohya's trainer tells them; its resolution is usually 1024, with --max-bucket-reso 2048 where pictures are far from square."},
      {.name = "train presets", .summary = "show what the presets of train lora choose, and why", .run = train_presets,
       .positionals = {{.name = "NAME", .help = "only this preset", .is_required = false, .choices = request::lora_preset_names()}}, .options = {kJson},
       .examples = {{"train presets", ""}, {"train presets style", ""}}},
      {.name = "train sheet", .summary = "draw the saved epochs of a training at several weights on one sheet, to choose the best", .side = Side::kEngine,
       .positionals = {{.name = "NAME", .help = "--output-name of the training", .names = Names::kLora}},
       .options = generation_options(request::ReadBy::kTxt2img, {{.flag = "weights", .value = "LIST", .help = "weights of the LoRA, separated by commas", .default_value = "0.6, 0.8, 1"}, kNoSheet}),
       .examples = {{"train sheet fox -p \"foxy in the snow\"", "a row for each of fox-000001 … and fox, a column for each weight"}},
       .more = "Each row names the validation loss of its file, where the training measured one (--validation-split), and the file with the lowest is proposed. Without a prompt, the trigger phrase that the file states is drawn."},
      {.name = "train check", .summary = "look at a training set and measure what training on it would cost", .side = Side::kEngine,
       .positionals = {{.name = "DIR", .help = "the folder that contains the N_TRIGGER folders, or pictures; otherwise --train-data-dir or --dataset-config", .kind = kFolder, .is_required = false}}, .options = kTrainCheck,
       .examples = {{"train check pictures --no-measure", "buckets, captions, tags, pictures that look alike, are too small or blurred"},
                    {"train check pictures --network-dim 16 --max-train-epochs 10 --json", "also trains a few steps to tell time and memory"}},
       .more = "Takes the options of 'train lora' and trains nothing that lasts. All faults of the set are listed together; there is no training until they are mended, and the exit status is 2. Pictures that look alike differ in at most 6 of 64 bits of a perceptual hash; those that look blurred have a variance of the Laplacian below 100 at training size."},
      {.name = "train tags", .summary = "count, search and change the tags of a folder's captions", .side = Side::kEngine,
       .positionals = {{.name = "DIR", .help = "folder of pictures, with those in it", .kind = kFolder}},
       .options = {{.flag = "search", .value = "TEXT", .help = "list, or with other options change, only captions that contain this"},
                   {.flag = "replace", .value = "OLD=NEW", .help = "replace a tag by others; repeatable", .is_repeatable = true},
                   {.flag = "remove", .value = "TAGS", .help = "remove these tags; repeatable", .is_repeatable = true},
                   {.flag = "prefix", .value = "TAGS", .help = "put these tags to the front of every caption", .is_repeatable = true},
                   {.flag = "suffix", .value = "TAGS", .help = "add these tags to the end of captions without them", .is_repeatable = true},
                   {.flag = "drop-repeated", .help = "keep the first of equal tags"},
                   {.flag = "sort", .help = "sort tags by the alphabet, except those of --prefix"},
                   {.flag = "from-names", .help = "caption pictures without a caption from their file names"},
                   {.flag = "caption-command", .value = "COMMAND", .help = "caption pictures without a caption by a program: run with the picture's path, it prints the caption"},
                   {.flag = "caption-url", .value = "URL", .help = "caption pictures without a caption by a service, such as A1111's /sdapi/v1/interrogate"},
                   {.flag = "overwrite", .help = "caption pictures that have a caption, too"},
                   {.flag = "dry-run", .help = "only show what would be written"},
                   {.flag = "caption-extension", .value = "EXT", .help = "ending of caption files (default: .txt, else .caption)"},
                   {.flag = "caption-encoding", .value = "NAME", .help = "encoding of captions without a byte order mark", .choices = {"utf-8", "utf-16", "cp1252", "cp932", "gbk"}},
                   kJson},
       .examples = {{"train tags pictures", "how many pictures have each tag, and the tags that all captions begin with"},
                    {"train tags pictures --replace \"grey=gray\" --remove \"signature, watermark\" --prefix \"3dmm style\" --dry-run", "shows each caption before and after"},
                    {"train tags pictures --from-names", "red-fox_snow_003.png gets the caption: red fox, snow"}},
       .more = "Tags are separated by commas; upper and lower case count alike. Captions are written as UTF-8, all or none. A caption command is run by the shell, with the picture's path as its last argument. A caption URL is sent a POST request with the JSON object {\"image\": BASE64, \"file_name\": NAME, \"model\": \"clip\"}, and answers with {\"caption\": TEXT} or plain text."},
      {.name = "train base", .summary = "train a small model from scratch", .side = Side::kEngine, .options = kTrainBase,
       .needs = {{{"data"}, "a folder of captioned pictures: --data DIR"}, {{"out"}, "an output file: --out FILE.safetensors"}},
       .examples = {{"train base --data drawings --state work --out starter.safetensors", "VAE, text encoder and U-Net; run the same command to resume"}}},
      {.name = "serve", .summary = "serve A1111's API, a job API and the web page", .side = Side::kEngine, .options = kServe,
       .examples = {{"serve", "on http://127.0.0.1:7860, for this machine only"},
                    {"serve --listen --api-auth-file password.txt", "for the network; the file contains user:password"},
                    {"serve --port 7861 --cors-allow-origins https://example.org", "for a web page on another site"}},
       .more = "What requests leave out is taken from the options, which POST /sdapi/v1/options sets: {\"precision\": \"bf16\"} makes bfloat16 the default. Jobs of the job API survive restarts. Ctrl-C stops the server within a step. /docs describes every route."},
      {.name = "model list", .summary = "list the checkpoints", .run = model_list, .options = kList,
       .examples = {{"model list", ""}}},
      {.name = "model inspect", .summary = "describe a checkpoint", .run = model_inspect,
       .positionals = {{.name = "NAME", .help = "a checkpoint by name or file", .kind = kFile, .names = Names::kCheckpoint}}, .options = kCollection,
       .examples = {{"model inspect starter", ""}}},
      {.name = "model subfamily", .summary = "set the subfamily of a checkpoint, such as Pony or Illustrious", .run = model_subfamily,
       .positionals = {{.name = "NAME", .help = "a checkpoint by name or file", .kind = kFile, .names = Names::kCheckpoint}, {.name = "SUBFAMILY", .help = "Pony, Illustrious, NoobAI, Animagine, SDXL Lightning …; none: plainly its family; auto: detect it from the files"}},
       .options = kCollection, .examples = {{"model subfamily ponyFox none", "its name says Pony, but it is plainly its family"}},
       .more = "A LoRA for another subfamily fits all the same; the page and 'lora why' say that it may look different."},
      {.name = "model random", .summary = "write a checkpoint with random weights, for benchmarks", .side = Side::kEngine,
       .options = {{.flag = "like", .value = "SHAPE", .help = "model whose dimensions to use", .default_value = "sd15", .choices = {"sd15", "sd2", "sdxl", "sdxl-refiner", "starter", "tiny"}, .only_choices = true},
                   {.flag = "out", .letter = 'o', .value = "FILE", .help = "output file, .safetensors", .kind = kFile, .aliases = {"output"}},
                   {.flag = "seed", .value = "N", .help = "random seed", .kind = kInteger, .min = 0, .max = 2147483647, .default_value = "0"}},
       .needs = {{{"out"}, "an output file: --out FILE.safetensors"}},
       .examples = {{"model random --like sd15 --out random.safetensors", "2 GB of float16"},
                    {"model random --like sdxl --out random-sdxl.safetensors", "7 GB of float16"}}},
      {.name = "lora list", .summary = "list the LoRAs", .run = lora_list, .options = kFilters,
       .examples = {{"lora list", ""}, {"lora list --type style --fits default --sort rating", "styles that fit the default checkpoint, best first"}, {"lora list --names", "for scripts; --json gives more detail"}}},
      {.name = "lora find", .summary = "search names, trigger words, tags, notes and descriptions", .run = lora_find,
       .positionals = {{.name = "WORD", .help = "words that must all occur; prefixes match", .is_repeatable = true}}, .options = kFilters,
       .examples = {{"lora find 3dmm style", ""}, {"lora find head --type character --max-size 50MB", ""}}},
      {.name = "lora scan", .summary = "update the index of the collection, optionally with hashes", .run = lora_scan,
       .options = {kDataDir, kJson, {.flag = "hash", .help = "hash every file that has no hash yet"}, {.flag = "rebuild", .help = "rebuild the index from the files"},
                   {.flag = "watch", .help = "keep running and follow changes until Ctrl-C"}, {.flag = "quiet", .letter = 'q', .help = "show no progress"}},
       .examples = {{"lora scan --hash", "all LoRAs can then be found by hash"}, {"lora scan --watch", ""}},
       .more = "Every command updates the index automatically; this one is for the first scan and for hashes. The index is in ~/.cache/lowrank and can be deleted at any time, as it is rebuilt from the files."},
      {.name = "lora show", .summary = "show what a LoRA is for: trigger words, base model, training", .run = lora_show,
       .positionals = {kLoraName}, .options = kCollection,
       .examples = {{"lora show 3dmm_style", ""}}},
      {.name = "lora inspect", .summary = "show the contents of a LoRA file, module by module", .run = lora_inspect,
       .positionals = {kLoraName},
       .options = {kDataDir, kJson, {.flag = "all", .help = "list every module instead of a summary"}},
       .examples = {{"lora inspect 3dmm_style --all", ""}}},
      {.name = "lora why", .summary = "explain whether and how a LoRA applies, and to which checkpoints", .run = lora_why, .positionals = {kLoraName},
       .options = {{.flag = "model", .value = "NAME", .help = "checkpoint by name or file (default: the newest)", .kind = kFile, .names = Names::kCheckpoint}, kDataDir, kJson},
       .examples = {{"lora why 3dmm_style --model starter", ""}}, .more = "Only the file headers are read; no weights are loaded."},
      {.name = "lora tag", .summary = "show, add or remove tags of a LoRA", .run = lora_tag,
       .positionals = {kLoraName, {.name = "TAG", .help = "a tag to add", .is_required = false, .is_repeatable = true}},
       .options = {{.flag = "remove", .help = "remove these tags instead"}, kDataDir, kJson},
       .examples = {{"lora tag character_zorbo robot grey", ""}, {"lora tag character_zorbo grey --remove", ""}}},
      {.name = "lora type", .summary = "set the type of a LoRA", .run = lora_type,
       .positionals = {kLoraName, {.name = "TYPE", .help = "character, style, concept, pose, clothing or object; auto: detect it from the files", .choices = {"character", "style", "concept", "pose", "clothing", "object", "auto"}}},
       .options = kCollection, .examples = {{"lora type character_zorbo character", ""}}},
      {.name = "lora subfamily", .summary = "set the subfamily of a LoRA, such as Pony or Illustrious", .run = lora_subfamily,
       .positionals = {kLoraName, {.name = "NAME", .help = "Pony, Illustrious, NoobAI, Animagine, SDXL Lightning …; none: plainly its family; auto: detect it from the files"}},
       .options = kCollection, .examples = {{"lora subfamily character_zorbo Pony", ""}}},
      {.name = "lora note", .summary = "show or write notes, trigger words and the preferred weight of a LoRA", .run = lora_note,
       .positionals = {kLoraName, {.name = "TEXT", .help = "the new notes", .is_required = false}},
       .options = {{.flag = "append", .help = "add TEXT to the notes as a new line"}, {.flag = "trigger", .value = "TEXT", .help = "text to add to a prompt"},
                   {.flag = "negative", .value = "TEXT", .help = "text to add to a negative prompt"}, {.flag = "weight", .value = "W", .help = "preferred weight; 0 removes it"},
                   {.flag = "description", .value = "TEXT", .help = "description"}, kDataDir, kJson},
       .examples = {{"lora note character_zorbo \"best below 0.8\" --weight 0.7 --trigger zorbo", ""}}, .more = "Everything is written to NAME.json next to the file, as in A1111; if that folder is not writable, and for the starter LoRAs, to ~/.local/share/lowrank."},
      {.name = "lora rate", .summary = "rate a LoRA with one to five stars", .run = lora_rate,
       .positionals = {kLoraName, {.name = "STARS", .help = "1 to 5; 0 removes the rating"}}, .options = kCollection, .examples = {{"lora rate character_zorbo 5", ""}}},
      {.name = "lora preview", .summary = "show, set or remove the preview picture of a LoRA", .run = lora_preview,
       .positionals = {kLoraName, {.name = "PICTURE", .help = "the new preview", .kind = kFile, .is_required = false}},
       .options = {{.flag = "remove", .help = "remove the preview"}, kDataDir, kJson}, .examples = {{"lora preview character_zorbo", "prints its path; add a picture to set it"}}},
      {.name = "lora dedupe", .summary = "show duplicate files and ambiguous names", .run = lora_dedupe, .options = kCollection,
       .examples = {{"lora dedupe", ""}}, .more = "Nothing is deleted. Files of equal size are hashed to compare them."},
      {.name = "lora missing", .summary = "show which models a prompt or picture needs, which are here, and where to get the rest", .run = lora_missing,
       .positionals = {{.name = "WHAT", .help = "pictures, text files or a prompt in quotes; -: standard input (default: all recipes)", .kind = kFile, .is_required = false, .is_repeatable = true}},
       .options = {{.flag = "hash", .help = "first hash LoRAs that have no hash yet"}, kDataDir, kJson},
       .examples = {{"lora missing friend.png", ""}, {"lora missing \"a fox <lora:foxy:0.8>\"", ""}}},
      {.name = "lora import", .summary = "import LoRAs from Civitai, Hugging Face or a file", .run = lora_import,
       .positionals = {{.name = "SOURCE", .help = "a civitai.com or huggingface.co page, owner/repo[@revision][:file], a hash, or a file", .kind = kFile, .is_repeatable = true}},
       .options = {{.flag = "to", .value = "DIR", .help = "import into this folder instead of the one for its type and base model", .kind = kFolder}, {.flag = "flat", .help = "import directly into models/Lora"},
                   {.flag = "name", .value = "NAME", .help = "file name without extension, for a single file"}, {.flag = "kind", .value = "KIND", .help = "kind of model, if the site does not say", .choices = {"lora", "checkpoint", "vae", "embedding", "upscaler"}, .only_choices = true},
                   {.flag = "jobs", .letter = 'j', .value = "N", .help = "number of parallel downloads", .kind = kInteger, .min = 1, .max = 16, .default_value = std::to_string(library::kUsualParallelDownloads)}, {.flag = "max-size", .value = "SIZE", .help = "do not download larger files", .default_value = fmt::format("{}GB", library::kUsualMaxGb)},
                   {.flag = "allow-pickle", .help = "also accept .pt, .ckpt and .bin; no code in them is ever executed"}, {.flag = "no-preview", .help = "do not download the preview picture"},
                   {.flag = "metadata-only", .help = "SOURCE is an existing LoRA: download only its metadata from Civitai, by its hash"},
                   {.flag = "from-metadata", .help = "offline: take trigger words, base model and preview from the file's own metadata"},
                   {.flag = "dry-run", .help = "show what would be downloaded"}, {.flag = "quiet", .letter = 'q', .help = "show no progress"}, kDataDir, kJson},
       .examples = {{"lora import \"https://civitai.com/models/123/fox?modelVersionId=456\"", ""}, {"lora import owner/repo:fox.safetensors", ""}, {"lora import 0123456789ab", "by AutoV3 or any other hash known to Civitai"}, {"lora import fox.safetensors --from-metadata", ""}},
       .more = "Size and SHA-256 are verified before a file is moved into place; an interrupted download resumes where it stopped. Tokens are read from $CIVITAI_TOKEN and $HF_TOKEN, or from ~/.config/lowrank/tokens (mode 600; lines 'civitai = ...' and 'huggingface = ...'), and are sent only to their own site. $LOWRANK_CIVITAI_URL and $HF_ENDPOINT set other base URLs."},
      {.name = "lora check-updates", .summary = "check the sites for newer versions of imported LoRAs", .run = lora_check_updates,
       .positionals = {{.name = "NAME", .help = "only these LoRAs", .kind = kFile, .is_required = false, .is_repeatable = true, .names = Names::kLora}}, .options = kCollection,
       .examples = {{"lora check-updates", ""}}},
      {.name = "recipe save", .summary = "save a named set of LoRAs, weights and prompt text", .run = recipe_save,
       .positionals = {{.name = "NAME", .help = "name of the recipe"}},
       .options = {{.flag = "lora", .value = "NAME:WEIGHT", .help = "a LoRA of the set; may be given several times", .is_repeatable = true}, {.flag = "prompt", .letter = 'p', .value = "TEXT", .help = "text to add to a prompt; tags in it count as --lora"},
                   {.flag = "negative", .letter = 'n', .value = "TEXT", .help = "text to add to a negative prompt"}, {.flag = "from", .value = "FILE", .help = "take LoRAs and prompts from a picture", .kind = kFile},
                   {.flag = "notes", .value = "TEXT", .help = "your own notes"}, kReplace, kDataDir, kJson},
       .examples = {{"recipe save soft3d --lora 3dmm_style:0.8 -p \"3dmm style\"", ""}, {"recipe save fox --from fox.png", ""}, {"txt2img -p \"a cat\" --recipe soft3d", "use the recipe"}}},
      {.name = "recipe list", .summary = "list the recipes", .run = recipe_list, .options = kList, .examples = {{"recipe list", ""}}},
      {.name = "recipe show", .summary = "show a recipe and what it adds to a prompt", .run = recipe_show, .positionals = {kRecipeName}, .options = kCollection, .examples = {{"recipe show soft3d", ""}}},
      {.name = "recipe export", .summary = "print a recipe as JSON, with the hashes of its LoRAs", .run = recipe_export, .positionals = {kRecipeName},
       .options = {{.flag = "output", .letter = 'o', .value = "FILE", .help = "output file (default: standard output)", .kind = kFile}, kDataDir}, .examples = {{"recipe export soft3d -o soft3d.json", ""}}},
      {.name = "recipe import", .summary = "import an exported recipe", .run = recipe_import, .positionals = {{.name = "FILE", .help = "the recipe's JSON file", .kind = kFile}},
       .options = {{.flag = "name", .value = "NAME", .help = "name to save it under (default: its own)"}, kReplace, kDataDir, kJson}, .examples = {{"recipe import soft3d.json --name from-a-friend", ""}}},
      {.name = "recipe remove", .summary = "remove a recipe", .run = recipe_remove, .positionals = {kRecipeName}, .options = {kDataDir}, .examples = {{"recipe remove soft3d", ""}}},
      {.name = "prompt explain", .summary = "show how a prompt is read: schedules, chunks, tokens, weights, tags", .run = prompt_explain,
       .positionals = {{.name = "PROMPT", .help = "the prompt, in quotes"}}, .options = explain_options(),
       .examples = {{"prompt explain \"a (red:1.3) [fox:cat:0.5] <lora:3dmm_style:0.8>\"", ""}}},
      {.name = "png-info", .summary = "read the settings stored in pictures (png, jpg, webp)", .run = png_info, .positionals = {files}, .options = {kJson},
       .examples = {{"png-info fox.png", ""}}},
      {.name = "contact-sheet", .summary = "arrange pictures on one sheet with captions", .run = contact_sheet, .positionals = {files},
       .options = {{.flag = "columns", .value = "N", .help = "pictures per row", .kind = kInteger, .min = 1, .max = 64, .default_value = "4"},
                   {.flag = "output", .letter = 'o', .value = "FILE", .help = "output file: .png, .jpg or .webp", .kind = kFile, .default_value = "contact-sheet.png"},
                   {.flag = "caption", .value = "TEXT", .help = "captions, one per picture and in the same order (default: the first line of its settings)", .is_repeatable = true}},
       .examples = {{"contact-sheet --columns 2 -o sheet.png without.png with.png", ""}}},
      {.name = "bench", .summary = "measure the speed and memory use on this machine", .side = Side::kEngine, .options = generation,
       .examples = {{"bench --size 512x512 --steps 3", "time and memory for a picture of this size"}}},
      {.name = "completion", .summary = "print a shell completion script", .run = completion,
       .positionals = {{.name = "SHELL", .help = "bash, zsh or fish", .choices = {"bash", "zsh", "fish"}}},
       .examples = {{"completion bash > lowrank.bash", "then: source lowrank.bash; make install installs it"}}},
      {.name = "man", .summary = "print the manual page", .run = man, .examples = {{"man | man -l -", ""}}},
      {.name = "version", .summary = "print the version", .run = version, .examples = {{"version", ""}}},
  };
}
// clang-format on

}  // namespace

const std::vector<CommandRow>& command_table() {
  static const std::vector<CommandRow> table = [] {
    std::vector<CommandRow> rows = make_table();
    const auto behind = std::ranges::find(rows, "recipe save", &CommandRow::name);
    const std::vector<CommandRow> edits = edit_rows(kDataDir, kThreads, kJson);
    rows.insert(behind, edits.begin(), edits.end());
    return rows;
  }();
  return table;
}

const CommandRow* find_command(std::string_view name) {
  for (const auto& command : command_table())
    if (command.name == name) return &command;
  return nullptr;
}

std::string_view data_folder_help() {
  return "The data folder has A1111's layout: models/Stable-diffusion, models/Lora and models/VAE with "
         "sub-folders, embeddings, styles.csv, outputs. It is --data-dir, else $LOWRANK_DATA_DIR, else the "
         "current folder if it contains models/, else the source tree that the program was built in, else "
         "~/lowrank. ComfyUI's folders (models/checkpoints, models/loras, models/upscale_models) are "
         "searched too. The bundled starter model is used if there is no checkpoint, and its LoRAs are "
         "always available; a LoRA in the data folder takes precedence over a starter LoRA of the same name.";
}

}  // namespace lowrank::cli
