#include "formats/checkpoint/single_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "formats/checkpoint/component_parameters.h"
#include "formats/checkpoint/diffusers_folder.h"
#include "formats/checkpoint/stated_prediction.h"

namespace lowrank::formats {
namespace {

constexpr std::string_view kUnetRoot = "model.diffusion_model.", kVaeRoot = "first_stage_model.";

bool has_key_with(const weights::TensorFile& file, auto&& test) {
  const auto tensors = file.tensors();
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& view) { return test(std::string_view(view.name)); });
}

bool has_prefix(const weights::TensorFile& file, std::string_view prefix) {
  return has_key_with(file, [&](std::string_view key) { return key.starts_with(prefix); });
}

// Files that were made of a diffusers folder have 23 layers and lack the one that is not read.
int unread_layers(const ParameterViews& encoder) {
  return encoder.contains("encoder.layers.22.mlp.fc1.weight") &&
                 !encoder.contains("encoder.layers.23.mlp.fc1.weight")
             ? 0
             : 1;
}

struct Placed {
  Component component;
  NamedViews parameters;
};

// Where a tensor of a single file belongs; no parameters: nowhere.
Placed place(const weights::TensorView& view, const FamilyRow& family) {
  const std::string_view name = view.name;
  for (const auto& [root, component] :
       {std::pair(kUnetRoot, Component::kUnet), std::pair(kVaeRoot, Component::kVae)}) {
    if (!name.starts_with(root)) continue;
    const std::string_view rest = name.substr(root.size());
    if (!is_parameter(component, rest)) return {component, {}};
    return {component, {{std::string(rest), view}}};
  }
  for (const TextEncoderRow& encoder : family.text_encoders)
    if (name.starts_with(encoder.root))
      return {encoder.component, text_parameters(encoder, name.substr(encoder.root.size()), view)};
  return {};
}

}  // namespace

Checkpoint read_single_file(std::shared_ptr<const weights::TensorFile> file, const FamilyRow& family) {
  Checkpoint checkpoint;
  checkpoint.path = file->path();
  checkpoint.base_model = family.model;
  checkpoint.prediction = family.prediction;
  checkpoint.metadata = file->metadata();
  for (const weights::TensorView& view : file->tensors()) {
    Placed placed = place(view, family);
    if (placed.parameters.empty()) {
      checkpoint.unused.push_back(view.name);
      continue;
    }
    for (auto& [name, parameter] : placed.parameters) {
      const auto [known, is_new] =
          checkpoint[placed.component].emplace(std::move(name), std::move(parameter));
      if (!is_new)
        throw Error(kBadInput, "{}: '{}' and '{}' are the same parameter; the file was merged incorrectly.",
                    checkpoint.path.string(), known->second.name, view.name);
    }
  }
  for (const TextEncoderRow& encoder : family.text_encoders)
    if (encoder.layer == TextLayer::kPenultimateNormed)
      checkpoint.unread_text_layers = unread_layers(checkpoint[encoder.component]);
  checkpoint.files.push_back(std::move(file));
  apply_metadata(checkpoint);
  apply_stated_prediction(checkpoint);
  return checkpoint;
}

Checkpoint read_unet_file(std::shared_ptr<const weights::TensorFile> file, const LoneUnet& unet,
                          const FamilyRow& family) {
  Checkpoint checkpoint;
  checkpoint.path = file->path();
  checkpoint.base_model = family.model;
  checkpoint.prediction = family.prediction;
  checkpoint.metadata = file->metadata();
  if (unet.is_diffusers) {
    add_diffusers_unet(checkpoint, file->tensors(), "");
  } else {
    for (const weights::TensorView& view : file->tensors()) {
      const std::string_view name = view.name;
      const std::string_view rest = name.starts_with(unet.root) ? name.substr(unet.root.size()) : "";
      if (is_parameter(Component::kUnet, rest)) {
        checkpoint[Component::kUnet].emplace(rest, view);
      } else {
        checkpoint.unused.push_back(view.name);
      }
    }
  }
  checkpoint.files.push_back(std::move(file));
  apply_metadata(checkpoint);
  apply_stated_prediction(checkpoint);
  return checkpoint;
}

Checkpoint read_vae_file(std::shared_ptr<const weights::TensorFile> file) {
  Checkpoint checkpoint;
  checkpoint.path = file->path();
  checkpoint.metadata = file->metadata();
  if (has_prefix(*file, "decoder.mid_block.")) {
    add_diffusers_vae(checkpoint, file->tensors(), "");
  } else {
    for (const weights::TensorView& view : file->tensors()) {
      std::string name = view.name.starts_with(kVaeRoot) ? view.name.substr(kVaeRoot.size()) : view.name;
      if (!is_parameter(Component::kVae, name)) {
        checkpoint.unused.push_back(view.name);
      } else if (!checkpoint[Component::kVae].emplace(name, view).second) {
        throw Error(kBadInput,
                    "{}: '{}' occurs with and without its prefix; the file was merged incorrectly.",
                    checkpoint.path.string(), name);
      }
    }
  }
  checkpoint.files.push_back(std::move(file));
  return checkpoint;
}

BaseModel recognise_checkpoint(const weights::TensorFile& file) {
  // A text encoder alone is no checkpoint.
  const bool has_unet = has_prefix(file, "model.diffusion_model.input_blocks.");
  for (const FamilyRow& row : family_table())
    if (has_unet && has_prefix(file, row.mark)) return row.model;
  for (const weights::TensorView& view : file.tensors()) {
    if (!view.name.starts_with(kUnetRoot) || !view.name.ends_with("attn2.to_k.weight") ||
        view.shape.size() != 2)
      continue;
    const FamilyRow* row = family_of_context(view.shape[1]);
    return row == nullptr ? BaseModel::kOther : row->model;
  }
  return BaseModel::kOther;
}

}  // namespace lowrank::formats
