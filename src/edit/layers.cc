#include "edit/layers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/family.h"
#include "formats/lora/kohya_names.h"
#include "model/random.h"
#include "tensor/state_dict.h"

namespace lowrank::edit {
namespace {

// The shapes of a published model, as a checkpoint without bytes.
formats::Checkpoint without_bytes(const model::ModelSpec& spec) {
  formats::Checkpoint checkpoint;
  checkpoint.base_model = spec.family;
  for (const model::ParameterSpec& parameter : model::parameter_specs(spec)) {
    weights::TensorView view{.name = parameter.name, .shape = parameter.shape, .bytes = {}};
    checkpoint[parameter.component].emplace(parameter.name, std::move(view));
  }
  return checkpoint;
}

// Of the models that LoRAs are made for, not of the small ones that this program brings along.
bool is_of_usual_size(const model::ModelSpec& spec) {
  const formats::FamilyRow* family = formats::family(spec.family);
  return family != nullptr && spec.texts.at(0).width == family->text_encoders[0].width;
}

// All of a file must act on a small model, whose names others share; of a usual one the layers may be only nearly those.
bool suits(const formats::LoraFile& file, const formats::ModelLayers& model, bool wholly) {
  const formats::LoraMatch match = formats::match_lora(file, model);
  const auto acting = std::ranges::count_if(match.places, [](const auto& place) { return place.acts(); });
  const auto all = static_cast<std::ptrdiff_t>(match.places.size());
  return !match.is_foreign && (wholly ? acting == all : 2 * acting >= all);
}

}  // namespace

std::shared_ptr<const Layers> Layers::of_checkpoint(const std::filesystem::path& path) {
  auto layers = std::make_shared<Layers>();
  layers->checkpoint_ = std::make_shared<const formats::Checkpoint>(formats::open_without_vae(path));
  layers->model_ = formats::layers_of(*layers->checkpoint_);
  layers->name_layers();
  return layers;
}

std::shared_ptr<const Layers> Layers::that_fit(std::span<const formats::LoraFile> files) {
  for (const std::string& name : model::model_spec_names()) {
    auto layers = std::make_shared<Layers>();
    const model::ModelSpec spec = model::model_spec(name);
    layers->model_ = formats::layers_of(without_bytes(spec));
    const bool wholly = !is_of_usual_size(spec);
    if (!std::ranges::all_of(files, [&](const auto& file) { return suits(file, layers->model_, wholly); }))
      continue;
    layers->name_layers();
    return layers;
  }
  return nullptr;
}

void Layers::name_layers() {
  const formats::FamilyRow* family = formats::family(model_.base_model);
  if (family == nullptr) return;
  for (const auto& [component, part] : model_.parts) {
    std::vector<std::string> paths;
    for (const auto& [path, layer] : part.layers) paths.push_back(path);
    for (auto& [path, name] : formats::kohya_names(*family, component, paths))
      kohya_names_.emplace(formats::LayerAddress{component, path}, name);
  }
}

std::string Layers::kohya_name(const formats::LayerAddress& layer) const {
  const auto found = kohya_names_.find(layer);
  return found == kohya_names_.end() ? "" : found->second;
}

const weights::TensorView* Layers::view(const formats::LayerAddress& layer, std::string_view ending) const {
  if (!checkpoint_) return nullptr;
  const auto& views = (*checkpoint_)[layer.component];
  const auto found = views.find(layer.path + std::string(ending));
  return found == views.end() ? nullptr : &found->second;
}

at::Tensor Layers::parameter(const formats::LayerAddress& layer, std::string_view ending) const {
  const weights::TensorView* found = view(layer, ending);
  return found == nullptr ? at::Tensor() : tensor::as_tensor(*found, checkpoint_);
}

void Layers::release(const formats::LayerAddress& layer) const {
  if (const auto* found = view(layer, ".weight")) edit::release(found->bytes);
}

void release(std::span<const std::byte> bytes) {
  constexpr std::uintptr_t kPage = 4096;
  if (bytes.empty()) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::size_t before = begin % kPage;
  release_pages({bytes.data() - before, bytes.size() + before});
}

}  // namespace lowrank::edit
