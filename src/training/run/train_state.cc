#include "training/run/train_state.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/sha256.h"
#include "base/text/text.h"
#include "weights/tensor_file.h"

namespace lowrank::training {

namespace {

// `lowrank.phase` stands in every state; library/index knows states by it.
constexpr const char *kStatePhase = "lowrank.phase", *kStateStep = "lowrank.step",
                     *kStateChecksum = "lowrank.checksum";

std::string sha256_of(std::string_view text) {
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// Over step and facts too: a changed digit there is as wrong as one in a tensor.
std::string checksum_of(const TrainState& state) {
  std::string text = fmt::format("{}\n", state.step);
  for (const auto& [key, value] : state.facts) text += fmt::format("{}\x1f{}\n", key, value);
  return sha256_of(text + checksum(state.tensors));
}

// "network_dim" → "--network-dim"; what is no option of the command stays.
std::string told(const std::string& key) {
  if (key.find('.') != std::string::npos || key.find(' ') != std::string::npos) return key;
  std::string option = "--" + key;
  std::ranges::replace(option, '_', '-');
  return option;
}

}  // namespace

std::string checksum(const tensor::StateDict& tensors) {
  std::string text;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor own = tensor.detach().to(at::kCPU).contiguous();
    text += fmt::format("{} {} {} {}\n", name, at::toString(own.scalar_type()), fmt::join(own.sizes(), ","),
                        sha256_hex({static_cast<const std::byte*>(own.data_ptr()), own.nbytes()}));
  }
  return sha256_of(text);
}

void save_train_state(const std::filesystem::path& path, const TrainState& state) {
  std::map<std::string, std::string> metadata = state.facts;
  metadata[kStateStep] = std::to_string(state.step);
  metadata[kStateChecksum] = checksum_of(state);
  tensor::save_state_dict(path.string(), state.tensors, metadata);
}

bool is_other_than_state(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return false;
  try {
    return !weights::TensorFile::open(path)->metadata().contains(kStatePhase);
  } catch (const Error&) {
    return false;
  }
}

std::optional<TrainState> load_train_state(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const auto file = weights::TensorFile::open(path);
  const auto& metadata = file->metadata();
  if (!metadata.contains(kStatePhase) || !metadata.contains(kStateStep))
    throw Error(kBadInput,
                "{}: is not a training state; a finished LoRA, for example, cannot be resumed. States are "
                "named NAME-state.safetensors and are saved by stopped runs.",
                path.string());
  TrainState state;
  std::string stated;
  for (const auto& [key, value] : metadata) {
    if (key == kStateStep) {
      state.step = parse_integer(value).value_or(-1);
    } else if (key == kStateChecksum) {
      stated = value;
    } else {
      state.facts.emplace(key, value);
    }
  }
  if (stated.empty())
    throw Error(kBadInput, "{}: was saved by an older LowRank in a format that can no longer be resumed.",
                path.string());
  for (const auto& view : file->tensors()) state.tensors.emplace(view.name, tensor::as_tensor(view, file));
  if (state.step < 0 || checksum_of(state) != stated)
    throw Error(kBadInput, "{}: is damaged: its checksum does not match.", path.string());
  return state;
}

std::optional<StateProgress> state_progress(const std::filesystem::path& path) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) return std::nullopt;
  try {
    const auto file = weights::TensorFile::open(path);
    const auto number = [&](const char* key) {
      const auto found = file->metadata().find(key);
      return found == file->metadata().end() ? std::nullopt : parse_integer(found->second);
    };
    const auto step = number(kStateStep);
    if (!step) return std::nullopt;
    return StateProgress{*step, number(kStatePlannedSteps).value_or(0)};
  } catch (const Error&) {
    return std::nullopt;
  }
}

void check_facts(const std::filesystem::path& path, const TrainState& state, const StateFacts& facts) {
  for (const auto& [key, value] : facts) {
    const auto found = state.facts.find(key);
    const std::string then = found == state.facts.end() ? "nothing" : found->second;
    if (then != value)
      throw Error(kBadInput, "{}: the run began with {} {}, but now uses {} {}; use the same settings.",
                  path.string(), told(key), then, told(key), value);
  }
}

RunState open_run_state(const std::filesystem::path& file, const StateFacts& facts) {
  RunState run{.file = file, .origin = file, .facts = facts, .saved = load_train_state(file)};
  if (run.saved) check_facts(file, *run.saved, facts);
  return run;
}

at::Generator step_generator(std::uint64_t seed, std::int64_t step) {
  // SplitMix64 of the pair: neighbouring steps get unrelated streams.
  std::uint64_t z = seed * 0x9E3779B97F4A7C15ull + static_cast<std::uint64_t>(step) + 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return at::detail::createCPUGenerator(z ^ (z >> 31));
}

}  // namespace lowrank::training
