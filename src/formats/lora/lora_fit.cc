#include "formats/lora/lora_fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "formats/digest.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/lora_summary.h"

namespace lowrank::formats {
namespace {

// Half of a LoRA would be silent nonsense, so nothing of it acts.
constexpr std::string_view kForeign = "the text-dependent layers do not fit this model";

// The layers of one component of a checkpoint, with their form told by name and shape.
LayerTable table_of(const ParameterViews& views) {
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
ModelLayers::Names names_of(Component component, const LayerTable& layers) {
  std::vector<std::string> paths;
  for (const auto& [path, layer] : layers) paths.push_back(path);
  return layer_names(component, paths);
}

// Keys and values of cross-attention see the text's width, which tells the families apart.
bool sees_text_width(const LoraEntry& entry) {
  return entry.component == Component::kUnet &&
         (entry.name.ends_with("attn2_to_k") || entry.name.ends_with("attn2_to_v"));
}

// The matrices that VeRA's and RandLoRA's modules share are drawn as large as the largest of all layers of the training,
// so that all of them must be there.
void measure_shared(const LoraFile& lora, const ModelLayers& model, LoraMatch& match) {
  std::map<Component, std::string> missing;
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    if (!draws_shared(entry)) continue;
    SharedSpan& span = match.spans[entry.component];
    if (!match.places[i].acts()) {
      missing.emplace(entry.component, entry.module);
      continue;
    }
    const LayerTable& layers = entry.component == Component::kUnet ? model.unet : model.text_encoder;
    const LayerSizes& layer = layers.find(match.places[i].path)->second;
    span.out = std::max(span.out, layer.out());
    span.in = std::max(span.in, layer.columns());
  }
  for (std::size_t i = 0; i < lora.entries.size() && !missing.empty(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    const auto lacking = missing.find(entry.component);
    if (lacking == missing.end() || !draws_shared(entry) || !match.places[i].acts()) continue;
    match.places[i].reason = fmt::format(
        "the matrices shared by its modules are sized for the largest of its layers, and '{}' has no match "
        "here; save it with save_projection",
        lacking->second);
  }
}

}  // namespace

bool draws_shared(const LoraEntry& entry) {
  const auto names = shared_parts(entry.kind);
  return names && !entry.parts.contains(names->a) && !(entry.shared && entry.shared->contains(names->a));
}

LoraMatch match_lora(const LoraFile& lora, const ModelLayers& model) {
  LoraMatch match;
  std::map<std::pair<Component, std::string>, int> addressed;
  for (const LoraEntry& entry : lora.entries) {
    const auto& names = entry.component == Component::kUnet ? model.unet_names : model.text_names;
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
      const LayerTable& layers = entry.component == Component::kUnet ? model.unet : model.text_encoder;
      ShapeFit fit = fit_shapes(shapes_of(entry), layers.find(place.path)->second);
      if (sees_text_width(entry)) ++(fit.fits() ? fitting : misfitting);
      place.reason = std::move(fit.reason);
      place.is_narrow = fit.is_narrow;
    }
  }
  measure_shared(lora, model, match);
  match.is_foreign = misfitting > 0 && fitting == 0;
  return match;
}

ModelLayers layers_of(LayerTable unet, LayerTable text_encoder) {
  ModelLayers model{
      .unet = std::move(unet), .text_encoder = std::move(text_encoder), .unet_names = {}, .text_names = {}};
  model.unet_names = names_of(Component::kUnet, model.unet);
  model.text_names = names_of(Component::kTextEncoder, model.text_encoder);
  return model;
}

ModelLayers layers_of(const Checkpoint& checkpoint) {
  ModelLayers model = layers_of(table_of(checkpoint.unet), table_of(checkpoint.text_encoder));
  const auto words = checkpoint.text_encoder.find("embeddings.token_embedding.weight");
  if (words != checkpoint.text_encoder.end() && words->second.shape.size() >= 2)
    model.text_width = words->second.shape[1];
  model.base_model = checkpoint.base_model;
  return model;
}

std::int64_t layout_digest(const Checkpoint& checkpoint) {
  std::string text(architecture_name(checkpoint.base_model));
  for (const auto* views : {&checkpoint.unet, &checkpoint.text_encoder})
    for (const auto& [name, view] : *views)
      text += fmt::format("{}{}{}\n", views == &checkpoint.unet ? "u " : "t ", name,
                          weights::shape_text(view.shape));
  return digest(text);
}

std::int64_t layout_digest(const LoraFile& lora) {
  std::string text = fmt::format("{} {}\n", lora.entries.size(), unusable_reason(lora).empty());
  for (const LoraEntry& entry : lora.entries) {
    const ModuleShapes shapes = shapes_of(entry);
    text += fmt::format("{} {} {} {} {} {} {} {}", component_name(entry.component), entry.name,
                        static_cast<int>(entry.kind), shapes.facts.on_input, shapes.facts.rows,
                        shapes.facts.columns, shapes.facts.is_magnitude_of_outputs, draws_shared(entry));
    for (const auto& [part, shape] : shapes.parts)
      text += fmt::format(" {}{}", part, weights::shape_text(shape));
    text += '\n';
  }
  for (const BundledEmbedding& embedding : lora.embeddings)
    text += fmt::format("{}\n", weights::shape_text(embedding.vectors.shape));
  return digest(text);
}

LoraFit fit_lora(const LoraFile& lora, const ModelLayers& model) {
  LoraFit fit;
  if (lora.base_model != BaseModel::kOther && lora.base_model != model.base_model)
    fit.family =
        fmt::format("the file is {} ({}), but the checkpoint is {}", architecture_name(lora.base_model),
                    lora.base_model_reason, architecture_name(model.base_model));
  const LoraMatch match = match_lora(lora, model);
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
  for (const BundledEmbedding& embedding : lora.embeddings) {
    std::string reason =
        match.is_foreign ? std::string(kForeign) : embedding_misfit(embedding, model.text_width);
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
  return fmt::format("the embedding '{}' has width {}, but this model's text encoder has {}", embedding.name,
                     embedding.vectors.shape[1], width);
}

std::string fit_verdict(const LoraFit& fit) {
  const int applied = fit.applied_unet + fit.applied_text + fit.embeddings;
  if (!fit.applies())
    return "does not apply: " + (!fit.unusable.empty() ? fit.unusable
                                 : !fit.family.empty() ? fit.family
                                                       : std::string("none of its modules fit"));
  const std::size_t modules = fit.unmet.size() + static_cast<std::size_t>(applied);
  const std::int64_t keys = fit.keys_applied + fit.keys_skipped + fit.keys_unknown;
  const auto left = fit.keys_skipped + fit.keys_unknown;
  if (left == 0) return fmt::format("applies fully: {} of {} modules, all {} keys", applied, modules, keys);
  return fmt::format("applies in part: {} of {} modules, {} of {} keys", applied, modules, fit.keys_applied,
                     keys);
}

}  // namespace lowrank::formats
