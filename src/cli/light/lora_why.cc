// `lowrank lora why`: whether and how a LoRA will apply to a checkpoint, and which of the checkpoints here it
// fits. Only headers are read.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/error.h"
#include "cli/light/collection.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/text_table.h"
#include "formats/lora_family.h"
#include "formats/lora_fit.h"

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

std::string verdict(const LoraFit& fit, std::size_t modules) {
  const auto applied = static_cast<std::size_t>(fit.applied_unet + fit.applied_text);
  if (applied == 0)
    return fit.family.empty() ? "does not apply: none of its modules fits" : "does not apply: " + fit.family;
  if (applied == modules) return fmt::format("applies fully: {} of {} modules", applied, modules);
  return fmt::format("applies in part: {} of {} modules", applied, modules);
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
  return {{"applies", fit.applies()},
          {"unet_modules", fit.applied_unet},
          {"text_modules", fit.applied_text},
          {"family", fit.family},
          {"unmet", reasons}};
}

}  // namespace

int lora_why(const Invocation& invocation) {
  const auto library = open_library(invocation);
  const auto lora = formats::open_lora(find_file(library, invocation.places.front()));
  const std::size_t modules = lora.entries.size() + lora.skipped.size();
  const fs::path model = find_model(library.data(), invocation.value("model"));
  const LoraFit fit = formats::fit_lora(lora, formats::open_checkpoint(model));

  std::vector<std::vector<std::string>> rows;
  auto others = ordered_json::array();
  for (const fs::path& file : library::all_checkpoints(library.data())) {
    ordered_json other = {{"name", library::checkpoint_name(file)}, {"path", file.string()}};
    std::string says;
    try {
      const LoraFit own = formats::fit_lora(lora, formats::open_checkpoint(file));
      says = verdict(own, modules);
      other["applies"] = own.applies();
      other["modules"] = own.applied_unet + own.applied_text;
    } catch (const Error& error) {
      says = error.what();
      other["applies"] = false;
      other["error"] = says;
    }
    rows.push_back({library::checkpoint_name(file), says});
    others.push_back(std::move(other));
  }
  if (invocation.has("json")) {
    ordered_json json = {{"lora", lora.path.string()},
                         {"model", model.string()},
                         {"base_model", formats::family_name(lora.base_model)}};
    json.update(fit_json(fit));
    json["verdict"] = verdict(fit, modules);
    json["unknown_keys"] = lora.unknown;
    json["checkpoints"] = others;
    print_json(json);
    return 0;
  }
  fmt::print("{} on {} {}\n", printable(lora.name), printable(library::checkpoint_name(model)),
             verdict(fit, modules));
  fmt::print("  made for         {} ({})\n", formats::family_name(lora.base_model), lora.base_model_reason);
  fmt::print("  U-Net            {} modules\n  text encoder     {} modules\n", fit.applied_unet,
             fit.applied_text);
  if (!fit.family.empty()) fmt::print("  note             {}\n", fit.family);
  for (const auto& [reason, names] : reasons_of(fit))
    fmt::print("  left out         {} {}: {} ({}{})\n", names.size(),
               names.size() == 1 ? "module" : "modules", printable(reason), printable(names.front()),
               names.size() > 1 ? " ..." : "");
  if (!lora.unknown.empty())
    fmt::print("  unknown          {} keys ({} ...)\n", lora.unknown.size(), printable(lora.unknown.front()));
  fmt::print("\n{}", text_table({"CHECKPOINT", "VERDICT"}, std::move(rows)));
  return 0;
}

}  // namespace lowrank::cli
