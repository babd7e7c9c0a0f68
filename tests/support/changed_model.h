// A tiny model of the fixtures with some of its tensors changed, in a file of its own.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "pipeline/session.h"
#include "support/golden_model.h"
#include "weights/tensor_writer.h"

namespace lowrank::testing {

// As `values` in their `shape`, to be changed in place; a shape of another size takes its values along.
struct ChangedTensor {
  std::vector<std::int64_t>& shape;
  std::vector<float>& values;
};

// Writes the model of the fixtures' folder `set`, with its heads and prediction stated, as `to`. `change` gets each tensor whose key it
// asks for by true of `is_wanted`; `keep` false leaves a tensor out.
inline void write_changed(
    const std::string& set, const std::filesystem::path& to,
    const std::function<bool(const std::string&)>& is_wanted = {},
    const std::function<void(const std::string&, ChangedTensor)>& change = {},
    const std::function<bool(const std::string&)>& keep = [](const std::string&) { return true; }) {
  const auto golden = GoldenModel::open(std::filesystem::path(LOWRANK_TEST_FIXTURES) / set);
  const auto file = weights::TensorFile::open(golden.checkpoint_path());
  std::vector<weights::TensorView> views;
  std::deque<std::vector<float>> changed;
  for (const auto& view : file->tensors()) {
    if (!keep(view.name)) continue;
    weights::TensorView& copy = views.emplace_back(view);
    if (!is_wanted || !is_wanted(view.name)) continue;
    auto& values = changed.emplace_back(weights::to_floats(view));
    change(view.name, {copy.shape, values});
    copy.dtype = weights::DType::kF32;
    copy.bytes = std::as_bytes(std::span(values));
  }
  weights::write_safetensors(to, views, golden.stated());
}

// A session whose checkpoints are files by their paths, without LoRAs and other VAEs.
inline pipeline::Session session_of_files() {
  pipeline::Resources resources;
  resources.checkpoint = [](const std::string& name) { return std::filesystem::path(name); };
  resources.lora = [](const std::string& name) -> std::filesystem::path {
    throw Error(kNotFound, "no LoRA named '{}'.", name);
  };
  resources.vae = [](const std::string& name,
                     const std::filesystem::path&) -> std::optional<std::filesystem::path> {
    if (name.empty() || name == "Automatic" || name == "None") return std::nullopt;
    return name;
  };
  return pipeline::Session(resources, {.threads = 1, .version = "LowRank test"});
}

}  // namespace lowrank::testing
