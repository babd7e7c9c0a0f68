#include "formats/checkpoint/partial_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace lowrank::formats {
namespace {

template <typename Test>
bool meets_any(const weights::TensorFile& file, const Test& test) {
  return std::ranges::any_of(
      file.tensors(), [&](const weights::TensorView& view) { return test(std::string_view(view.name)); });
}

bool begins_any(const weights::TensorFile& file, std::string_view prefix) {
  return meets_any(file, [&](std::string_view key) { return key.starts_with(prefix); });
}

// Of the first cross-attention.
std::int64_t width_of_context(const weights::TensorFile& file) {
  for (const weights::TensorView& view : file.tensors())
    if (view.name.ends_with("attn2.to_k.weight") && view.shape.size() == 2) return view.shape[1];
  return 0;
}

}  // namespace

std::string LoneUnet::described() const {
  const FamilyRow* row = family(model);
  return row == nullptr ? "a U-Net, alone"
                        : fmt::format("the U-Net of {} {} checkpoint, alone", row->article, row->name);
}

std::optional<LoneUnet> lone_unet(const weights::TensorFile& file) {
  // The way back up tells a U-Net from the half of one that a ControlNet is.
  constexpr std::array<std::string_view, 3> kRoots = {"model.diffusion_model.", "diffusion_model.", ""};
  constexpr std::array<std::string_view, 6> kOthers = {
      "cond_stage_model.", "conditioner.", "first_stage_model.", "vae.", "text_encoders.", "control_model."};
  if (std::ranges::any_of(kOthers, [&](std::string_view root) { return begins_any(file, root); })) return {};
  const FamilyRow* row = family_of_context(width_of_context(file));
  const BaseModel model = row == nullptr ? BaseModel::kOther : row->model;
  for (const std::string_view root : kRoots)
    if (begins_any(file, fmt::format("{}input_blocks.0.0.", root)) &&
        begins_any(file, fmt::format("{}output_blocks.0.", root)))
      return LoneUnet{.model = model, .root = root};
  if (begins_any(file, "down_blocks.") && begins_any(file, "up_blocks.") &&
      begins_any(file, "time_embedding."))
    return LoneUnet{.model = model, .root = "", .is_diffusers = true};
  return {};
}

std::vector<Component> missing_components(const Checkpoint& checkpoint) {
  std::vector<Component> wanted = {Component::kUnet};
  for (const TextEncoderRow& encoder : family(checkpoint.base_model)->text_encoders)
    wanted.push_back(encoder.component);
  wanted.push_back(Component::kVae);
  std::erase_if(wanted, [&](Component component) { return !checkpoint[component].empty(); });
  return wanted;
}

}  // namespace lowrank::formats
