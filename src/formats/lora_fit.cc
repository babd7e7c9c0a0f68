#include "formats/lora_fit.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "formats/lora_summary.h"

namespace lowrank::formats {
namespace {

using weights::Shape;

// The weight that a module changes, as rows and all the rest. 0: its tensors do not tell.
struct Extent {
  std::int64_t out = 0, in = 0;
};

const Shape* shape_of(const LoraEntry& entry, std::string_view part) {
  const auto found = entry.parts.find(part);
  return found == entry.parts.end() ? nullptr : &found->second.shape;
}

std::int64_t at(const Shape* shape, std::size_t index) {
  return shape == nullptr || shape->size() <= index ? 0 : (*shape)[index];
}

// Product of the dimensions from `first` on; dimensions come from a checked header, so it does not overflow.
std::int64_t product(const Shape* shape, std::size_t first) {
  std::int64_t value = 1;
  for (std::size_t i = first; shape != nullptr && i < shape->size(); ++i) value *= (*shape)[i];
  return value;
}

// Shapes of the factors: the table of adapter kinds, LyCORIS and kohya.
Extent extent_of(const LoraEntry& entry) {
  switch (entry.kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon: {
      const Shape *down = shape_of(entry, "lora_down.weight"), *mid = shape_of(entry, "lora_mid.weight");
      return {at(shape_of(entry, "lora_up.weight"), 0),
              product(down, 1) * (mid == nullptr ? 1 : product(mid, 2))};
    }
    case AdapterKind::kLoha: {
      const Shape *a = shape_of(entry, "hada_w1_a"), *b = shape_of(entry, "hada_w1_b"),
                  *t = shape_of(entry, "hada_t1");
      if (t != nullptr) return {at(a, 1), at(b, 1) * product(t, 2)};
      return {at(a, 0), at(b, 1)};
    }
    case AdapterKind::kLokr: {
      const Shape *w1 = shape_of(entry, "lokr_w1"), *w2 = shape_of(entry, "lokr_w2"),
                  *t2 = shape_of(entry, "lokr_t2");
      const Extent first =
          w1 != nullptr ? Extent{at(w1, 0), at(w1, 1)}
                        : Extent{at(shape_of(entry, "lokr_w1_a"), 0), at(shape_of(entry, "lokr_w1_b"), 1)};
      Extent second = w2 != nullptr
                          ? Extent{at(w2, 0), product(w2, 1)}
                          : Extent{at(shape_of(entry, "lokr_w2_a"), 0), at(shape_of(entry, "lokr_w2_b"), 1)};
      if (t2 != nullptr)
        second = {at(shape_of(entry, "lokr_w2_a"), 1), at(shape_of(entry, "lokr_w2_b"), 1) * product(t2, 2)};
      return {first.out * second.out, first.in * second.in};
    }
    case AdapterKind::kFull:
      return {at(shape_of(entry, "diff"), 0), product(shape_of(entry, "diff"), 1)};
    case AdapterKind::kNorm:
      return {at(shape_of(entry, "w_norm"), 0), 1};
    case AdapterKind::kOft: {
      const Shape* blocks = shape_of(entry, "oft_blocks");
      if (blocks == nullptr) blocks = shape_of(entry, "oft_diag");
      return {at(blocks, 0) * at(blocks, 1), 0};
    }
    case AdapterKind::kBoft: {
      const Shape* blocks = shape_of(entry, "oft_blocks");
      return {at(blocks, 1) * at(blocks, 2), 0};
    }
    case AdapterKind::kIa3:
    case AdapterKind::kGlora:
      return {};
  }
  return {};
}

// Layers of one component and the shapes of their weights.
struct Layers {
  std::map<std::string, std::string, std::less<>> names;  // as a LoRA may say it → path
  std::map<std::string, const Shape*, std::less<>> shapes;
};

Layers layers_of(Component component, const ParameterViews& views) {
  constexpr std::string_view kWeight = ".weight";
  Layers layers;
  std::vector<std::string> paths;
  for (const auto& [name, view] : views) {
    if (!name.ends_with(kWeight)) continue;
    paths.push_back(name.substr(0, name.size() - kWeight.size()));
    layers.shapes.emplace(paths.back(), &view.shape);
  }
  layers.names = layer_names(component, paths);
  return layers;
}

std::optional<std::string> reason_against(const LoraEntry& entry, const Layers& layers) {
  const auto name = layers.names.find(entry.name);
  if (name == layers.names.end()) return "the checkpoint has no such layer";
  const Shape& shape = *layers.shapes.find(name->second)->second;
  const Extent extent = extent_of(entry);
  const std::int64_t out = at(&shape, 0), in = product(&shape, 1);
  // An inpainting model's first convolution has five more input channels, which stay as they are.
  const bool is_inpainting =
      entry.name == "conv_in" && shape.size() == 4 && shape[1] == 9 && extent.in * 9 == in * 4;
  if ((extent.out != 0 && extent.out != out) || (extent.in != 0 && extent.in != in && !is_inpainting))
    return fmt::format("it changes a weight of {} x {}, the layer's is {}", extent.out, extent.in,
                       weights::shape_text(shape));
  return std::nullopt;
}

}  // namespace

LoraFit fit_lora(const LoraFile& lora, const Checkpoint& checkpoint) {
  LoraFit fit;
  if (lora.base_model != BaseModel::kOther && lora.base_model != checkpoint.base_model)
    fit.family = fmt::format("the file is {} ({}), the checkpoint {}", architecture_name(lora.base_model),
                             lora.base_model_reason, architecture_name(checkpoint.base_model));
  const Layers unet = layers_of(Component::kUnet, checkpoint.unet);
  const Layers text = layers_of(Component::kTextEncoder, checkpoint.text_encoder);
  for (const LoraEntry& entry : lora.entries) {
    const bool is_unet = entry.component == Component::kUnet;
    if (auto reason = reason_against(entry, is_unet ? unet : text)) {
      fit.unmet.push_back({entry.module, std::move(*reason)});
    } else {
      ++(is_unet ? fit.applied_unet : fit.applied_text);
    }
  }
  for (const SkippedKeys& skipped : lora.skipped) fit.unmet.push_back({skipped.module, skipped.reason});
  return fit;
}

}  // namespace lowrank::formats
