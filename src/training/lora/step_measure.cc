#include "training/lora/step_measure.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "training/lora/lora_trainer.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

// The first also prepares weights and fills memory.
constexpr std::int64_t kMeasuredSteps = 3;

struct MeasureFolder {
  fs::path path;
  MeasureFolder() {
    std::string name = (fs::temp_directory_path() / "lowrank-check-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(kIo, "{}: no folder can be made there; set TMPDIR to one that can be written to.",
                  fs::temp_directory_path().string());
    path = name;
  }
  ~MeasureFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

// One batch of the bucket with most pixels.
Dataset largest_batch(const Dataset& dataset) {
  const auto& buckets = dataset.buckets();
  const auto pixels = [](const Dataset::Bucket& b) {
    return b.size.width * b.size.height * std::min<std::int64_t>(b.batch_size, std::ssize(b.examples));
  };
  const auto largest = std::ranges::max_element(buckets, {}, pixels);
  std::vector<bool> chosen(dataset.examples().size(), false);
  std::int64_t shown = 0;
  for (const std::size_t i : largest->examples) {
    if (shown >= largest->batch_size) break;
    if (!chosen[i]) shown += dataset.examples()[i].repeats;
    chosen[i] = true;
  }
  return dataset.part(chosen).all_trained();
}

request::LoraTrainOptions for_measure(request::LoraTrainOptions options, const fs::path& folder) {
  options.output_dir = folder;
  options.state_dir.clear();
  options.output_name = "check";
  options.max_steps = kMeasuredSteps;
  options.max_epochs = std::nullopt;
  options.gradient_accumulation = 1;
  options.save_every_steps = options.save_every_epochs = 0;
  options.cache_latents_to_disk = false;
  options.fresh = false;
  options.resume = std::nullopt;
  options.warmup_steps = 0;
  options.validation.split = 0;
  options.logging_dir.clear();
  return options;
}

}  // namespace

StepCost measure_step(pipeline::LoadedModel& model, const Dataset& dataset,
                      const request::LoraTrainOptions& options, const RunControl& control) {
  const MeasureFolder scratch;
  const Dataset batch = largest_batch(dataset);
  using Clock = std::chrono::steady_clock;
  StepCost cost;
  Clock::time_point last = Clock::now();
  const auto lap = [&] {
    const auto now = Clock::now();
    const double seconds = std::chrono::duration<double>(now - last).count();
    last = now;
    return seconds;
  };
  LoraRunControl measured;
  measured.stop = control.stop;
  measured.report = [&](const TrainEvent& event) {
    if (event.phase == "latents") cost.picture_seconds = lap();
  };
  // The slowest but the first: one batch of an epoch may be smaller.
  measured.after_step = [&](std::int64_t done) {
    const double seconds = lap();
    if (done > 1) cost.batch_seconds = std::max(cost.batch_seconds, seconds);
  };
  train_lora(model, batch, for_measure(options, scratch.path), measured);
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  cost.peak_bytes = std::int64_t{used.ru_maxrss} * 1024;
  return cost;
}

}  // namespace lowrank::training
