// `lowrank lora merge`: several LoRAs at their weights become one file.
#include "cli/engine/commands.h"
#include "cli/engine/edit_call.h"
#include "edit/merge.h"

namespace lowrank::cli {

int lora_merge(const CommandCall& call) {
  const Arguments& given = call.arguments;
  edit::MergeOptions options{.inputs = {}, .base = base_path(call)};
  for (const std::string& text : given.positionals) options.inputs.push_back(merge_input(call, text));
  if (given.has("rank")) options.rank = given.whole_number("rank");
  if (given.has("conv-rank")) options.conv_rank = given.whole_number("conv-rank");
  options.exact_svd = given.has("exact-svd");
  options.precision = precision_of(given.value("precision"));
  EditCall edit(call);
  const edit::Report report = edit::merge(options, edit.job());
  return print_report(call, edit, report);
}

}  // namespace lowrank::cli
