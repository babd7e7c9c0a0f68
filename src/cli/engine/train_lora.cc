#include "cli/engine/train_lora.h"

#include <fmt/format.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/engine/training_bar.h"
#include "library/near_names.h"
#include "request/training/config_file.h"
#include "request/training/lora_table.h"

namespace lowrank::cli {

namespace {

// What is no option may be a misspelt one, and a night would be spent without it: all are told, and nothing is begun.
void refuse_unknown(const request::ConfigFile& config) {
  if (config.unknown.empty()) return;
  std::vector<std::string> known;
  for (const auto& row : request::lora_options()) known.push_back(request::field_name(row.flag));
  std::string all;
  for (const auto& [place, key] : config.unknown)
    all += fmt::format("{}{}: '{}' is no option.{}", all.empty() ? "" : " ", place, key,
                       library::did_you_mean(key, known));
  throw Error(kBadInput, "{} Remove {}.", all, config.unknown.size() == 1 ? "it" : "them");
}

// A preset first, then the file, then the command line.
std::vector<std::string> set_options(request::LoraTraining& job, const Arguments& given) {
  request::ConfigFile config;
  if (const std::string file = given.value("config-file"); !file.empty())
    config = request::read_config_file(file);
  refuse_unknown(config);
  const auto* preset = request::find_lora_option("preset");
  for (const auto& setting : config.settings)
    if (setting.row == preset && !given.has("preset"))
      request::set_option(*setting.row, job, setting.text, setting.name);
  if (given.has("preset")) request::set_option(*preset, job, given.value("preset"), "--preset");
  for (const auto& setting : config.settings)
    if (setting.row != preset) request::set_option(*setting.row, job, setting.text, setting.name);
  for (const auto& row : request::lora_options())
    for (const std::string& value : given.values(row.flag))
      if (&row != preset) request::set_option(row, job, value, fmt::format("--{}", row.flag));
  return config.notes;
}

}  // namespace

TrainLoraCommand read_train_lora(const Arguments& given) {
  TrainLoraCommand command{
      .job = {},
      .data_dir = given.value("data-dir"),
      .prompt_limits = prompt::parse_prompt_limits(given.value("prompt-limits"), "--prompt-limits")};
  command.notes = set_options(command.job, given);
  const auto& data = command.job.options.data;
  if (given.has("config-file") && data.folder.empty() && data.config.empty() && given.positionals.empty())
    throw Error(kBadInput, "{} says no train_data_dir; add it, or give --train-data-dir DIR.",
                given.value("config-file"));
  auto& folder = command.job.options.output_dir;
  if (folder.empty()) folder = command.data_dir / "models" / "Lora";
  return command;
}

int train_lora_command(const TrainLoraCommand& command, const TrainLoraEnvironment& environment) {
  pipeline::Session session(training::with_vae(environment.resources(command.data_dir), command.job.vae),
                            {.threads = command.job.options.threads,
                             .version = environment.version,
                             .prompt_limits = command.prompt_limits});
  TrainingBar bar(environment.progress);
  training::LoraRunControl control;
  control.stop = environment.stop;
  const auto place = training::parallel_place([](const char* name) { return std::getenv(name); });
  if (place.processes > 1) control.group = std::make_shared<training::ProcessGroup>(place);
  if (place.rank == 0) control.report = [&](const training::TrainEvent& event) { bar.show(event); };
  control.say = [&](const std::string& text) {
    bar.clear();
    if (place.rank != 0) return;  // the process of rank 0 tells
    log_line(environment.out, "{}\n", text);
    std::fflush(environment.out);
  };
  if (place.processes > 1)
    control.say(fmt::format("{} processes train together, each with batches of {}.", place.processes,
                            command.job.options.data.batch_size));
  for (const auto& note : command.notes) control.say("Note: " + note);
  const auto result = training::run_lora_job(session, command.job, control);
  bar.clear();
  if (place.rank != 0) return 0;
  if (result.skipped_steps > 0)
    fmt::print(environment.out, "Warning: {} steps had a non-finite gradient and were skipped.\n",
               result.skipped_steps);
  fmt::print(environment.out, "LoRA:          {}  ({} modules{})\n", result.file.string(), result.modules,
             result.losses.empty() ? std::string() : fmt::format(", loss {:.4f}", result.loss));
  fmt::print(environment.out, "Tag:           {}\n", result.tag);
  fmt::print(environment.out, "Trigger words: {}\n", result.trigger.empty() ? "(none)" : result.trigger);
  if (!result.state.empty())
    fmt::print(environment.out, "State:         {}  (a larger --max-train-steps trains further)\n",
               result.state.string());
  return 0;
}

}  // namespace lowrank::cli
