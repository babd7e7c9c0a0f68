// Alpha values that stand outside the tensors: diffusers' metadata `lora_adapter_metadata`, and PEFT's
// `adapter_config.json` beside `adapter_model.safetensors`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "formats/layer_address.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

class PeftConfig {
 public:
  // Empty when there is neither. Throws Error(kBadInput) when the JSON is broken, Error(kUnsupported) for
  // transposed weights (fan_in_fan_out).
  static PeftConfig beside(const weights::TensorFile& file);

  // Alpha of the layer at `path` (dotted, without component) so that alpha / rank is its scale:
  // rank-stabilised adapters (use_rslora) get alpha · sqrt(rank). nullopt: not stated.
  std::optional<float> alpha(Component component, std::string_view path, std::int64_t rank) const;

 private:
  struct Pattern {
    std::string text;  // the end of a module's name …
    std::optional<std::regex>
        expression;  // … or, where it has such letters, a regular expression for the name
    double alpha = 0;
  };
  struct Settings {
    std::optional<double> alpha;
    std::vector<Pattern> alpha_patterns;
    bool is_rank_stabilised = false;
  };
  std::map<Component, Settings> settings_;
};

}  // namespace lowrank::formats
