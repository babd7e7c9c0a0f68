#include "training/train_state.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include "base/error.h"
#include "weights/tensor_file.h"

namespace lowrank::training {

void save_train_state(const std::filesystem::path& path, const TrainState& state) {
  std::map<std::string, std::string> metadata = state.facts;
  metadata["lowrank.step"] = std::to_string(state.step);
  tensor::save_state_dict(path.string(), state.tensors, metadata);
}

std::optional<TrainState> load_train_state(const std::filesystem::path& path,
                                           const std::map<std::string, std::string>& facts) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto file = weights::TensorFile::open(path);
  TrainState state;
  for (const auto& [key, value] : file->metadata()) {
    if (key == "lowrank.step") {
      state.step = std::stoll(value);
    } else {
      state.facts.emplace(key, value);
    }
  }
  for (const auto& [key, value] : facts) {
    const auto found = state.facts.find(key);
    if (found == state.facts.end() || found->second != value) {
      throw Error(kBadInput,
                  "{}: was saved with {} = {}, but this run has {}; use the same settings or another folder.",
                  path.string(), key, found == state.facts.end() ? "nothing" : found->second, value);
    }
  }
  for (const auto& view : file->tensors()) state.tensors.emplace(view.name, tensor::as_tensor(view, file));
  return state;
}

at::Generator step_generator(std::uint64_t seed, std::int64_t step) {
  // SplitMix64 of the pair: neighbouring steps get unrelated streams.
  std::uint64_t z = seed * 0x9E3779B97F4A7C15ull + static_cast<std::uint64_t>(step) + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return at::detail::createCPUGenerator(z ^ (z >> 31));
}

}  // namespace lowrank::training
