// `lowrank lora scale|split|strip|set`: files whose tensors stay what they are.
#include <fmt/format.h>

#include "base/log_line.h"
#include "cli/engine/commands.h"
#include "cli/engine/edit_call.h"
#include "cli/light/json_text.h"
#include "edit/output.h"
#include "edit/rewrite.h"

namespace lowrank::cli {
namespace {

nlohmann::ordered_json as_json(const edit::Rewritten& result) {
  return {{"path", result.path.string()},
          {"bytes", result.bytes},
          {"tensors", result.tensors},
          {"metadata", result.metadata},
          {"notes", result.notes}};
}

int print_rewritten(const CommandCall& call, EditCall& edit, const std::vector<edit::Rewritten>& results) {
  edit.clear();
  if (call.arguments.has("json")) {
    auto all = nlohmann::ordered_json::array();
    for (const auto& result : results) all.push_back(as_json(result));
    print_json(results.size() == 1 ? all[0] : all);
    return 0;
  }
  for (const auto& result : results) {
    print_notes(result.notes);
    fmt::print("{}  {}, {} tensors, {} metadata\n", result.path.string(), edit::size_text(result.bytes),
               result.tensors, result.metadata);
  }
  return 0;
}

}  // namespace

int lora_scale(const CommandCall& call) {
  EditCall edit(call);
  return print_rewritten(call, edit,
                         {edit::scale(merge_input(call, call.arguments.positionals.front()), edit.job())});
}

int lora_split(const CommandCall& call) {
  EditCall edit(call);
  const auto by = call.arguments.has("blocks") ? edit::SplitBy::kBlock : edit::SplitBy::kComponent;
  return print_rewritten(
      call, edit,
      edit::split(lora_path(call, call.arguments.positionals.front()), by, base_path(call), edit.job()));
}

int lora_strip(const CommandCall& call) {
  EditCall edit(call);
  return print_rewritten(
      call, edit,
      {edit::strip(lora_path(call, call.arguments.positionals.front()),
                   {.all = call.arguments.has("all"), .keep = call.arguments.values("keep")}, edit.job())});
}

int lora_set(const CommandCall& call) {
  EditCall edit(call);
  std::vector<edit::Assignment> values;
  for (std::size_t i = 1; i < call.arguments.positionals.size(); ++i)
    values.push_back(edit::assignment_of(call.arguments.positionals[i]));
  return print_rewritten(
      call, edit, {edit::set(lora_path(call, call.arguments.positionals.front()), values, edit.job())});
}

}  // namespace lowrank::cli
