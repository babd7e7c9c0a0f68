#include "pipeline/generate/step_memory.h"

#include <fmt/format.h>

#include <algorithm>

namespace lowrank::pipeline {
namespace {

// Floats that a latent's cell holds at the peak of a step, per channel of the finest level: skip connections and the
// inner maps of one transformer block. Source: measured (bench/results/2026-11-27-engine.md: 143 MB for two rows of
// 64×64 in Stable Diffusion 1.5, 15 of them keys and values; 527 MB for two rows of 128×128 in SDXL).
constexpr std::int64_t kFloatsPerChannel = 13;

double in_gigabytes(std::int64_t bytes) {
  return static_cast<double>(bytes) / 1e9;
}

}  // namespace

std::int64_t row_memory(const model::DiffusionModel& network, std::int64_t cells) {
  return cells * network.model_channels() * kFloatsPerChannel * static_cast<std::int64_t>(sizeof(float));
}

StepMemory step_memory(const LoadedModel& model, std::int64_t rows, std::int64_t cells) {
  const auto kept = model.kept.find(formats::Component::kUnet);
  return {.weights = kept == model.kept.end() ? 0 : static_cast<std::int64_t>(kept->second.bytes.size()),
          .row = row_memory(*model.network, cells),
          .rows = rows};
}

StepPlan plan_step(const StepMemory& needed, std::int64_t available) {
  const std::int64_t left = available - needed.weights;
  if (needed.row <= 0 || left >= needed.row * needed.rows) return {};
  const std::int64_t at_once = std::clamp<std::int64_t>(left / needed.row, 1, needed.rows);
  const std::string all = fmt::format(
      "a step of this size needs about {:.1f} GB ({:.1f} GB of them the U-Net) and {:.1f} GB are available",
      in_gigabytes(needed.weights + needed.row * needed.rows), in_gigabytes(needed.weights),
      in_gigabytes(available));
  const std::string cut = needed.rows == 1
                              ? ""
                              : fmt::format(
                                    ", so that {} of its {} rows (pictures, each with its prompts) went "
                                    "through the U-Net at a time, which changes only the time",
                                    at_once, needed.rows);
  const bool fits = left >= needed.row;
  return {.rows_at_once = needed.rows == 1 ? 0 : at_once,
          .warning =
              fmt::format("{}{}{}.", all, cut,
                          fits ? "; --int8 or a smaller picture or batch needs less"
                               : "; that is still too much, and the system has to swap or read weights "
                                 "again in each step: use --int8, a smaller picture or end other programs")};
}

}  // namespace lowrank::pipeline
