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

struct Root {
  std::string_view prefix;
  Component component;
};

// Longest first. The second form of the text encoder was written by transformers 4.30 and earlier
// conversions.
constexpr std::array kRoots = {
    Root{"cond_stage_model.transformer.text_model.", Component::kTextEncoder},
    Root{"cond_stage_model.transformer.", Component::kTextEncoder},
    Root{"model.diffusion_model.", Component::kUnet},
    Root{"first_stage_model.", Component::kVae},
};

// What may follow a root; anything else (losses, averages, position_ids) is no parameter of the component.
constexpr std::array<std::string_view, 3> kTextParts = {"embeddings.", "encoder.layers.",
                                                        "final_layer_norm."};
constexpr std::array<std::string_view, 5> kUnetParts = {"time_embed.", "input_blocks.", "middle_block.",
                                                        "output_blocks.", "out."};
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

const ParameterViews& views_of(const Checkpoint& checkpoint, Component component) {
  switch (component) {
    case Component::kTextEncoder:
      return checkpoint.text_encoder;
    case Component::kTextEncoder2:
      return checkpoint.text_encoder_2;
    case Component::kUnet:
      return checkpoint.unet;
    case Component::kVae:
      break;
  }
  return checkpoint.vae;
}

ParameterViews& views_of(Checkpoint& checkpoint, Component component) {
  return const_cast<ParameterViews&>(views_of(std::as_const(checkpoint), component));
}

Checkpoint read_single_file(std::shared_ptr<const weights::TensorFile> file) {
  Checkpoint checkpoint;
  checkpoint.path = file->path();
  checkpoint.metadata = file->metadata();
  for (const weights::TensorView& view : file->tensors()) {
    const auto root = std::find_if(kRoots.begin(), kRoots.end(),
                                   [&](const Root& row) { return view.name.starts_with(row.prefix); });
    std::string name = root == kRoots.end() ? "" : view.name.substr(root->prefix.size());
    if (root == kRoots.end() || !is_parameter(root->component, name)) {
      checkpoint.unused.push_back(view.name);
      continue;
    }
    const auto [place, is_new] = views_of(checkpoint, root->component).emplace(std::move(name), view);
    if (!is_new) {
      throw Error(kBadInput, "{}: '{}' and '{}' are the same parameter; the file was merged incorrectly.",
                  checkpoint.path.string(), place->second.name, view.name);
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
    constexpr std::string_view kRoot = "first_stage_model.";
    for (const weights::TensorView& view : file->tensors()) {
      std::string name = view.name.starts_with(kRoot) ? view.name.substr(kRoot.size()) : view.name;
      if (!is_parameter(Component::kVae, name)) {
        checkpoint.unused.push_back(view.name);
      } else if (!checkpoint.vae.emplace(name, view).second) {
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
  constexpr std::string_view kUnet = "model.diffusion_model.";
  // What is to be drawn with must have a U-Net; of other families the text encoder is enough to name them.
  const bool has_unet = has_prefix(file, "model.diffusion_model.input_blocks.");
  for (const FamilyRow& row : family_table())
    if (has_prefix(file, row.mark) && (has_unet || !row.is_drawn)) return row.model;
  for (const weights::TensorView& view : file.tensors()) {
    if (!view.name.starts_with(kUnet) || !view.name.ends_with("attn2.to_k.weight") || view.shape.size() != 2)
      continue;
    const FamilyRow* row = family_of_context(view.shape[1]);
    return row == nullptr ? BaseModel::kOther : row->model;
  }
  return BaseModel::kOther;
}

void apply_metadata(Checkpoint& checkpoint) {
  for (const auto& [key, value] : checkpoint.metadata) {
    if (key == "lowrank.unet_heads") checkpoint.unet_heads = positive_number(checkpoint, key, value);
    if (key == "lowrank.text_heads") checkpoint.text_heads = positive_number(checkpoint, key, value);
  }
}

}  // namespace lowrank::formats
