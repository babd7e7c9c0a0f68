#include "adapter/adapter.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "formats/lora_family.h"

namespace lowrank::adapter {
namespace {

using formats::BaseModel;
using formats::Component;
using formats::LoraEntry;
using formats::LoraFile;

// The layers of one component under every name that files use.
struct NamedLayers {
  const model::LayerMap& layers;
  std::map<std::string, std::string, std::less<>> names;

  NamedLayers(Component component, const model::LayerMap& map) : layers(map) {
    std::vector<std::string> paths;
    for (const auto& [path, layer] : map) paths.push_back(path);
    names = formats::layer_names(component, paths);
  }
  const model::Layer* find(const std::string& name) const {
    const auto found = names.find(name);
    return found == names.end() ? nullptr : layers.at(found->second).get();
  }
};

std::vector<std::string> keys_of(const LoraEntry& entry) {
  std::vector<std::string> keys;
  for (const auto& [part, view] : entry.parts) keys.push_back(view.name);
  return keys;
}

// Keys and values of cross-attention see the text's width, which tells the families apart.
bool sees_text_width(const LoraEntry& entry) {
  return entry.component == Component::kUnet &&
         (entry.name.ends_with("attn2_to_k") || entry.name.ends_with("attn2_to_v"));
}

std::string file_family(const LoraFile& file) {
  std::string family(base_model_name(file.base_model));
  if (!file.base_model_reason.empty()) family += " (" + file.base_model_reason + ")";
  return family;
}

[[noreturn]] void throw_wrong_base(const LoraFile& file, const model::UNet& unet) {
  const BaseModel model = base_model_of(unet);
  throw Error(kUnsupported,
              "{}: the LoRA is made for {}, but the checkpoint is {} (cross-attention is {} wide); choose a "
              "LoRA of the "
              "checkpoint's family or load a checkpoint of the LoRA's.",
              file.path.string(), file_family(file),
              model == BaseModel::kOther ? "a model of its own dimensions" : base_model_name(model),
              unet.context_width());
}

}  // namespace

std::string_view base_model_name(BaseModel model) {
  return model == BaseModel::kOther ? "an unknown base model" : formats::family_name(model);
}

BaseModel base_model_of(const model::UNet& unet) {
  switch (unet.context_width()) {
    case 768:
      return BaseModel::kSd1;
    case 1024:
      return BaseModel::kSd2;
    case 2048:
      return BaseModel::kSdxl;
    default:
      return BaseModel::kOther;
  }
}

std::int64_t Adapter::modules(Component component) const {
  return std::count_if(file_.entries.begin(), file_.entries.end(),
                       [&](const LoraEntry& entry) { return entry.component == component; });
}

std::shared_ptr<const Adapter> Adapter::match(LoraFile file, const model::UNet& unet,
                                              const model::TextEncoder& text_encoder) {
  std::shared_ptr<Adapter> adapter(new Adapter(std::move(file)));
  const LoraFile& lora = adapter->file_;
  adapter->skipped_ = lora.skipped;
  const NamedLayers unet_layers(Component::kUnet, unet.layers());
  const NamedLayers text_layers(Component::kTextEncoder, text_encoder.layers());
  const auto find = [&](const LoraEntry& entry) {
    return (entry.component == Component::kUnet ? unet_layers : text_layers).find(entry.name);
  };
  std::map<const model::Layer*, int> addressed;
  for (const LoraEntry& entry : lora.entries)
    if (const auto* layer = find(entry)) ++addressed[layer];

  int text_width_fits = 0, text_width_misfits = 0;
  for (const LoraEntry& entry : lora.entries) {
    const auto skip = [&](std::string reason) {
      adapter->skipped_.push_back({entry.module, keys_of(entry), std::move(reason)});
    };
    const model::Layer* layer = find(entry);
    if (layer == nullptr) {
      skip(fmt::format("this model's {} has no such layer", formats::component_name(entry.component)));
      continue;
    }
    if (addressed[layer] > 1) {
      skip(fmt::format("the layer '{}' is addressed twice under different names", layer->address().path));
      continue;
    }
    Fit result = fit(as_module(entry, lora.file), shape_of(*layer));
    if (const auto* misfit = std::get_if<Misfit>(&result)) {
      text_width_misfits += sees_text_width(entry);
      skip(misfit->reason);
      continue;
    }
    text_width_fits += sees_text_width(entry);
    auto& formula = std::get<Formula>(result);
    adapter->notes_.insert(adapter->notes_.end(), formula.notes.begin(), formula.notes.end());
    adapter->targets_.push_back({entry.component, layer->address().path, layer->weight().sizes().vec(),
                                 entry.module, entry.kind, entry.alpha, keys_of(entry), std::move(formula)});
  }

  if (text_width_misfits > 0 && text_width_fits == 0) throw_wrong_base(lora, unet);
  if (adapter->targets_.empty()) {
    const BaseModel model = base_model_of(unet);
    if (lora.base_model != BaseModel::kOther && model != BaseModel::kOther && lora.base_model != model)
      throw_wrong_base(lora, unet);
    throw Error(
        kBadInput,
        "{}: nothing in the LoRA fits this checkpoint; of its {} modules the first, '{}', was skipped: {}.",
        lora.path.string(), adapter->skipped_.size(),
        adapter->skipped_.empty() ? "" : adapter->skipped_.front().module,
        adapter->skipped_.empty() ? "it has none" : adapter->skipped_.front().reason);
  }
  return adapter;
}

}  // namespace lowrank::adapter
