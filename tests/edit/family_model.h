// The tiny model of a family with what its LoRAs change, and its answers to the goldens' inputs.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapter/stack.h"
#include "edit/job.h"
#include "formats/checkpoint/checkpoint.h"
#include "model/text_encoder.h"
#include "model/unet.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank::edit::testing {

using lowrank::testing::GoldenModel;

using Outputs = std::map<std::string, at::Tensor>;

class FamilyModel {
 public:
  explicit FamilyModel(const std::filesystem::path& folder)
      : golden(GoldenModel::open(folder)), checkpoint_path_(folder_.path() / "base.safetensors") {
    golden.write_stated(checkpoint_path_);
    open(checkpoint_path_);
  }
  // The same inputs, another checkpoint of the family.
  FamilyModel(const std::filesystem::path& folder, const std::filesystem::path& checkpoint)
      : golden(GoldenModel::open(folder)), checkpoint_path_(checkpoint) {
    open(checkpoint);
  }

  const std::filesystem::path& checkpoint_path() const { return checkpoint_path_; }
  const adapter::ModelParts& parts() const { return parts_; }

  Outputs run() const {
    Outputs outputs;
    outputs["eps"] =
        unet_->forward(input("unet.a.x"), input("unet.a.t"), {input("unet.a.context"), input("unet.a.y")});
    int number = 0;
    for (const auto& encoder : encoders_) {
      const bool is_open = encoder->row().kind == formats::TextEncoderKind::kOpenClip;
      const std::string ids = golden.has("clip.input_ids") ? "clip.input_ids"
                              : is_open                    ? "open_clip.input_ids"
                                                           : "clip_l.input_ids";
      outputs["text" + std::to_string(++number)] = encoder->read(input(ids).to(at::kLong)).hidden;
    }
    return outputs;
  }

  struct Tag {
    std::filesystem::path path;
    double te = 1, unet = 1;
    adapter::BlockWeights blocks = {};
  };
  // As with these tags in the prompt.
  Outputs run(const std::vector<Tag>& tags) const {
    adapter::AdapterStack stack;
    std::vector<adapter::ActiveAdapter> active;
    for (const Tag& tag : tags)
      active.push_back({.adapter = adapter::Adapter::match(formats::open_lora(tag.path), parts_),
                        .te = tag.te,
                        .unet = tag.unet,
                        .blocks = tag.blocks});
    stack.apply(active, parts_);
    Outputs outputs = run();
    stack.clear();
    return outputs;
  }

  std::vector<std::string> adapters() const {
    std::vector<std::string> names;
    for (const std::string& name : golden.adapters())
      if (name != "vpred-keys") names.push_back(name);
    std::ranges::sort(names);
    return names;
  }

  GoldenModel golden;

 private:
  void open(const std::filesystem::path& path) {
    checkpoint_ = formats::open_checkpoint(path);
    const formats::FamilyRow& family = *formats::family(checkpoint_.base_model);
    const auto state = [&](formats::Component component) {
      return tensor::as_state_dict(checkpoint_[component], checkpoint_.files[0]);
    };
    for (const formats::TextEncoderRow& row : family.text_encoders) {
      const auto heads = checkpoint_.text_heads.find(row.component);
      encoders_.push_back(std::make_unique<model::TextEncoder>(
          state(row.component), row,
          heads == checkpoint_.text_heads.end() ? std::nullopt : std::optional(heads->second),
          checkpoint_.unread_text_layers));
      parts_.text_widths.emplace(row.component, encoders_.back()->width());
      parts_.parts.push_back({row.component, &encoders_.back()->layers()});
    }
    unet_ = std::make_unique<model::UNet>(state(formats::Component::kUnet),
                                          checkpoint_.unet_heads.value_or(family.unet_heads));
    parts_.parts.push_back({formats::Component::kUnet, &unet_->layers()});
    parts_.base_model = checkpoint_.base_model;
    parts_.context_width = unet_->context_width();
  }
  at::Tensor input(const std::string& key) const { return golden.has(key) ? golden[key] : at::Tensor(); }

  lowrank::testing::TemporaryFolder folder_;
  std::filesystem::path checkpoint_path_;
  formats::Checkpoint checkpoint_;
  std::vector<std::unique_ptr<model::TextEncoder>> encoders_;
  std::unique_ptr<model::UNet> unet_;
  adapter::ModelParts parts_;
};

// Folders of the families that LoRAs are tested on.
inline std::vector<std::filesystem::path> family_folders() {
  std::vector<std::filesystem::path> all;
  for (const char* set : {"sd15-tiny", "sd2-tiny", "sdxl-tiny"})
    all.push_back(std::filesystem::path(LOWRANK_TEST_FIXTURES) / set);
  return all;
}

// ‖a − b‖ / ‖b‖ of the output that differs most.
inline double distance(const Outputs& a, const Outputs& b) {
  double largest = 0;
  for (const auto& [name, output] : a) {
    const at::Tensor& other = b.at(name);
    largest = std::max(largest, (output - other).norm().item<double>() / other.norm().item<double>());
  }
  return largest;
}

inline Job job_to(const std::filesystem::path& output) {
  return {.output = output};
}

// The tensors of a file, float32.
inline std::map<std::string, at::Tensor> tensors_of(const std::filesystem::path& path) {
  const auto file = weights::TensorFile::open(path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& view : file->tensors())
    tensors.emplace(view.name, tensor::as_tensor(view, file).to(at::kFloat));
  return tensors;
}

}  // namespace lowrank::edit::testing
