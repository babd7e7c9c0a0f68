// A small untrained Stable Diffusion 1.x model, inputs for it, and LoRA files written for its layers.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "adapter/adapter.h"
#include "adapter/trainable.h"
#include "formats/lora/lora_file.h"
#include "model/random.h"
#include "model/text_encoder.h"
#include "model/unet.h"
#include "tensor/state_dict.h"

namespace lowrank::adapter::testing {

// Random values everywhere: the untrained model's zero layers would hide changes behind them.
inline tensor::StateDict busy_state(formats::Component component, std::uint64_t seed,
                                    at::ScalarType type = at::kFloat) {
  tensor::StateDict state = model::random_state(model::model_spec("tiny"), component, seed);
  const auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (auto& [name, tensor] : state) {
    if (tensor.abs().max().item<float>() == 0)
      tensor = at::empty(tensor.sizes()).uniform_(-0.05, 0.05, generator);
    tensor = tensor.to(type);
  }
  return state;
}

struct TinyModel {
  model::UNet unet;
  model::TextEncoder text_encoder;
  at::Tensor x, timesteps, context, ids;

  explicit TinyModel(at::ScalarType type = at::kFloat)
      : unet(busy_state(formats::Component::kUnet, 1, type)),
        text_encoder(busy_state(formats::Component::kTextEncoder, 2, type)) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
    x = at::empty({2, 4, 6, 5}).normal_(0, 1, generator);
    timesteps = at::tensor({10.0f, 731.5f});
    context = at::empty({2, 7, unet.context_width()}).normal_(0, 1, generator);
    ids = at::randint(0, 49408, {1, 77}, generator, at::kLong);
  }
  at::Tensor run_unet() const { return unet.forward(x, timesteps, {context}); }
  at::Tensor run_text_encoder() const { return text_encoder.encode(ids); }
  const model::LayerMap& layers(formats::Component component) const {
    return component == formats::Component::kUnet ? unet.layers() : text_encoder.layers();
  }
};

// What adapters change of a model of SD 1.x's kind; of which family its width tells.
inline ModelParts parts_of(const model::UNet& unet, const model::TextEncoder& text_encoder) {
  const formats::FamilyRow* row = formats::family_of_context(unet.context_width());
  return {
      .base_model = row == nullptr ? formats::BaseModel::kOther : row->model,
      .context_width = unet.context_width(),
      .text_widths = {{formats::Component::kTextEncoder, text_encoder.width()}},
      .parts = {{formats::Component::kTextEncoder, &const_cast<model::TextEncoder&>(text_encoder).layers()},
                {formats::Component::kUnet, &const_cast<model::UNet&>(unet).layers()}}};
}

inline const formats::FamilyRow& sd1() {
  return *formats::family(formats::BaseModel::kSd1);
}

// The parts that a LoRA is trained for; null: not that one.
inline std::vector<ModelPart> trained(model::UNet* unet, model::TextEncoder* text_encoder) {
  std::vector<ModelPart> parts;
  if (text_encoder != nullptr) parts.push_back({formats::Component::kTextEncoder, &text_encoder->layers()});
  if (unet != nullptr) parts.push_back({formats::Component::kUnet, &unet->layers()});
  return parts;
}

// A file in the tests' folder, removed at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& name) {
    static std::atomic<int> counter = 0;
    const auto folder = std::filesystem::path(::testing::TempDir()) /
                        ("lowrank_adapter_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
    std::filesystem::create_directories(folder);
    path_ = folder / name;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove_all(path_.parent_path(), ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline formats::LoraFile write_and_open(const std::string& name, const tensor::StateDict& state,
                                        const std::map<std::string, std::string>& metadata = {}) {
  const TemporaryFile file(name + ".safetensors");
  tensor::save_state_dict(file.path().string(), state, metadata);
  return formats::open_lora(file.path());  // stays mapped after the name is gone
}

enum class RandomKind { kLora, kLocon, kLoha, kLokr, kIa3, kFull, kDora, kOft };

// Keys of one kind for the layers that training would choose (all convolutions with kLocon); small random
// values.
inline tensor::StateDict random_lora(const TinyModel& model, RandomKind kind, std::uint64_t seed,
                                     std::int64_t rank = 3, double size = 0.1) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  const auto random = [&](at::IntArrayRef sizes) { return at::empty(sizes).normal_(0, size, generator); };
  tensor::StateDict state;
  for (const auto component : {formats::Component::kTextEncoder, formats::Component::kUnet}) {
    const auto names = kohya_names(sd1(), component, model.layers(component));
    for (const auto& [path, layer] : model.layers(component)) {
      if (!is_lora_target(*layer, kind == RandomKind::kLocon ? Convolutions::kYes : Convolutions::kNo))
        continue;
      const std::string& name = names.at(path);
      const auto sizes = layer->weight().sizes().vec();
      const std::int64_t out = sizes[0], columns = layer->weight().numel() / out;
      auto down = sizes, up = sizes;
      down[0] = rank;
      up[1] = rank;
      for (std::size_t i = 2; i < up.size(); ++i) up[i] = 1;
      switch (kind) {
        case RandomKind::kDora:
          state[name + ".dora_scale"] = random({out, 1}).abs() + 0.5;
          [[fallthrough]];
        case RandomKind::kLora:
        case RandomKind::kLocon:
          state[name + ".lora_down.weight"] = random(down);
          state[name + ".lora_up.weight"] = random(up);
          state[name + ".alpha"] = at::scalar_tensor(2.0, at::kFloat);
          break;
        case RandomKind::kLoha:
          for (const char* w : {"1", "2"}) {
            state[name + ".hada_w" + w + "_a"] = random({out, rank});
            state[name + ".hada_w" + w + "_b"] = random({rank, columns});
          }
          break;
        case RandomKind::kLokr:
          state[name + ".lokr_w1"] = random({2, 2});
          state[name + ".lokr_w2_a"] = random({out / 2, rank});
          state[name + ".lokr_w2_b"] = random({rank, columns / 2});
          state[name + ".alpha"] = at::scalar_tensor(1.0, at::kHalf);
          break;
        case RandomKind::kIa3:
          state[name + ".weight"] = random({out});
          state[name + ".on_input"] = at::scalar_tensor(false, at::kBool);
          break;
        case RandomKind::kFull:
          state[name + ".diff"] = random(sizes);
          state[name + ".diff_b"] = random({out});
          break;
        case RandomKind::kOft:
          state[name + ".oft_blocks"] = random({out / 4, 4, 4});
          break;
      }
    }
  }
  return state;
}

inline std::shared_ptr<const Adapter> random_adapter(const TinyModel& model, RandomKind kind,
                                                     std::uint64_t seed, std::int64_t rank = 3) {
  return Adapter::match(write_and_open("random", random_lora(model, kind, seed, rank)),
                        testing::parts_of(model.unet, model.text_encoder));
}

}  // namespace lowrank::adapter::testing
