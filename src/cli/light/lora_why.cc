// `lowrank lora why`: whether and how a LoRA will apply to a checkpoint, and which of the checkpoints here it
// fits. Only headers are read.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/error.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/text_table.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_fit.h"
#include "formats/subfamily.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using formats::LoraFit;
using nlohmann::ordered_json;

fs::path find_file(const library::Library& library, const std::string& name) {
  if (const auto found = library.find_lora(name)) return library.path_of(found->record);
  std::error_code failure;
  if (fs::is_regular_file(name, failure)) return name;
  return library.path_of(library.resolve(name).record);
}

// The verdict, and where the LoRA is for another family those of the user's checkpoints that it fits.
std::string advice(const LoraFit& fit, const std::vector<std::string>& fitting) {
  const std::string verdict = formats::fit_verdict(fit);
  if (fit.applies() || fit.family.empty()) return verdict;
  return fmt::format("{}; {}", verdict, formats::fitting_text(fitting));
}

// What is to be expected of a LoRA for another offspring of the family; "" nothing, or the collection does not know them.
std::string subfamily_note(const library::Library& library, const std::string& name, const fs::path& model) {
  const auto lora = library.find_lora(name);
  const auto checkpoint = library.checkpoint_record(model);
  if (!lora || !checkpoint || !lora->record.subfamily_conflict.empty()) return "";
  return formats::subfamily_hint(lora->record.subfamily, checkpoint->subfamily);
}

// How often each reason occurs.
std::map<std::string, std::vector<std::string>> reasons_of(const LoraFit& fit) {
  std::map<std::string, std::vector<std::string>> reasons;
  for (const auto& unmet : fit.unmet) reasons[unmet.reason].push_back(unmet.module);
  return reasons;
}

ordered_json fit_json(const LoraFit& fit) {
  auto reasons = ordered_json::array();
  for (const auto& [reason, modules] : reasons_of(fit))
    reasons.push_back({{"reason", reason}, {"modules", modules}});
  return {
      {"applies", fit.applies()},
      {"unet_modules", fit.applied_unet},
      {"text_modules", fit.applied_text},
      {"keys", {{"applied", fit.keys_applied}, {"skipped", fit.keys_skipped}, {"unknown", fit.keys_unknown}}},
      {"family", fit.family},
      {"unmet", reasons}};
}

}  // namespace

int lora_why(const Invocation& invocation) {
  const auto library = open_library(invocation);
  const auto lora = formats::open_lora(find_file(library, invocation.positionals.front()));
  const fs::path model = find_model(library.data(), invocation.value("model"));
  const LoraFit fit = formats::fit_lora(lora, formats::open_without_vae(model));

  std::vector<std::vector<std::string>> rows;
  auto others = ordered_json::array();
  std::vector<std::string> fitting;
  for (const fs::path& file : library::all_checkpoints(library.data())) {
    ordered_json other = {{"name", library::checkpoint_name(file)}, {"path", file.string()}};
    std::string says;
    try {
      const LoraFit own = formats::fit_lora(lora, formats::open_without_vae(file));
      says = formats::fit_verdict(own);
      other["applies"] = own.applies();
      if (own.applies()) fitting.push_back(library::checkpoint_name(file));
      other["modules"] = own.applied_unet + own.applied_text;
    } catch (const Error& error) {
      says = error.what();
      other["applies"] = false;
      other["error"] = says;
    }
    rows.push_back({library::checkpoint_name(file), says});
    others.push_back(std::move(other));
  }
  const std::string hint = subfamily_note(library, invocation.positionals.front(), model);
  if (invocation.has("json")) {
    ordered_json json = {{"lora", lora.path.string()},
                         {"model", model.string()},
                         {"base_model", formats::family_name(lora.base_model)}};
    json.update(fit_json(fit));
    json["verdict"] = formats::fit_verdict(fit);
    json["subfamily_hint"] = hint;
    json["unknown_keys"] = lora.unknown;
    json["notes"] = lora.notes;
    json["checkpoints"] = others;
    print_json(json);
    return 0;
  }
  fmt::print("{} on {} {}\n", printable(lora.name), printable(library::checkpoint_name(model)),
             printable(advice(fit, fitting)));
  fmt::print("  made for         {} ({})\n", formats::family_name(lora.base_model), lora.base_model_reason);
  fmt::print("  U-Net            {} modules\n  text encoder     {} modules\n", fit.applied_unet,
             fit.applied_text);
  if (!fit.family.empty() && fit.applies()) fmt::print("  note             {}\n", printable(fit.family));
  if (!hint.empty()) fmt::print("  note             {}\n", hint);
  for (const auto& [reason, names] : reasons_of(fit))
    fmt::print("  skipped          {} {}: {} ({}{})\n", names.size(),
               names.size() == 1 ? "module" : "modules", printable(reason), printable(names.front()),
               names.size() > 1 ? " ..." : "");
  if (!lora.unknown.empty())
    fmt::print("  unknown          {} {} ({}{})\n", lora.unknown.size(),
               lora.unknown.size() == 1 ? "key" : "keys", printable(lora.unknown.front()),
               lora.unknown.size() > 1 ? " ..." : "");
  fmt::print("  keys             {} applied, {} skipped, {} unknown\n", fit.keys_applied, fit.keys_skipped,
             fit.keys_unknown);
  for (const auto& note : lora.notes) fmt::print("  note             {}\n", printable(note));
  fmt::print("\n{}", text_table({"CHECKPOINT", "VERDICT"}, std::move(rows)));
  return 0;
}

}  // namespace lowrank::cli
