#include "weights/scaled_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace lowrank::weights {
namespace {

// Longest first: what a key ends with that is the scale of another tensor.
constexpr std::array<std::string_view, 4> kScaleEndings = {".scale_weight", ".weight_scale", ".scale",
                                                           "_scale"};
// What makes a layer's numbers more than a product.
constexpr std::array<std::string_view, 9> kMore = {
    ".zero_point",        ".svd_up",  ".svd_down",         ".weight_scale_2", ".pre_quant_scale",
    ".weight_zero_point", ".scale_2", ".scale_zero_point", ".codebook"};
constexpr std::string_view kComfyForm = ".comfy_quant", kComfyMark = "scaled_fp8", kWeight = ".weight";

bool is_mark(std::string_view key) {
  return key == kComfyMark || key.ends_with(".scaled_fp8");
}

bool is_candidate(std::string_view key) {
  return key.ends_with("scale") || key.ends_with(kScaleEndings[0]) || is_mark(key);
}

std::optional<DType> float8_of(std::string_view form) {
  if (form.starts_with("float8_e4m3fnuz")) return DType::kF8E4M3Fnuz;
  if (form.starts_with("float8_e5m2fnuz")) return DType::kF8E5M2Fnuz;
  if (form.starts_with("float8_e4m3")) return DType::kF8E4M3;
  if (form.starts_with("float8_e5m2")) return DType::kF8E5M2;
  return std::nullopt;
}

// How scales of this shape lie over numbers of that one; nullopt when they do not fit. Dimensions that the scales lack are
// not divided.
std::optional<Shape> blocks_of(const Shape& scales, const Shape& stored) {
  Shape blocks(stored.size(), 1);
  if (std::ranges::all_of(scales, [](std::int64_t size) { return size == 1; })) return blocks;
  if (scales.size() > stored.size()) return std::nullopt;
  for (std::size_t d = 0; d < scales.size(); ++d) {
    if (scales[d] < 1 || stored[d] % scales[d] != 0) return std::nullopt;
    blocks[d] = scales[d];
  }
  return blocks;
}

class ScaledTensors {
 public:
  explicit ScaledTensors(std::vector<TensorView>& tensors)
      : tensors_(tensors), is_taken_(tensors.size(), false) {
    for (std::size_t i = 0; i < tensors.size(); ++i) places_.emplace(tensors[i].name, i);
  }

  std::vector<std::string> apply() {
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (is_mark(tensors_[i].name)) {
        is_taken_[i] = true;
      } else {
        apply_one(i);
      }
    }
    std::vector<std::string> taken;
    std::vector<TensorView> kept;
    kept.reserve(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      if (is_taken_[i]) {
        taken.push_back(std::move(tensors_[i].name));
      } else {
        kept.push_back(std::move(tensors_[i]));
      }
    }
    tensors_ = std::move(kept);
    return taken;
  }

  std::size_t scaled() const { return scaled_; }

 private:
  TensorView* find(const std::string& name) {
    const auto place = places_.find(name);
    return place == places_.end() ? nullptr : &tensors_[place->second];
  }
  void take(const std::string& name) {
    if (const auto place = places_.find(name); place != places_.end()) is_taken_[place->second] = true;
  }

  void apply_one(std::size_t index) {
    const TensorView& scale = tensors_[index];
    const std::string_view key = scale.name;
    const auto ending =
        std::ranges::find_if(kScaleEndings, [&](std::string_view end) { return key.ends_with(end); });
    if (ending == kScaleEndings.end() || !is_float(scale.dtype) || scale.scaling != nullptr) return;
    const std::string layer(key.substr(0, key.size() - ending->size()));
    TensorView* scaled = find(layer + std::string(kWeight));
    if (scaled == nullptr || *ending == "_scale") scaled = find(layer);
    if (scaled == nullptr || scaled == &scale || scaled->scaling != nullptr || !read_form(layer, *scaled))
      return;
    if (std::ranges::any_of(kMore,
                            [&](std::string_view end) { return places_.contains(layer + std::string(end)); }))
      return;
    if (!attach(*scaled, scale, *ending == ".scale")) return;
    ++scaled_;
    is_taken_[index] = true;
    for (const std::string_view end :
         {kComfyForm, std::string_view(".input_scale"), std::string_view(".scale_input")})
      take(layer + std::string(end));
  }

  // Whether the numbers are of a kind that a product restores. What ComfyUI says of the layer wins.
  bool read_form(const std::string& layer, TensorView& view) {
    const TensorView* form = find(layer + std::string(kComfyForm));
    if (form == nullptr || form->dtype != DType::kU8) return is_float(view.dtype) || view.dtype == DType::kI8;
    const auto* text = reinterpret_cast<const char*>(form->bytes.data());
    const auto stated = nlohmann::json::parse(text, text + form->bytes.size(), nullptr, false);
    const auto name = stated.is_object() ? stated.find("format") : stated.end();
    if (!stated.is_object() || name == stated.end() || !name->is_string()) return false;
    const auto float8 = float8_of(name->get<std::string>());
    if (!float8) return false;
    if (view.dtype == DType::kU8) view.dtype = *float8;
    return is_float(view.dtype);
  }

  // `is_sdnq`: the forms of weights that only sdnq writes.
  static bool attach(TensorView& view, const TensorView& scale, bool is_sdnq) {
    Scaling scaling{.stored = view.shape, .blocks = {}, .scales = to_floats(scale)};
    if (scaling.scales.empty() || view.bytes.empty()) return false;
    const Shape& shape = scale.shape;
    scaling.is_transposed = is_sdnq && shape.size() == 2 && view.shape.size() == 2 && shape[0] == 1 &&
                            shape[1] > 1 && shape[1] == view.shape[1];
    const auto blocks = blocks_of(shape, view.shape);
    if (!blocks) return false;
    scaling.blocks = *blocks;
    if (scaling.is_transposed) {
      std::swap(view.shape[0], view.shape[1]);
    } else if (is_sdnq && shape.size() == view.shape.size() && (shape.size() == 3 || shape.size() == 5) &&
               shape[1] == view.shape[1] && shape[2] == 1) {
      view.shape[1] *= view.shape[2];  // groups of inputs
      view.shape.erase(view.shape.begin() + 2);
    }
    view.scaling = std::make_shared<const Scaling>(std::move(scaling));
    return true;
  }

  std::vector<TensorView>& tensors_;
  std::vector<bool> is_taken_;
  std::unordered_map<std::string, std::size_t> places_;
  std::size_t scaled_ = 0;
};

}  // namespace

std::vector<std::string> apply_scales(std::vector<TensorView>& tensors, std::vector<std::string>& notes) {
  if (std::ranges::none_of(tensors, is_candidate, &TensorView::name)) return {};
  ScaledTensors scaled(tensors);
  auto taken = scaled.apply();
  if (scaled.scaled() > 0)
    notes.push_back(
        fmt::format("{} tensors are stored with scales and are multiplied by them.", scaled.scaled()));
  return taken;
}

}  // namespace lowrank::weights
