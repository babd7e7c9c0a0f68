#include "training/lora/run_space.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kHeaderBytes = 1 << 18;  // names, shapes and metadata of a LoRA file

std::string amount(std::int64_t bytes) {
  return bytes >= 1'000'000'000 ? fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9)
                                : fmt::format("{:.0f} MB", static_cast<double>(bytes) / 1e6);
}

// Multiples of `every` in (done, end), of which the last `kept` lie there at once.
std::int64_t files_of(std::int64_t every, std::int64_t done, std::int64_t end, std::int64_t kept) {
  if (every <= 0) return 0;
  const std::int64_t count = (end - 1) / every - done / every;
  return std::clamp<std::int64_t>(count, 0, kept);
}

fs::path existing(const fs::path& folder) {
  return folder.empty() ? fs::path(".") : folder;
}

}  // namespace

SpaceNeed space_need(const request::LoraTrainOptions& o, const LoraPlan& plan, std::int64_t done,
                     std::int64_t parameters, std::int64_t latents) {
  constexpr std::int64_t kAll = std::numeric_limits<std::int64_t>::max();
  const std::int64_t width = o.save_precision == request::SavePrecision::kFloat ? 4 : 2;
  SpaceNeed need;
  need.lora_bytes = parameters * width + kHeaderBytes;
  // One more than are kept: the next is written before the oldest goes.
  const std::int64_t kept_steps =
      o.save_last_steps && o.save_every_steps > 0 ? *o.save_last_steps / o.save_every_steps + 2 : kAll;
  const std::int64_t kept_epochs = o.save_last_epochs ? *o.save_last_epochs + 1 : kAll;
  need.lora_files = 1 + files_of(o.save_every_steps, done, plan.steps, kept_steps) +
                    files_of(o.save_every_epochs * plan.steps_per_epoch, done, plan.steps, kept_epochs);
  need.state_bytes = 3 * 4 * parameters + kHeaderBytes;
  if (o.cache_latents_to_disk) need.latent_bytes = 4 * latents;
  return need;
}

FreeSpace free_space(const fs::path& folder) {
  std::error_code failure;
  const fs::space_info space = fs::space(folder, failure);
  struct ::stat about {};
  if (failure || ::stat(folder.c_str(), &about) != 0) return {std::numeric_limits<std::int64_t>::max(), 0};
  constexpr std::uintmax_t kMost = std::numeric_limits<std::int64_t>::max();
  return {static_cast<std::int64_t>(std::min(space.available, kMost)), about.st_dev};
}

void require_space(const request::LoraTrainOptions& options, const SpaceNeed& need,
                   const std::function<FreeSpace(const fs::path&)>& free) {
  const fs::path loras = existing(options.output_dir), states = existing(options.state_file().parent_path());
  const FreeSpace at_loras = free(loras), at_states = free(states);
  const std::int64_t lora_bytes = need.lora_bytes * need.lora_files,
                     state_bytes = 2 * need.state_bytes + need.latent_bytes;
  const bool is_one = at_loras.device == at_states.device;
  const auto check = [&](const fs::path& folder, const FreeSpace& space, std::int64_t bytes) {
    if (bytes <= space.bytes) return;
    throw Error(
        kBadInput,
        "{}: the run needs {} there ({} of {} each, and {} for its state), but only {} are free; free some "
        "space, choose another --output-dir, or keep fewer files with --save-last-n-steps or "
        "--save-last-n-epochs.",
        folder.string(), amount(bytes),
        need.lora_files == 1 ? std::string("1 LoRA file") : fmt::format("{} LoRA files", need.lora_files),
        amount(need.lora_bytes), amount(state_bytes), amount(space.bytes));
  };
  check(loras, at_loras, is_one ? lora_bytes + state_bytes : lora_bytes);
  if (!is_one) check(states, at_states, state_bytes);
}

}  // namespace lowrank::training
