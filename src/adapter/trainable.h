// A LoRA while it is being trained: a pair of small factors beside each chosen layer, float32 leaf tensors
// that require gradients, hung into the layers' slots. The base weights stay frozen and untouched. Names,
// targets and first values are those of kohya's trainer, so that what is saved loads anywhere.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "formats/layer_address.h"
#include "tensor/state_dict.h"

#include "adapter/model_parts.h"

namespace lowrank::adapter {

struct TrainableOptions {
  std::int64_t rank = 16;
  double alpha = 1.0;  // scale = alpha / rank
  // > 0: residual blocks and samplers too; this is the rank of their k×k convolutions
  std::int64_t conv_rank = 0;
  double conv_alpha = 1.0;
  std::uint64_t seed = 0;  // of the first values of lora_down
  // Layers at the end of a text encoder that are never run, such as SD 2.x's last, and get no pair.
  std::int64_t unread_text_layers = 0;
};

struct TrainableParameter {
  std::string name;   // "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"
  at::Tensor tensor;  // float32 leaf that requires gradients
  formats::Component component;
};

// Which layers a LoRA changes: in the U-Net proj_in, proj_out and every linear layer of the transformer
// blocks, and with convolutions also those of residual blocks and samplers and the blocks' time projections;
// in a text encoder attention and MLP. SD 1.x: 192 and 72 layers; SDXL: 722, 72 and 192. Source: kohya's networks.lora.
enum class Convolutions { kNo, kYes };
bool is_lora_target(const model::Layer& layer, Convolutions convolutions);

// The module name under which kohya's files address each layer: prefix and flattened diffusers path.
std::map<std::string, std::string, std::less<>> kohya_names(const formats::FamilyRow& family,
                                                            formats::Component component,
                                                            const model::LayerMap& layers);

class TrainableLora {
 public:
  // Hangs a pair into every target of the given parts of a model of `family`, in their order. The layers must outlive this
  // object. lora_down is uniform in ±1/√fan_in (Kaiming with a = √5), drawn from one
  // generator in the order of parameters(); lora_up is zero, so the model computes what it did before. Throws
  // Error(kBadInput) for a rank or alpha that is not positive, or when no layer is a target.
  TrainableLora(const formats::FamilyRow& family, std::span<const ModelPart> parts,
                const TrainableOptions& options);
  ~TrainableLora();  // takes the pairs out of the slots
  TrainableLora(const TrainableLora&) = delete;
  TrainableLora& operator=(const TrainableLora&) = delete;

  // Down and up of each module, part after part, by canonical path.
  const std::vector<TrainableParameter>& parameters() const { return parameters_; }
  std::size_t modules() const { return pairs_.size(); }

  // What a file holds: down, up and alpha (0-dim float32) of each module; detached, sharing storage.
  tensor::StateDict state() const;

  // Copies values back, for resuming. Throws Error(kBadInput) naming a missing or misshapen tensor.
  void load(const tensor::StateDict& state);

  // Weight at which the pairs act, 1 while training; 0 shows the base model. In force at once.
  void set_weight(double weight) { *weight_ = weight; }

 private:
  struct Pair;
  void hang(const formats::FamilyRow& family, const ModelPart& part, const TrainableOptions& options,
            const at::Generator& generator);

  std::shared_ptr<double> weight_ = std::make_shared<double>(1.0);
  std::vector<std::shared_ptr<Pair>> pairs_;
  std::vector<TrainableParameter> parameters_;
};

}  // namespace lowrank::adapter
