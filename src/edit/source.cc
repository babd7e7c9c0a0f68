#include "edit/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "adapter/adapter.h"
#include "adapter/match.h"
#include "base/error.h"
#include "formats/lora/lora_family.h"
#include "weights/tensor_view.h"

namespace lowrank::edit {
namespace {

using formats::Component;
using formats::LoraEntry;
using formats::LoraFile;

void refuse_mixed_families(std::span<const LoraFile> files) {
  const LoraFile* known = nullptr;
  for (const LoraFile& file : files) {
    if (file.base_model == formats::BaseModel::kOther) continue;
    if (known != nullptr && known->base_model != file.base_model)
      throw Error(kBadInput,
                  "{} is made for {} ({}) and {} for {} ({}); only LoRAs of one family can be combined.",
                  known->path.string(), formats::family_name(known->base_model), known->base_model_reason,
                  file.path.string(), formats::family_name(file.base_model), file.base_model_reason);
    known = &file;
  }
}

void refuse_empty(const LoraFile& file) {
  if (const std::string reason = formats::unusable_reason(file); !reason.empty())
    throw Error(kBadInput, "{}: {}.", file.path.string(), reason);
}

// The layer's shape as a module's own tensors show it; nullopt: they do not.
std::optional<formats::LayerSizes> own_shape(const LoraEntry& entry) {
  const auto shape = [&](std::string_view part) { return entry.parts.find(part)->second.shape; };
  const auto form = [](const weights::Shape& sizes) {
    return sizes.size() == 4   ? formats::LayerForm::kConvolution
           : sizes.size() == 1 ? formats::LayerForm::kNorm
                               : formats::LayerForm::kLinear;
  };
  weights::Shape sizes;
  switch (entry.kind) {
    case formats::AdapterKind::kLora:
    case formats::AdapterKind::kLocon:
    case formats::AdapterKind::kAdalora: {
      sizes = shape("lora_down.weight");
      if (sizes.size() < 2) return std::nullopt;
      sizes[0] = shape("lora_up.weight")[0];
      if (const auto mid = entry.parts.find("lora_mid.weight"); mid != entry.parts.end()) {
        if (mid->second.shape.size() != 4) return std::nullopt;
        sizes = {sizes[0], sizes[1], mid->second.shape[2], mid->second.shape[3]};
      }
      break;
    }
    case formats::AdapterKind::kFull:
      sizes = shape("diff");
      break;
    case formats::AdapterKind::kNorm:
      sizes = shape("w_norm");
      break;
    default:
      return std::nullopt;
  }
  if (sizes.empty()) return std::nullopt;
  return formats::LayerSizes{.form = form(sizes), .sizes = sizes};
}

// Names of checkpoints or of diffusers; nullopt: neither tells.
std::optional<bool> is_checkpoint_naming(const LoraEntry& entry) {
  if (entry.component != Component::kUnet) return std::nullopt;
  for (const std::string_view head : {"input_blocks_", "middle_block_", "output_blocks_"})
    if (entry.name.starts_with(head)) return true;
  for (const std::string_view head : {"down_blocks_", "mid_block_", "up_blocks_"})
    if (entry.name.starts_with(head)) return false;
  return std::nullopt;
}

void refuse_mixed_namings(std::span<const LoraFile> files) {
  std::optional<bool> known;
  for (const LoraFile& file : files)
    for (const LoraEntry& entry : file.entries) {
      const auto naming = is_checkpoint_naming(entry);
      if (naming && known && *naming != *known)
        throw Error(
            kBadInput,
            "{}: the files name their layers in two ways, and no published model has these layers; give the "
            "checkpoint with --base.",
            file.path.string());
      if (naming) known = naming;
    }
}

// A module whose layer only the file itself describes.
void add_by_own_shape(Source& source, const LoraEntry& entry) {
  const auto sizes = own_shape(entry);
  if (!sizes)
    throw Error(kBadInput,
                "{}: the module '{}' ({}) does not tell the shape of its layer, and no published model has "
                "the file's "
                "layers; give the checkpoint with --base.",
                source.file.path.string(), entry.module, formats::adapter_kind_name(entry.kind));
  const adapter::LayerShape shape = adapter::shape_of(*sizes);
  adapter::Fit fit = adapter::fit(adapter::as_module(entry, source.file.file), shape);
  if (const auto* misfit = std::get_if<adapter::Misfit>(&fit)) {
    source.left_out.push_back({entry.module, entry.keys(), misfit->reason});
    return;
  }
  source.modules.push_back({.entry = &entry,
                            .layer = {entry.component, entry.name},
                            .shape = shape,
                            .formula = std::get<adapter::Formula>(std::move(fit))});
}

void take_apart(Source& source, const Layers* layers) {
  source.left_out = source.file.skipped;
  if (layers == nullptr) {
    for (const LoraEntry& entry : source.file.entries) add_by_own_shape(source, entry);
    return;
  }
  const auto match = formats::match_lora(source.file, layers->model());
  if (match.is_foreign) {
    const std::string conflict = formats::family_conflict(source.file, layers->model().base_model);
    throw Error(
        kBadInput, "{}: {}; give a base checkpoint of the LoRA's family.", source.file.path.string(),
        conflict.empty() ? "its layers have other shapes than those of the base checkpoint" : conflict);
  }
  for (adapter::ModuleMatch& module : adapter::match_modules(source.file, layers->model(), match)) {
    if (const auto* misfit = std::get_if<adapter::Misfit>(&module.fit)) {
      source.left_out.push_back({module.entry->module, module.entry->keys(), misfit->reason});
      continue;
    }
    source.modules.push_back({.entry = module.entry,
                              .layer = std::move(module.layer),
                              .shape = std::move(module.shape),
                              .formula = std::get<adapter::Formula>(std::move(module.fit))});
  }
}

}  // namespace

Sources open_sources(std::span<const std::filesystem::path> paths, std::shared_ptr<const Layers> base) {
  std::vector<LoraFile> files;
  for (const auto& path : paths) {
    files.push_back(formats::open_lora(path));
    refuse_empty(files.back());
  }
  refuse_mixed_families(files);
  Sources sources;
  sources.layers = base ? std::move(base) : Layers::that_fit(files);
  if (!sources.layers) refuse_mixed_namings(files);
  for (LoraFile& file : files) {
    auto source = std::make_unique<Source>();
    source->file = std::move(file);
    take_apart(*source, sources.layers.get());
    if (source->modules.empty() && source->file.embeddings.empty())
      throw Error(kBadInput, "{}: none of its modules can be used; the first, '{}': {}.",
                  source->file.path.string(), source->left_out.empty() ? "" : source->left_out.front().module,
                  source->left_out.empty() ? "it has none" : source->left_out.front().reason);
    sources.files.push_back(std::move(source));
  }
  return sources;
}

std::string Sources::output_name(const formats::LayerAddress& layer) const {
  if (layers)
    if (std::string name = layers->kohya_name(layer); !name.empty()) return name;
  std::string flat = layer.path;
  std::ranges::replace(flat, '.', '_');
  if (layer.component == Component::kUnet) return "lora_unet_" + flat;
  const auto has_second = [](const std::unique_ptr<Source>& source) {
    return std::ranges::any_of(source->modules, [](const SourceModule& module) {
      return module.layer.component == Component::kTextEncoder2;
    });
  };
  const bool are_two = std::ranges::any_of(files, has_second);
  return fmt::format("lora_te{}_text_model_{}",
                     layer.component == Component::kTextEncoder2 ? "2"
                     : are_two                                   ? "1"
                                                                 : "",
                     flat);
}

std::vector<std::string> notes_of(const Sources& sources) {
  std::vector<std::string> notes;
  for (const auto& source : sources.files) {
    const std::string& name = source->file.name;
    for (const auto& skipped : source->left_out)
      notes.push_back(fmt::format("{}: '{}' was left out: {}", name, skipped.module, skipped.reason));
    if (!source->file.unknown.empty())
      notes.push_back(fmt::format("{}: {} unknown keys were left out, the first '{}'", name,
                                  source->file.unknown.size(), source->file.unknown.front()));
    for (const auto& note : source->file.notes) notes.push_back(fmt::format("{}: {}", name, note));
    for (const auto& module : source->modules)
      for (const auto& note : module.formula.notes) notes.push_back(fmt::format("{}: {}", name, note));
  }
  return notes;
}

bool needs_base(const adapter::Formula& formula) {
  return formula.depends_on_base || formula.takes_from_checkpoint || formula.bias_gain.defined() ||
         formula.whole_bias.defined();
}

void release(const SourceModule& module) {
  for (const auto& [part, view] : module.entry->parts) release(view.bytes);
}

}  // namespace lowrank::edit
