#include "cli/edit_rows.h"

namespace lowrank::cli {
namespace {

using enum ValueKind;

// clang-format off
const OptionRow kOutputFile = {.flag = "output", .letter = 'o', .value = "FILE", .help = "the file to write, .safetensors", .kind = kFile, .aliases = {"out"}};
const OptionRow kOverwrite = {.flag = "overwrite", .help = "replace the output file if it exists"};
const OptionRow kBase = {.flag = "base", .value = "CHECKPOINT", .help = "checkpoint that the LoRAs are for; needed where a change depends on its weights (DoRA, OFT, BOFT, IA3, GLoRA), or where the layers are those of no published model", .kind = kFile, .names = Names::kCheckpoint};
const OptionRow kPrecision = {.flag = "precision", .value = "NAME", .help = "type of the numbers written; auto: the widest that the inputs have", .default_value = "auto", .choices = {"auto", "fp32", "fp16", "bf16"}, .only_choices = true};
const OptionRow kQuietly = {.flag = "quiet", .letter = 'q', .help = "show no progress"};
const OptionRow kExactSvd = {.flag = "exact-svd", .help = "decompose whole matrices instead of projecting them at random; slower, and hardly different"};
const NeedRow kNeedsOutput = {{"output"}, "an output file: -o FILE.safetensors"};
// clang-format on

OptionRow rank_row(const char* flag, const char* help) {
  return {.flag = flag, .value = "N", .help = help, .kind = kInteger, .min = 1, .max = 65536};
}

}  // namespace

std::vector<CommandRow> edit_rows(const OptionRow& data_dir, const OptionRow& threads,
                                  const OptionRow& json) {
  // clang-format off
  const std::vector<OptionRow> ranks = {
      {.flag = "sv-ratio", .value = "R", .help = "keep the singular values above the largest / R", .kind = kNumber, .min = 1},
      {.flag = "sv-fro", .value = "SHARE", .help = "keep as few as give this share of the change's norm, such as 0.95", .kind = kNumber, .min = 0, .max = 1},
      {.flag = "sv-cumulative", .value = "SHARE", .help = "keep as few as give this share of their sum", .kind = kNumber, .min = 0, .max = 1},
      {.flag = "kohya", .help = "count as kohya's script does, which keeps one more"},
      kExactSvd, kPrecision, data_dir, threads, kQuietly, json};
  const auto with_ranks = [&](std::vector<OptionRow> own) {
    own.insert(own.end(), ranks.begin(), ranks.end());
    return own;
  };
  const PositionalRow lora = {.name = "LORA", .help = "a LoRA by name or file", .kind = kFile, .names = Names::kLora};
  return {
      {.name = "lora merge", .summary = "merge LoRAs at their weights into one file", .side = Side::kEngine,
       .positionals = {{.name = "LORA", .help = "NAME, NAME:WEIGHT, NAME:TE:UNET … as in a prompt's tag, with lbw= and dyn= too", .is_repeatable = true, .names = Names::kLora}},
       .options = {kOutputFile, kOverwrite, rank_row("rank", "reduce every layer to at most this rank by SVD (default: nothing is lost)"), rank_row("conv-rank", "the same for k x k convolutions (default: --rank)"),
                   kBase, kPrecision, kExactSvd, data_dir, threads, kQuietly, json},
       .needs = {kNeedsOutput},
       .examples = {{"lora merge 3dmm_style:0.8 character_zorbo:0.5 -o both.safetensors", "at weight 1 it does what both tags do"},
                    {"lora merge 3dmm_style:0.8 character_zorbo:0:1 -o small.safetensors --rank 4", "the second without its text encoder; the error of each block is printed"},
                    {"lora merge 3dmm_style:1:lbw=OUTALL character_zorbo -o blocks.safetensors", "block weights as in tags"}},
       .more = "Factors are joined, so that the result is exact whatever the ranks. LoHa and LoKr become the smallest exact form: a product of factors, or a whole difference. Metadata of all parents are kept in the result."},
      {.name = "lora resize", .summary = "reduce the rank of a LoRA, with the error of each block", .side = Side::kEngine, .positionals = {lora},
       .options = with_ranks({kOutputFile, kOverwrite, rank_row("rank", "rank of every layer; with a rule the largest"), rank_row("conv-rank", "the same for k x k convolutions (default: --rank)"),
                              {.flag = "size", .value = "MB", .help = "choose the ranks so that the file takes at most this many megabytes", .kind = kNumber, .min = 0},
                              {.flag = "relative", .help = "with --size: weigh a layer's change by the norm of the checkpoint's weight (--base)"}, kBase}),
       .needs = {kNeedsOutput, {{"rank", "sv-ratio", "sv-fro", "sv-cumulative", "size"}, "how far to reduce: --rank N, --sv-fro SHARE, --sv-ratio R, --sv-cumulative SHARE or --size MB"}},
       .examples = {{"lora resize 3dmm_style --rank 4 -o thin.safetensors", ""}, {"lora resize 3dmm_style --sv-fro 0.9 -o thinner.safetensors", "each layer its own rank"},
                    {"lora resize 3dmm_style --size 0.3 -o small-file.safetensors", "the best of 300 KB"}},
       .more = "Every kind can be resized; the result is a LoRA, for convolutions a LoCon."},
      {.name = "lora extract", .summary = "extract the difference of two checkpoints as a LoRA", .side = Side::kEngine,
       .positionals = {{.name = "BASE", .help = "the checkpoint that the LoRA will be used with", .kind = kFile, .names = Names::kCheckpoint}, {.name = "TUNED", .help = "the checkpoint to be imitated", .kind = kFile, .names = Names::kCheckpoint}},
       .options = with_ranks({kOutputFile, kOverwrite, rank_row("rank", "rank of every layer; with a rule the largest"), rank_row("conv-rank", "the same for k x k convolutions (default: --rank)"),
                              {.flag = "full", .help = "keep whole differences, of norms and biases too"}, {.flag = "unet-only", .help = "leave the text encoders out"}, {.flag = "text-encoder-only", .help = "leave the U-Net out"}}),
       .needs = {kNeedsOutput, {{"rank", "sv-ratio", "sv-fro", "sv-cumulative", "full"}, "how much to keep: --rank N, --sv-fro SHARE, --sv-ratio R, --sv-cumulative SHARE or --full"}},
       .examples = {{"lora extract starter tuned.safetensors --rank 8 -o difference.safetensors", ""}},
       .more = "Layers that are equal in both are left out. Both checkpoints must be of one family."},
      {.name = "lora scale", .summary = "write a LoRA at another weight, which then is its weight 1", .side = Side::kEngine,
       .positionals = {{.name = "LORA:WEIGHT", .help = "NAME:WEIGHT, NAME:TE:UNET … as in a prompt's tag, with lbw= too", .names = Names::kLora}},
       .options = {kOutputFile, kOverwrite, data_dir, threads, kQuietly, json},
       .examples = {{"lora scale 3dmm_style:0.6 -o softer.safetensors", "factors stay, alpha changes"}, {"lora scale 3dmm_style:0:1 -o no-words.safetensors", "nothing for the text encoder"}}},
      {.name = "lora split", .summary = "split a LoRA into text encoder and U-Net, or into blocks", .side = Side::kEngine, .positionals = {lora},
       .options = {{.flag = "output", .letter = 'o', .value = "NAME", .help = "beginning of the files' names: NAME-te, NAME-unet (default: the LoRA's own)", .kind = kFile}, kOverwrite, {.flag = "blocks", .help = "one file for each block: NAME-BASE, NAME-IN01 ..."}, kBase, data_dir, threads, kQuietly, json},
       .examples = {{"lora split 3dmm_style -o parts/style", ""}, {"lora split 3dmm_style --blocks -o blocks/style", ""}},
       .more = "Merged again at weight 1, the parts are the LoRA."},
      {.name = "lora strip", .summary = "remove the training's metadata from a LoRA", .side = Side::kEngine, .positionals = {lora},
       .options = {kOutputFile, kOverwrite, {.flag = "all", .help = "remove what programs need to know the family and the network, too"}, {.flag = "keep", .value = "KEY", .help = "metadata to keep; may be given several times", .is_repeatable = true}, data_dir, threads, kQuietly, json},
       .examples = {{"lora strip fox.safetensors -o bare.safetensors", ""}, {"lora strip fox.safetensors --keep modelspec.author -o signed.safetensors", ""}},
       .more = "Without -o the file itself is replaced, which --overwrite must allow. Hashes are those of the new file."},
      {.name = "lora set", .summary = "set a LoRA's metadata: title, author, trigger words and more", .side = Side::kEngine,
       .positionals = {lora, {.name = "KEY=VALUE", .help = "title, author, description, trigger, tags, license, date, usage-hint, resolution, or any key; an empty value removes it", .is_repeatable = true}},
       .options = {kOutputFile, kOverwrite, data_dir, threads, kQuietly, json},
       .examples = {{"lora set fox.safetensors title=\"Red foxes\" trigger=foxy -o titled.safetensors", "modelspec 1.0.1"}, {"lora set fox.safetensors author=Ann --overwrite", "in place"}},
       .more = "Without -o the file itself is replaced, which --overwrite must allow. Hashes are those of the new file."},
  };
  // clang-format on
}

}  // namespace lowrank::cli
