// The model that the golden tests run on: the folder named by LOWRANK_GOLDENS (default: the tiny model in the
// fixtures) holds NAME.safetensors, NAME-goldens.safetensors and NAME-<adapter>.safetensors.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::testing {

struct GoldenModel {
  std::filesystem::path folder;
  std::string name;
  std::shared_ptr<const weights::TensorFile> goldens;

  static GoldenModel open() {
    GoldenModel model;
    const char* folder = std::getenv("LOWRANK_GOLDENS");
    model.folder = folder != nullptr && *folder != '\0' ? folder : LOWRANK_TEST_FIXTURES "/sd15-tiny";
    const std::string ending = "-goldens.safetensors";
    for (const auto& entry : std::filesystem::directory_iterator(model.folder)) {
      const std::string file = entry.path().filename().string();
      if (file.ends_with(ending)) {
        model.name = file.substr(0, file.size() - ending.size());
        model.goldens = weights::TensorFile::open(entry.path());
      }
    }
    if (!model.goldens)
      throw std::runtime_error(model.folder.string() + " holds no NAME-goldens.safetensors");
    return model;
  }

  std::filesystem::path checkpoint_path() const { return folder / (name + ".safetensors"); }
  bool has(const std::string& key) const { return goldens->find(key) != nullptr; }
  at::Tensor operator[](const std::string& key) const {
    const auto* view = goldens->find(key);
    if (view == nullptr) throw std::runtime_error("the goldens lack " + key);
    return tensor::as_tensor(*view, goldens);
  }
  // NAME-<adapter>.safetensors → <adapter>.
  std::vector<std::string> adapters() const {
    std::vector<std::string> names;
    const std::string ending = ".safetensors";
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string file = entry.path().filename().string();
      if (!file.starts_with(name + "-") || !file.ends_with(ending)) continue;
      const std::string adapter = file.substr(name.size() + 1, file.size() - name.size() - 1 - ending.size());
      if (adapter != "goldens") names.push_back(adapter);
    }
    return names;
  }
  std::filesystem::path adapter_path(const std::string& adapter) const {
    return folder / (name + "-" + adapter + ".safetensors");
  }
};

}  // namespace lowrank::testing
