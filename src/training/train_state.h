// The whole state of a training run in one safetensors file, from which it goes on exactly as if it had never
// stopped: parameters, optimiser moments, averaged weights and the step count. Random numbers need no saving: every
// draw of step n comes from a generator seeded with (run seed, n).
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "tensor/state_dict.h"

namespace lowrank::training {

struct TrainState {
  std::int64_t step = 0;                     // finished steps
  std::map<std::string, std::string> facts;  // settings that must agree on resume
  tensor::StateDict tensors;
};

// Atomic. Throws Error(kIo).
void save_train_state(const std::filesystem::path& path, const TrainState& state);

// nullopt when there is no file. Throws Error(kBadInput) when a fact differs from `facts`, naming both values.
std::optional<TrainState> load_train_state(const std::filesystem::path& path,
                                           const std::map<std::string, std::string>& facts);

// The generator for one step of a run.
at::Generator step_generator(std::uint64_t seed, std::int64_t step);

}  // namespace lowrank::training
