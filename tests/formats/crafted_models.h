// Small model files for the tests of this room: tensors of zeros under given names.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "weights/crafted.h"
#include "weights/tensor_writer.h"

namespace lowrank::formats {

using weights::DType;
using weights::error_of;
using weights::fixture;
using weights::Shape;
using weights::TemporaryFolder;

struct Named {
  std::string name;
  Shape shape;
  float value = 0;  // of every element
};

inline void write_named(const std::filesystem::path& path, const std::vector<Named>& tensors,
                        const std::map<std::string, std::string>& metadata = {}) {
  std::vector<std::vector<float>> data;
  std::vector<weights::TensorView> views;
  for (const Named& tensor : tensors) {
    weights::TensorView view{tensor.name, DType::kF32, tensor.shape, {}};
    data.emplace_back(static_cast<std::size_t>(view.elements()), tensor.value);
    views.push_back(std::move(view));
  }
  for (std::size_t i = 0; i < views.size(); ++i) views[i].bytes = std::as_bytes(std::span(data[i]));
  weights::write_safetensors(path, views, metadata);
}

inline const std::string& tiny_model() {
  static const std::string path = fixture("sd15-tiny/sd15-tiny.safetensors");
  return path;
}

// Layer paths of a component: parameter names without their last segment.
inline std::vector<std::string> layers_of(const ParameterViews& views) {
  std::vector<std::string> layers;
  for (const auto& [name, view] : views) {
    std::string layer = name.substr(0, name.rfind('.'));
    if (layers.empty() || layers.back() != layer) layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace lowrank::formats
