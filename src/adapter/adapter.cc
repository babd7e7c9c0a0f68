#include "adapter/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "adapter/match.h"
#include "base/error.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_fit.h"

namespace lowrank::adapter {
namespace {

using formats::BaseModel;
using formats::Component;
using formats::LoraEntry;
using formats::LoraFile;

formats::LayerTable table_of(const model::LayerMap& layers) {
  formats::LayerTable table;
  for (const auto& [path, layer] : layers) table.emplace(path, sizes_of(shape_of(*layer)));
  return table;
}

// What to do with a file that does not fit: which of the checkpoints do, and where none does or nobody knows, `otherwise`.
std::string remedy(const LoraFile& file, const FittingCheckpoints& others, std::string_view otherwise) {
  if (!others) return std::string(otherwise);
  const std::vector<std::string> fitting = others(file);
  const std::string text = formats::fitting_text(fitting);
  return fitting.empty() ? fmt::format("{}: {}", text, otherwise) : text;
}

[[noreturn]] void throw_wrong_base(const LoraFile& file, const ModelParts& model,
                                   const FittingCheckpoints& others) {
  if (file.base_model == model.base_model)
    throw Error(
        kUnsupported,
        "{}: made for {} ({}), but this checkpoint has other dimensions (cross-attention width {}); {}.",
        file.path.string(), base_model_name(file.base_model), file.base_model_reason, model.context_width,
        remedy(file, others, "choose a LoRA made for it"));
  std::string conflict = formats::family_conflict(file, model.base_model);
  if (conflict.empty())
    conflict = fmt::format("made for {} ({}); this is a checkpoint of {} (cross-attention width {})",
                           base_model_name(file.base_model), file.base_model_reason,
                           model.base_model == BaseModel::kOther ? "a model with non-standard dimensions"
                                                                 : base_model_name(model.base_model),
                           model.context_width);
  throw Error(kUnsupported, "{}: {}; {}.", file.path.string(), conflict,
              remedy(file, others,
                     "choose a LoRA for the checkpoint's family, or load a checkpoint of the LoRA's family"));
}

}  // namespace

std::string_view base_model_name(BaseModel model) {
  return model == BaseModel::kOther ? "an unknown base model" : formats::family_name(model);
}

std::int64_t Adapter::modules(Component component) const {
  return std::count_if(file_.entries.begin(), file_.entries.end(),
                       [&](const LoraEntry& entry) { return entry.component == component; });
}

std::shared_ptr<const Adapter> Adapter::match(LoraFile file, const ModelParts& model,
                                              const FittingCheckpoints& others) {
  std::shared_ptr<Adapter> adapter(new Adapter(std::move(file)));
  const LoraFile& lora = adapter->file_;
  adapter->skipped_ = lora.skipped;
  std::map<Component, formats::LayerTable> tables;
  for (const ModelPart& part : model.parts) tables.emplace(part.component, table_of(*part.layers));
  const auto layers = formats::layers_of(std::move(tables), model.base_model);
  for (const auto& embedding : lora.embeddings) {
    std::string reason = formats::embedding_misfit(embedding, layers.text_widths);
    if (reason.empty()) {
      adapter->embeddings_.push_back(embedding);
    } else {
      formats::SkippedKeys skipped{formats::module_of(embedding), {}, std::move(reason)};
      for (const auto& [component, view] : embedding.vectors.of) skipped.keys.push_back(view.name);
      adapter->skipped_.push_back(std::move(skipped));
    }
  }
  const auto match = formats::match_lora(lora, layers);
  if (match.is_foreign) throw_wrong_base(lora, model, others);
  for (ModuleMatch& module : match_modules(lora, layers, match)) {
    const LoraEntry& entry = *module.entry;
    if (const auto* misfit = std::get_if<Misfit>(&module.fit)) {
      adapter->skipped_.push_back({entry.module, entry.keys(), misfit->reason});
      continue;
    }
    auto& formula = std::get<Formula>(module.fit);
    adapter->notes_.insert(adapter->notes_.end(), formula.notes.begin(), formula.notes.end());
    adapter->targets_.push_back({module.layer.component, module.layer.path, module.shape.sizes, entry.module,
                                 entry.kind, entry.alpha, entry.keys(), std::move(formula)});
  }

  if (adapter->targets_.empty() && adapter->embeddings_.empty()) {
    if (const auto reason = formats::unusable_reason(lora); !reason.empty())
      throw Error(kBadInput, "{}: {}.", lora.path.string(), reason);
    if (lora.base_model != BaseModel::kOther && model.base_model != BaseModel::kOther &&
        lora.base_model != model.base_model)
      throw_wrong_base(lora, model, others);
    throw Error(kBadInput,
                "{}: no module of the LoRA fits this checkpoint; the first of its {} modules, '{}', was "
                "skipped: {}{}.",
                lora.path.string(), adapter->skipped_.size(),
                adapter->skipped_.empty() ? "" : adapter->skipped_.front().module,
                adapter->skipped_.empty() ? "it has none" : adapter->skipped_.front().reason,
                others ? "; " + formats::fitting_text(others(lora)) : "");
  }
  return adapter;
}

}  // namespace lowrank::adapter
