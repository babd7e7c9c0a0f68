#include "formats/checkpoint/single_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "base/error.h"
#include "formats/checkpoint/diffusers_folder.h"
#include "formats/checkpoint/stated_prediction.h"

namespace lowrank::formats {
namespace {

constexpr std::string_view kUnetRoot = "model.diffusion_model.", kVaeRoot = "first_stage_model.";

// What may follow a root; anything else (losses, averages, position_ids) is no parameter of the component.
constexpr std::array<std::string_view, 4> kTextParts = {"embeddings.", "encoder.layers.", "final_layer_norm.",
                                                        "text_projection."};
constexpr std::array<std::string_view, 6> kUnetParts = {"time_embed.",   "label_emb.",     "input_blocks.",
                                                        "middle_block.", "output_blocks.", "out."};
constexpr std::array<std::string_view, 4> kVaeParts = {"encoder.", "decoder.", "quant_conv.",
                                                       "post_quant_conv."};

bool starts_with_any(std::string_view text, std::span<const std::string_view> heads) {
  return std::any_of(heads.begin(), heads.end(),
                     [&](std::string_view head) { return text.starts_with(head); });
}

bool has_key_with(const weights::TensorFile& file, auto&& test) {
  const auto tensors = file.tensors();
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& view) { return test(std::string_view(view.name)); });
}

bool has_prefix(const weights::TensorFile& file, std::string_view prefix) {
  return has_key_with(file, [&](std::string_view key) { return key.starts_with(prefix); });
}

int positive_number(const Checkpoint& checkpoint, const std::string& key, const std::string& text) {
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size() || number < 1 || number > 1024) {
    throw Error(kBadInput, "{}: metadata {} is '{}', but must be a whole number from 1 to 1024; correct it.",
                checkpoint.path.string(), key, text);
  }
  return number;
}

}  // namespace

bool is_parameter(Component component, std::string_view name) {
  switch (component) {
    case Component::kTextEncoder:
    case Component::kTextEncoder2:
      return name != "embeddings.position_ids" && starts_with_any(name, kTextParts);
    case Component::kUnet:
      return starts_with_any(name, kUnetParts);
    case Component::kVae:
      return starts_with_any(name, kVaeParts);
  }
  return false;
}

NamedViews text_parameters(const TextEncoderRow& encoder, std::string_view name,
                           const weights::TensorView& view) {
  // transformers before 4.31 and since 5 leave the second part of the root out; some files hold either form.
  constexpr std::string_view kModel = "text_model.";
  if (name.starts_with(kModel)) name.remove_prefix(kModel.size());
  NamedViews parts = is_parameter(encoder.component, name)        ? NamedViews{{std::string(name), view}}
                     : encoder.kind == TextEncoderKind::kOpenClip ? open_clip_parameters(name, view)
                                                                  : NamedViews();
  if (!encoder.gives_pooled)
    std::erase_if(parts, [](const auto& part) { return part.first.starts_with("text_projection."); });
  return parts;
}

namespace {

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

void apply_metadata(Checkpoint& checkpoint) {
  for (const auto& [key, value] : checkpoint.metadata) {
    const auto number = [&] { return positive_number(checkpoint, key, value); };
    if (key == "lowrank.unet_heads") checkpoint.unet_heads = {.count = number()};
    if (key == "lowrank.unet_head_width") checkpoint.unet_heads = {.width = number()};
    if (key == "lowrank.text_heads") checkpoint.text_heads[Component::kTextEncoder] = number();
    if (key == "lowrank.text2_heads") checkpoint.text_heads[Component::kTextEncoder2] = number();
  }
}

}  // namespace lowrank::formats
