#include "formats/lora/lora_fit.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "formats/checkpoint/component_parameters.h"
#include "formats/checkpoint/single_file.h"
#include "formats/digest.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/lora_family.h"

namespace lowrank::formats {
namespace {

// Half of a LoRA would be silent nonsense, so nothing of it acts.
constexpr std::string_view kForeign = "the LoRA is made for another family, so nothing of it is applied";

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

// Of those that LoRAs change.
constexpr std::array kAdaptable = {Component::kTextEncoder, Component::kTextEncoder2, Component::kUnet};

const LayerSizes* layer_at(const ModelLayers& model, Component component, std::string_view path) {
  const auto part = model.parts.find(component);
  if (part == model.parts.end()) return nullptr;
  const auto layer = part->second.layers.find(path);
  return layer == part->second.layers.end() ? nullptr : &layer->second;
}

EntryPlace place_in(const ModelLayers& model, Component component, const LoraEntry& entry) {
  EntryPlace place{.component = component, .path = {}, .reason = {}};
  const auto part = model.parts.find(component);
  if (part == model.parts.end()) return place;
  const auto name = part->second.names.find(entry.name);
  if (name != part->second.names.end()) place.path = name->second;
  return place;
}

// Names without a number ("lora_te_") may mean either of two text encoders: the one that more of them fit, the first where
// they are even.
Component unnumbered_encoder(const LoraFile& lora, const ModelLayers& model) {
  if (!model.parts.contains(Component::kTextEncoder2)) return Component::kTextEncoder;
  std::map<Component, std::pair<int, int>> fitting;  // by shape, by name
  for (const LoraEntry& entry : lora.entries) {
    if (entry.number != EncoderNumber::kNone || !is_text_encoder(entry.component)) continue;
    for (const Component component : {Component::kTextEncoder, Component::kTextEncoder2}) {
      const auto* layer = layer_at(model, component, place_in(model, component, entry).path);
      if (layer == nullptr) continue;
      ++fitting[component].second;
      if (fit_shapes(shapes_of(entry), *layer).fits()) ++fitting[component].first;
    }
  }
  return fitting[Component::kTextEncoder2] > fitting[Component::kTextEncoder] ? Component::kTextEncoder2
                                                                              : Component::kTextEncoder;
}

std::string no_layer(const ModelLayers& model, const EntryPlace& place) {
  if (!model.parts.contains(place.component))
    return fmt::format("this model has no {}", component_name(place.component));
  return fmt::format("this model's {} has no such layer", component_name(place.component));
}

// The other one, where there are two and the entry's name says which it is for.
std::string mixed_up_encoder(const ModelLayers& model, const EntryPlace& place, const LoraEntry& entry) {
  const FamilyRow* row = family(model.base_model);
  if (row == nullptr || row->text_encoders.size() < 2 || entry.number != EncoderNumber::kStated) return "";
  for (const TextEncoderRow& encoder : row->text_encoders) {
    if (encoder.component == place.component) continue;
    const auto* layer = layer_at(model, encoder.component, place_in(model, encoder.component, entry).path);
    if (layer == nullptr || !fit_shapes(shapes_of(entry), *layer).fits()) continue;
    const TextEncoderRow& named = *text_encoder(*row, place.component);
    return fmt::format(
        "it has the shapes of the {}, although its name says the {}; rename its keys in the way of {}… (not "
        "{}…), or get the file again from its maker",
        component_name(encoder.component), component_name(place.component), encoder.kohya_prefix,
        named.kohya_prefix);
  }
  return "";
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
    const Component component = match.places[i].component;
    SharedSpan& span = match.spans[component];
    if (!match.places[i].acts()) {
      missing.emplace(component, entry.module);
      continue;
    }
    const LayerSizes& layer = *layer_at(model, component, match.places[i].path);
    span.out = std::max(span.out, layer.out());
    span.in = std::max(span.in, layer.columns());
  }
  for (std::size_t i = 0; i < lora.entries.size() && !missing.empty(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    const auto lacking = missing.find(match.places[i].component);
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
  const Component unnumbered = unnumbered_encoder(lora, model);
  std::map<std::pair<Component, std::string>, int> addressed;
  for (const LoraEntry& entry : lora.entries) {
    const bool is_open = entry.number == EncoderNumber::kNone && is_text_encoder(entry.component);
    match.places.push_back(place_in(model, is_open ? unnumbered : entry.component, entry));
    const EntryPlace& place = match.places.back();
    if (!place.path.empty()) ++addressed[{place.component, place.path}];
  }
  int fitting = 0, misfitting = 0;   // of those that see the text
  int in_unet = 0, out_of_unet = 0;  // of the U-Net's
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    EntryPlace& place = match.places[i];
    if (place.path.empty()) {
      place.reason = mixed_up_encoder(model, place, entry);
      if (place.reason.empty()) place.reason = no_layer(model, place);
    } else if (addressed[{place.component, place.path}] > 1) {
      place.reason = fmt::format("the layer '{}' is addressed twice under different names", place.path);
    } else {
      ShapeFit fit = fit_shapes(shapes_of(entry), *layer_at(model, place.component, place.path));
      if (sees_text_width(entry)) ++(fit.fits() ? fitting : misfitting);
      place.reason = std::move(fit.reason);
      if (!place.reason.empty())
        if (std::string mixed_up = mixed_up_encoder(model, place, entry); !mixed_up.empty())
          place.reason = std::move(mixed_up);
      place.is_narrow = fit.is_narrow;
    }
    if (entry.component == Component::kUnet) ++(place.acts() ? in_unet : out_of_unet);
  }
  measure_shared(lora, model, match);
  // Some layers of another family have the same names and sizes; what a part of a LoRA does there is nonsense.
  const bool is_other_family = !family_conflict(lora, model.base_model).empty();
  match.is_foreign = (misfitting > 0 && fitting == 0) || (is_other_family && out_of_unet > 0);
  return match;
}

ModelLayers layers_of(std::map<Component, LayerTable> tables, BaseModel base_model) {
  ModelLayers model{.parts = {}, .text_widths = {}, .base_model = base_model};
  for (auto& [component, layers] : tables) {
    std::vector<std::string> paths;
    for (const auto& [path, layer] : layers) paths.push_back(path);
    auto names = layer_names(component, paths);
    if (const auto words = layers.find("embeddings.token_embedding");
        is_text_encoder(component) && words != layers.end())
      model.text_widths.emplace(component, words->second.in());
    model.parts.emplace(component, ModelLayers::Part{std::move(layers), std::move(names)});
  }
  return model;
}

ModelLayers layers_of(const Checkpoint& checkpoint) {
  std::map<Component, LayerTable> tables;
  for (const Component component : kAdaptable)
    if (const auto& views = checkpoint[component]; !views.empty()) tables.emplace(component, table_of(views));
  return layers_of(std::move(tables), checkpoint.base_model);
}

std::int64_t layout_digest(const Checkpoint& checkpoint) {
  std::string text(architecture_name(checkpoint.base_model));
  for (const Component component : kAdaptable)
    for (const auto& [name, view] : checkpoint[component])
      text += fmt::format("{} {}{}\n", component_name(component), name, weights::shape_text(view.shape));
  return digest(text);
}

std::int64_t layout_digest(const LoraFile& lora) {
  std::string text = fmt::format("{} {} {}\n", lora.entries.size(), unusable_reason(lora).empty(),
                                 architecture_name(lora.base_model));
  for (const LoraEntry& entry : lora.entries) {
    const ModuleShapes shapes = shapes_of(entry);
    text += fmt::format("{} {} {} {} {} {} {} {} {}", component_name(entry.component),
                        static_cast<int>(entry.number), entry.name, static_cast<int>(entry.kind),
                        shapes.facts.on_input, shapes.facts.rows, shapes.facts.columns,
                        shapes.facts.is_magnitude_of_outputs, draws_shared(entry));
    for (const auto& [part, shape] : shapes.parts)
      text += fmt::format(" {}{}", part, weights::shape_text(shape));
    text += '\n';
  }
  for (const BundledEmbedding& embedding : lora.embeddings)
    for (const auto& [component, view] : embedding.vectors.of)
      text += fmt::format("{} {}\n", component_name(component), weights::shape_text(view.shape));
  return digest(text);
}

std::string family_conflict(const LoraFile& lora, BaseModel model) {
  const FamilyRow *own = family(lora.base_model), *other = family(model);
  if (own == nullptr || other == nullptr || own == other) return "";
  return fmt::format("made for {} ({}); this is {} {} checkpoint", own->name, lora.base_model_reason,
                     other->article, other->name);
}

LoraFit fit_lora(const LoraFile& lora, const ModelLayers& model) {
  LoraFit fit;
  fit.family = family_conflict(lora, model.base_model);
  const LoraMatch match = match_lora(lora, model);
  fit.unusable = unusable_reason(lora);
  fit.keys_unknown = static_cast<std::int64_t>(lora.unknown.size());
  for (std::size_t i = 0; i < lora.entries.size(); ++i) {
    const LoraEntry& entry = lora.entries[i];
    const EntryPlace& place = match.places[i];
    const auto keys = static_cast<std::int64_t>(entry.counts_keys ? entry.parts.size() : 0);
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
        match.is_foreign ? std::string(kForeign) : embedding_misfit(embedding, model.text_widths);
    (reason.empty() ? fit.keys_applied : fit.keys_skipped) +=
        static_cast<std::int64_t>(embedding.vectors.of.size());
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
  return "bundle_emb." + embedding.name;
}

std::string embedding_misfit(const BundledEmbedding& embedding, const TextWidths& widths) {
  const auto reason = vectors_misfit(embedding.vectors, widths);
  return reason.empty() ? "" : fmt::format("the embedding '{}': {}", embedding.name, reason);
}

std::string fitting_text(std::span<const std::string> checkpoints) {
  constexpr std::size_t kNamed = 3;  // enough to choose from; the sentence stays one
  if (checkpoints.empty()) return "none of your checkpoints fits";
  const auto named = checkpoints.first(std::min(kNamed, checkpoints.size()));
  std::string text = fmt::format("these of your checkpoints fit: {}", fmt::join(named, ", "));
  if (checkpoints.size() > kNamed) text += fmt::format(" and {} more", checkpoints.size() - kNamed);
  return text;
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
