#include "request/training/lora_options.h"

#include <fmt/format.h>

namespace lowrank::request {

std::filesystem::path LoraTrainOptions::step_file(std::int64_t step) const {
  return output_dir / fmt::format("{}-step{:08d}.safetensors", output_name, step);
}

std::filesystem::path LoraTrainOptions::epoch_file(std::int64_t epoch) const {
  return output_dir / fmt::format("{}-{:06d}.safetensors", output_name, epoch);
}

}  // namespace lowrank::request
