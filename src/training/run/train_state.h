// The whole state of a training run in one safetensors file, from which it goes on exactly as if it had never
// stopped: parameters, optimiser moments, averaged weights and the step count. Random numbers need no saving: every
// draw of step n comes from a generator seeded with (run seed, n). A checksum over all of it is kept in the file.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "tensor/state_dict.h"

namespace lowrank::training {

using StateFacts = std::map<std::string, std::string>;

struct TrainState {
  std::int64_t step = 0;  // finished steps
  StateFacts facts;       // what must agree on resume, and what is only noted
  tensor::StateDict tensors;
};

// Atomic. Throws Error(kIo).
void save_train_state(const std::filesystem::path& path, const TrainState& state);

// Whether a file can be told to be something else than a training state, such as a LoRA of that name. False for what is
// no readable tensor file: it may be a damaged state.
bool is_other_than_state(const std::filesystem::path& path);

// nullopt when there is no file. Throws Error(kBadInput) when the file is no training state (a finished LoRA, say), is
// one of an older version, or differs from what was saved.
std::optional<TrainState> load_train_state(const std::filesystem::path& path);

// Of StateFacts, where a run is of a known length.
inline constexpr const char* kStatePlannedSteps = "steps";

struct StateProgress {
  std::int64_t step = 0, steps = 0;  // finished; asked for, 0 where the state does not say
  bool is_finished() const { return steps > 0 && step >= steps; }
};
// How far the run of a state is, from the header alone; nullopt when there is none or it is no state.
std::optional<StateProgress> state_progress(const std::filesystem::path& path);

// Throws Error(kBadInput) for the first of `facts` in which the state differs, naming both values. A fact that is named
// like an option ("network_dim") is told as that option.
void check_facts(const std::filesystem::path& path, const TrainState& state, const StateFacts& facts);

// Where a run keeps its state, and the one that it resumes from.
struct RunState {
  std::filesystem::path file;       // where states are saved
  std::filesystem::path origin;     // of `saved`; another file than `file` with --resume
  StateFacts facts;                 // saved with every state
  std::optional<TrainState> saved;  // nullopt: the run starts anew
};

// The state at `file`, when there is one, checked against `facts`. Throws as load_train_state and check_facts.
RunState open_run_state(const std::filesystem::path& file, const StateFacts& facts);

// The generator for one step of a run.
at::Generator step_generator(std::uint64_t seed, std::int64_t step);

// A hash of these tensors' names, types, shapes and bytes.
std::string checksum(const tensor::StateDict& tensors);

}  // namespace lowrank::training
