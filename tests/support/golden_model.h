// The model that the golden tests run on: the folder named by LOWRANK_GOLDENS (default: the tiny model in the
// fixtures) holds NAME.safetensors, NAME-goldens.safetensors and NAME-<adapter>.safetensors.
#pragma once

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"
#include "weights/tensor_writer.h"

namespace lowrank::testing {

struct GoldenModel {
  std::filesystem::path folder;
  std::string name;
  std::shared_ptr<const weights::TensorFile> goldens;

  // The folder that LOWRANK_GOLDENS names, or those of the fixtures, one of each family.
  static std::vector<std::filesystem::path> folders() {
    const char* named = std::getenv("LOWRANK_GOLDENS");
    if (named != nullptr && *named != '\0') return {named};
    std::vector<std::filesystem::path> all;
    for (const char* set : {"sd15-tiny", "sd2-tiny", "sdxl-tiny", "sdxl-refiner-tiny"})
      all.push_back(std::filesystem::path(LOWRANK_TEST_FIXTURES) / set);
    return all;
  }
  static GoldenModel open() { return open(folders().front()); }
  // Of a folder, as what a parameterised test is called.
  static std::string test_name(const std::filesystem::path& folder) {
    std::string letters = folder.filename().string();
    std::erase_if(letters, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
    return letters;
  }

  static GoldenModel open(const std::filesystem::path& folder) {
    GoldenModel model;
    model.folder = folder;
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

  // What shapes do not tell stands in the goldens (config.*): as the metadata in which a checkpoint may state it.
  std::map<std::string, std::string> stated() const {
    std::map<std::string, std::string> metadata;
    const bool has_two = has("config.clip_l_heads") || !has("open_clip.penultimate_normed");
    for (const auto& [key, fact] :
         {std::pair("config.unet_head_width", "lowrank.unet_head_width"),
          std::pair("config.unet_heads", "lowrank.unet_heads"),
          std::pair("config.clip_l_heads", "lowrank.text_heads"),
          std::pair("config.open_clip_heads", has_two ? "lowrank.text2_heads" : "lowrank.text_heads")})
      if (has(key)) metadata[fact] = std::to_string((*this)[key].item<std::int64_t>());
    if (has("config.v_prediction"))
      metadata["lowrank.prediction_type"] =
          (*this)["config.v_prediction"].item<std::int64_t>() != 0 ? "v" : "epsilon";
    return metadata;
  }
  // A copy of the checkpoint that states it.
  void write_stated(const std::filesystem::path& to) const {
    const auto file = weights::TensorFile::open(checkpoint_path());
    const std::vector<weights::TensorView> views(file->tensors().begin(), file->tensors().end());
    weights::write_safetensors(to, views, stated());
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
