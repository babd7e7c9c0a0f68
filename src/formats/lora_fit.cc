#include "formats/lora_fit.h"

#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "formats/lora_summary.h"

namespace lowrank::formats {
namespace {

// Half of a LoRA would be silent nonsense, so nothing of it acts.
constexpr std::string_view kForeign = "what sees the text does not fit this model";

// The layers of one component of a checkpoint, with their form told by name and shape.
LayerTable layers_of(const ParameterViews& views) {
  constexpr std::string_view kWeight = ".weight";
  LayerTable layers;
  for (const auto& [name, view] : views) {
    if (!name.ends_with(kWeight)) continue;
    LayerSizes layer{.form = LayerForm::kLinear, .sizes = view.shape};
    if (view.shape.size() == 4) layer.form = LayerForm::kConvolution;
    if (view.shape.size() == 1) layer.form = LayerForm::kNorm;
    if (name.ends_with("_embedding.weight")) layer.form = LayerForm::kEmbedding;
    layers.emplace(name.substr(0, name.size() - kWeight.size()), std::move(layer));
  }
  return layers;
}

// Under every name that files use → path.
std::map<std::string, std::string, std::less<>> names_of(Component component, const LayerTable& layers) {
  std::vector<std::string> paths;
  for (const auto& [path, layer] : layers) paths.push_back(path);
  return layer_names(component, paths);
}

// Keys and values of cross-attention see the text's width, which tells the families apart.
bool sees_text_width(const LoraEntry& entry) {
  return entry.component == Component::kUnet &&
         (entry.name.ends_with("attn2_to_k") || entry.name.ends_with("attn2_to_v"));
}

}  // namespace

LoraMatch match_lora(const LoraFile& lora, const LayerTable& unet, const LayerTable& text_encoder) {
  const auto unet_names = names_of(Component::kUnet, unet);
  const auto text_names = names_of(Component::kTextEncoder, text_encoder);
  LoraMatch match;
  std::map<std::pair<Component, std::string>, int> addressed;
  for (const LoraEntry& entry : lora.entries) {
    const auto& names = entry.component == Component::kUnet ? unet_names : text_names;
    const auto name = names.find(entry.name);
    match.places.push_back({.path = name == names.end() ? std::string() : name->second, .reason = {}});
    if (name != names.end()) ++addressed[{entry.component, name->second}];
  }
  int fitting = 0, misfitting = 0;  // of those that see the text
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    EntryPlace& place = match.places[i];
    if (place.path.empty()) {
      place.reason = fmt::format("this model's {} has no such layer", component_name(entry.component));
    } else if (addressed[{entry.component, place.path}] > 1) {
      place.reason = fmt::format("the layer '{}' is addressed twice under different names", place.path);
    } else {
      const LayerTable& layers = entry.component == Component::kUnet ? unet : text_encoder;
      ShapeFit fit = fit_shapes(shapes_of(entry), layers.find(place.path)->second);
      if (sees_text_width(entry)) ++(fit.fits() ? fitting : misfitting);
      place.reason = std::move(fit.reason);
      place.is_narrow = fit.is_narrow;
    }
  }
  match.is_foreign = misfitting > 0 && fitting == 0;
  return match;
}

LoraFit fit_lora(const LoraFile& lora, const Checkpoint& checkpoint) {
  LoraFit fit;
  if (lora.base_model != BaseModel::kOther && lora.base_model != checkpoint.base_model)
    fit.family = fmt::format("the file is {} ({}), the checkpoint {}", architecture_name(lora.base_model),
                             lora.base_model_reason, architecture_name(checkpoint.base_model));
  const LoraMatch match = match_lora(lora, layers_of(checkpoint.unet), layers_of(checkpoint.text_encoder));
  fit.unusable = unusable_reason(lora);
  fit.keys_unknown = static_cast<std::int64_t>(lora.unknown.size());
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    const EntryPlace& place = match.places[i];
    const auto keys = static_cast<std::int64_t>(entry.parts.size());
    if (place.acts() && !match.is_foreign) {
      ++(entry.component == Component::kUnet ? fit.applied_unet : fit.applied_text);
      fit.keys_applied += keys;
      continue;
    }
    fit.keys_skipped += keys;
    fit.unmet.push_back({entry.module, place.acts() ? std::string(kForeign) : place.reason});
  }
  const auto words = checkpoint.text_encoder.find("embeddings.token_embedding.weight");
  const std::int64_t width =
      words == checkpoint.text_encoder.end() || words->second.shape.size() < 2 ? 0 : words->second.shape[1];
  for (const BundledEmbedding& embedding : lora.embeddings) {
    std::string reason = match.is_foreign ? std::string(kForeign) : embedding_misfit(embedding, width);
    ++(reason.empty() ? fit.keys_applied : fit.keys_skipped);
    if (reason.empty()) {
      ++fit.embeddings;
    } else {
      fit.unmet.push_back({module_of(embedding), std::move(reason)});
    }
  }
  for (const SkippedKeys& skipped : lora.skipped) {
    fit.unmet.push_back({skipped.module, skipped.reason});
    fit.keys_skipped += static_cast<std::int64_t>(skipped.keys.size());
  }
  return fit;
}

std::string module_of(const BundledEmbedding& embedding) {
  return embedding.vectors.name.substr(0, embedding.vectors.name.rfind('.'));
}

std::string embedding_misfit(const BundledEmbedding& embedding, std::int64_t width) {
  if (embedding.vectors.shape[1] == width) return "";
  return fmt::format("the embedding '{}' is {} wide, this model's text encoder {}", embedding.name,
                     embedding.vectors.shape[1], width);
}

std::string fit_verdict(const LoraFit& fit) {
  const int applied = fit.applied_unet + fit.applied_text + fit.embeddings;
  if (!fit.applies())
    return "does not apply: " + (!fit.unusable.empty() ? fit.unusable
                                 : !fit.family.empty() ? fit.family
                                                       : std::string("none of its modules fits"));
  const std::size_t modules = fit.unmet.size() + static_cast<std::size_t>(applied);
  const std::int64_t keys = fit.keys_applied + fit.keys_skipped + fit.keys_unknown;
  const auto left = fit.keys_skipped + fit.keys_unknown;
  if (left == 0) return fmt::format("applies fully: {} of {} modules, all {} keys", applied, modules, keys);
  return fmt::format("applies in part: {} of {} modules, {} of {} keys", applied, modules, fit.keys_applied,
                     keys);
}

}  // namespace lowrank::formats
