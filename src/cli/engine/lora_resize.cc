// `lowrank lora resize` and `lowrank lora extract`: files of low rank out of larger ones.
#include "base/error.h"
#include "cli/engine/commands.h"
#include "cli/engine/edit_call.h"
#include "edit/extract.h"
#include "edit/resize.h"

namespace lowrank::cli {
namespace {

edit::RankOptions rank_options(const Arguments& given) {
  struct Rule {
    const char* flag;
    edit::RankRule rule;
  };
  static constexpr Rule kRules[] = {{"sv-ratio", edit::RankRule::kRatio},
                                    {"sv-fro", edit::RankRule::kFrobenius},
                                    {"sv-cumulative", edit::RankRule::kCumulative},
                                    {"size", edit::RankRule::kSize}};
  edit::RankOptions ranks;
  const char* chosen = nullptr;
  for (const auto& [flag, rule] : kRules) {
    if (!given.has(flag)) continue;
    if (chosen != nullptr)
      throw Error(kBadInput, "--{} and --{} are two rules for the ranks; give one of them.", chosen, flag);
    chosen = flag;
    ranks.rule = rule;
    ranks.value = given.number(flag);
  }
  if (given.has("rank")) ranks.rank = given.whole_number("rank");
  if (given.has("conv-rank")) ranks.conv_rank = given.whole_number("conv-rank");
  ranks.kohya = given.has("kohya");
  return ranks;
}

}  // namespace

int lora_resize(const CommandCall& call) {
  const Arguments& given = call.arguments;
  edit::ResizeOptions options{.input = lora_path(call, given.positionals.front()), .base = base_path(call)};
  options.ranks = rank_options(given);
  options.relative_to_base = given.has("relative");
  options.exact_svd = given.has("exact-svd");
  options.precision = precision_of(given.value("precision"));
  EditCall edit(call);
  return print_report(call, edit, edit::resize(options, edit.job()));
}

int lora_extract(const CommandCall& call) {
  const Arguments& given = call.arguments;
  edit::ExtractOptions options{.base = checkpoint_path(call, given.positionals.at(0)),
                               .tuned = checkpoint_path(call, given.positionals.at(1))};
  options.ranks = rank_options(given);
  if (given.has("full")) options.form = edit::ExtractForm::kWhole;
  options.text_encoder = !given.has("unet-only");
  options.unet = !given.has("text-encoder-only");
  options.exact_svd = given.has("exact-svd");
  options.precision = precision_of(given.value("precision"));
  EditCall edit(call);
  return print_report(call, edit, edit::extract(options, edit.job()));
}

}  // namespace lowrank::cli
