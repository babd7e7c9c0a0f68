#include "training/lora/lora_run_start.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/left_temporaries.h"
#include "base/text/text.h"
#include "request/training/schedules.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

constexpr const char *kCheckpointHash = "checkpoint.hash", *kCheckpointName = "checkpoint.name",
                     *kPictures = "pictures.seen", *kThreads = "threads", *kStartedAt = "started_at",
                     *kProcesses = "number of processes";

// What a resumed run must repeat. A run may be prolonged where the learning rate does not depend on its length.
StateFacts settings_of(const pipeline::LoadedModel& model, const LoraTrainOptions& o, const LoraPlan& plan) {
  StateFacts facts = {
      {"lowrank.phase", "lora"},
      {"vae", model.vae_path.empty()
                  ? "None"
                  : fmt::format("{} ({})", model.vae_path.filename().string(),
                                fs::is_regular_file(model.vae_path) ? model.vae_hash->prefix(10)
                                                                    : std::string("a folder"))}};
  const request::LoraTraining job{.options = o};
  for (const auto& row : request::lora_options())
    if (row.on_resume == request::OnResume::kSame)
      facts.emplace(request::field_name(row.flag), request::option_key(row, job));
  facts.emplace(kProcesses, std::to_string(plan.processes));
  if (request::schedule(o.scheduler).depends_on_length)
    facts.emplace("max_train_steps", std::to_string(plan.steps));
  return facts;
}

// A state of an older version does not know the options that came later: its run had their defaults.
void add_later_options(TrainState& state) {
  const request::LoraTraining defaults;
  state.facts.emplace(kProcesses, "1");
  for (const auto& row : request::lora_options())
    if (row.on_resume == request::OnResume::kSame)
      state.facts.emplace(request::field_name(row.flag), request::option_key(row, defaults));
}

std::string seen_text(const Dataset& dataset) {
  nlohmann::json all = nlohmann::json::object();
  for (const auto& [name, seen] : dataset.seen()) all[name] = {seen.content, seen.caption, seen.place};
  return all.dump();
}

// What became of a picture; "" when it is as it was.
std::string change_of(const nlohmann::json& then, const Dataset::Seen& now) {
  if (!then.is_array() || then.size() != 3) return "cannot be compared with the saved one";
  if (then[0] != now.content) return "has other content now";
  if (then[1] != now.caption) return "has another caption now";
  if (then[2] != now.place)
    return "is resized differently now (--resolution, --enable-bucket and the other bucket options)";
  return "";
}

// The changed pictures, each with what happened to it, in the order of their names.
std::map<std::string, std::string> changes(const nlohmann::json& then, const Dataset& dataset) {
  std::map<std::string, std::string> all;
  const auto now = dataset.seen();
  for (const auto& [name, seen] : now) {
    const std::string change = then.contains(name) ? change_of(then[name], seen) : "is new";
    if (!change.empty()) all.emplace(name, change);
  }
  for (const auto& [name, seen] : then.items())
    if (!now.contains(name)) all.emplace(name, "is missing now");
  return all;
}

void check_pictures(const fs::path& path, const TrainState& state, const Dataset& dataset) {
  const auto found = state.facts.find(kPictures);
  const auto then =
      found == state.facts.end() ? nlohmann::json() : nlohmann::json::parse(found->second, nullptr, false);
  if (!then.is_object())
    throw Error(kBadInput, "{}: the saved state does not say which pictures it was trained on.",
                path.string());
  const auto changed = changes(then, dataset);
  if (changed.empty()) return;
  const auto& [name, change] = *changed.begin();
  throw Error(
      kBadInput,
      "{}: the pictures have changed since the run began: {} {}{}; restore them, or start over with --fresh.",
      path.string(), name, change,
      changed.size() == 1 ? "" : fmt::format(" (and {} more changed)", changed.size() - 1));
}

void check_checkpoint(const fs::path& path, const TrainState& state, const StateFacts& facts) {
  const auto then = [&](const char* key) {
    const auto found = state.facts.find(key);
    return found == state.facts.end() ? std::string() : found->second;
  };
  if (then(kCheckpointHash) != facts.at(kCheckpointHash))
    throw Error(
        kBadInput,
        "{}: the run began with the checkpoint {} ({}), but now uses {} ({}); use the same checkpoint.",
        path.string(), then(kCheckpointName), then(kCheckpointHash).substr(0, 10), facts.at(kCheckpointName),
        facts.at(kCheckpointHash).substr(0, 10));
}

void restore_thread_count(const fs::path& path, const TrainState& state, const LoraTrainOptions& options) {
  const auto found = state.facts.find(kThreads);
  const auto then = found == state.facts.end() ? std::nullopt : parse_integer(found->second);
  if (!then || *then < 1 || *then > 4096)
    throw Error(kBadInput, "{}: the saved state does not say how many threads it was trained with.",
                path.string());
  if (options.threads > 0 && options.threads != *then)
    throw Error(kBadInput,
                "{}: the run began with --threads {}, which affects rounding, but now uses --threads {}; "
                "leave the option out.",
                path.string(), *then, options.threads);
  at::set_num_threads(static_cast<int>(*then));
}

StateFacts facts_of(const pipeline::LoadedModel& model, const Dataset& dataset, StateFacts facts) {
  facts[kCheckpointName] = model.path.filename().string();
  facts[kCheckpointHash] =
      fs::is_regular_file(model.path) ? model.hash->prefix(64) : model.path.filename().string();
  facts[kPictures] = seen_text(dataset);
  return facts;
}

// A file that is gone when this object is.
struct ScratchFile {
  explicit ScratchFile(fs::path file) : path(std::move(file)) {}
  ~ScratchFile() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  fs::path path;
};

std::optional<TrainState> saved_state(const LoraRunStart& start, const Dataset& dataset,
                                      const LoraTrainOptions& options, const LoraPlan& plan,
                                      const StateFacts& settings) {
  const fs::path& path = start.run.origin;
  std::optional<TrainState> saved = load_train_state(path);
  if (!saved) return std::nullopt;
  add_later_options(*saved);
  check_facts(path, *saved, settings);
  check_checkpoint(path, *saved, start.run.facts);
  check_pictures(path, *saved, dataset);
  if (saved->step > plan.steps)
    throw Error(kBadInput,
                "{}: the saved run has finished {} steps, but this one asks for {}; raise --max-train-steps.",
                path.string(), saved->step, plan.steps);
  restore_thread_count(path, *saved, options);
  return saved;
}

std::int64_t started_at(const RunState& run) {
  if (run.saved)
    if (const auto found = run.saved->facts.find(kStartedAt); found != run.saved->facts.end())
      if (const auto seconds = parse_number(found->second)) return static_cast<std::int64_t>(*seconds);
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The run will save its state there, and --fresh removes what is there: only ever a state of this run.
void check_state_file(const LoraTrainOptions& options) {
  const fs::path file = options.state_file();
  if (is_other_than_state(file))
    throw Error(kConflict,
                "{}: this run would save its state there, but the file is something else, such as a LoRA; "
                "rename it, or choose another --output-name.",
                file.string());
  std::error_code failure;
  if (options.resume && !options.fresh && fs::exists(file) && !fs::equivalent(*options.resume, file, failure))
    throw Error(kConflict,
                "{}: is the state of another run, which resuming from {} would replace; choose another "
                "--output-name, or replace it with --fresh.",
                file.string(), options.resume->string());
}

// The LoRAs that this run will write, those on the way first.
std::vector<fs::path> files_to_come(const LoraTrainOptions& o, const LoraPlan& plan, std::int64_t done) {
  std::vector<fs::path> files;
  if (o.save_every_steps > 0)
    for (auto step = (done / o.save_every_steps + 1) * o.save_every_steps; step < plan.steps;
         step += o.save_every_steps)
      files.push_back(o.step_file(step));
  if (o.save_every_epochs > 0)
    for (auto epoch = o.save_every_epochs; epoch * plan.steps_per_epoch < plan.steps;
         epoch += o.save_every_epochs)
      if (epoch * plan.steps_per_epoch > done) files.push_back(o.epoch_file(epoch));
  files.push_back(o.output_file());
  return files;
}

// Whether the file is a LoRA that this run wrote.
bool is_of_run(const fs::path& file, std::int64_t started_at) {
  try {
    const auto open = weights::TensorFile::open(file);
    const auto& metadata = open->metadata();
    const auto found = metadata.find("ss_training_started_at");
    return found != metadata.end() && found->second == request::python_text(static_cast<double>(started_at));
  } catch (const Error&) {
    return false;
  }
}

// A run that goes on may meet what it wrote itself: between its saved state and its end, and the LoRA of its former
// end. Otherwise nothing is replaced unasked.
void check_files(LoraRunStart& start, const LoraTrainOptions& options, const LoraPlan& plan) {
  const RunState& run = start.run;
  const bool goes_on = run.saved && run.origin == run.file;
  const std::int64_t done = run.saved ? run.saved->step : 0;
  for (const fs::path& file : files_to_come(options, plan, done)) {
    if (!fs::exists(file)) continue;
    const bool is_own = goes_on && (file != options.output_file() || is_of_run(file, start.started_at));
    start.is_finished = is_own && done == plan.steps && file == options.output_file();
    if (start.is_finished) return;
    if (!is_own && !options.fresh)
      throw Error(kConflict,
                  "{}: exists already, and no saved state says how this run would go on from it; choose "
                  "another --output-name, or start over and replace it with --fresh.",
                  file.string());
    start.notes.push_back(fmt::format("{} will be replaced.", file.string()));
  }
}

}  // namespace

std::vector<fs::path> superseded_files(const LoraTrainOptions& o, const LoraPlan& plan, std::int64_t done) {
  std::vector<fs::path> files;
  if (o.save_last_steps && o.save_every_steps > 0 && done % o.save_every_steps == 0) {
    std::int64_t step = done - *o.save_last_steps - 1;
    step -= step % o.save_every_steps;
    if (step > 0) files.push_back(o.step_file(step));
  }
  const std::int64_t interval = o.save_every_epochs * plan.steps_per_epoch;
  if (o.save_last_epochs && interval > 0 && done % interval == 0) {
    const std::int64_t epoch = done / plan.steps_per_epoch - o.save_every_epochs * *o.save_last_epochs;
    if (epoch > 0) files.push_back(o.epoch_file(epoch));
  }
  return files;
}

LoraRunStart begin_lora_run(const pipeline::LoadedModel& model, const Dataset& dataset,
                            const LoraTrainOptions& options, const LoraPlan& plan) {
  LoraRunStart start;
  const fs::path state_folder = options.state_file().parent_path();
  start.locks.emplace_back(options.output_dir, "another training");
  std::error_code failure;
  if (!fs::equivalent(options.output_dir.empty() ? "." : options.output_dir,
                      state_folder.empty() ? "." : state_folder, failure))
    start.locks.emplace_back(state_folder, "another training");
  for (const FolderLock& lock : start.locks)
    if (!lock.is_held())
      start.notes.push_back(
          "the file system does not support locks: do not run another training in this folder.");

  remove_left_temporaries(options.output_dir);
  remove_left_temporaries(state_folder);
  const StateFacts settings = settings_of(model, options, plan);
  RunState& run = start.run;
  run.file = options.state_file();
  run.origin = options.resume.value_or(run.file);
  run.facts = facts_of(model, dataset, settings);
  if (options.resume && !fs::exists(run.origin))
    throw Error(kNotFound, "--resume {}: no such file.", run.origin.string());
  check_state_file(options);
  if (options.fresh && !options.resume) {
    fs::remove(run.origin);
  } else {
    try {
      run.saved = saved_state(start, dataset, options, plan, settings);
    } catch (const Error& error) {
      throw error.during(options.resume
                             ? fmt::format("resuming with --resume {}", options.resume->string())
                             : std::string("resuming the run (--fresh discards it and starts over)"));
    }
  }
  if (!run.saved && options.threads > 0) at::set_num_threads(options.threads);
  run.facts[kThreads] = std::to_string(at::get_num_threads());
  run.facts[kStatePlannedSteps] = std::to_string(plan.steps);
  start.started_at = started_at(run);
  run.facts[kStartedAt] = std::to_string(start.started_at);
  check_files(start, options, plan);
  return start;
}

void announce_lora_run(const LoraRunStart& start, ProcessGroup& group) {
  const nlohmann::json about = {{"facts", start.run.facts},
                                {"is_finished", start.is_finished},
                                {"has_state", start.run.saved.has_value() && !start.is_finished}};
  group.broadcast(about.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  if (about["has_state"] == true)
    group.broadcast(read_file(start.run.origin, std::numeric_limits<std::size_t>::max()));
}

LoraRunStart join_lora_run(const pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const LoraPlan& plan, ProcessGroup& group) {
  LoraRunStart start;
  const StateFacts settings = settings_of(model, options, plan);
  RunState& run = start.run;
  run.file = run.origin = options.state_file();
  const auto about = nlohmann::json::parse(group.broadcast({}));
  const TrainState writers{0, about["facts"].get<StateFacts>(), {}};
  const fs::path writer = fmt::format("the process of rank 0, which this one of rank {} joins", group.rank());
  check_facts(writer, writers, settings);
  run.facts = facts_of(model, dataset, settings);
  check_checkpoint(writer, writers, run.facts);
  check_pictures(writer, writers, dataset);
  start.is_finished = about["is_finished"];
  RunState begun;
  begun.saved = writers;
  start.started_at = started_at(begun);
  if (options.threads > 0) at::set_num_threads(options.threads);
  if (about["has_state"] == false) return start;
  // The machines need not share a disk.
  const ScratchFile copy(fs::temp_directory_path() /
                         fmt::format("lowrank-{}-{}.safetensors", ::getpid(), group.rank()));
  write_file(copy.path, group.broadcast({}));
  run.saved = load_train_state(copy.path);
  LOWRANK_CHECK(run.saved.has_value());
  for (auto& [name, tensor] : run.saved->tensors) tensor = tensor.clone();
  return start;
}

}  // namespace lowrank::training
