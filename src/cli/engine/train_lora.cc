#include "cli/engine/train_lora.h"

#include <fmt/format.h>

#include "base/log_line.h"
#include "cli/engine/training_bar.h"
#include "request/training/lora_table.h"

namespace lowrank::cli {

TrainLoraCommand read_train_lora(const Arguments& given) {
  TrainLoraCommand command{
      .job = {},
      .data_dir = given.value("data-dir"),
      .prompt_limits = prompt::parse_prompt_limits(given.value("prompt-limits"), "--prompt-limits")};
  for (const auto& row : request::lora_options())
    for (const std::string& value : given.values(row.flag))
      request::set_option(row, command.job, value, fmt::format("--{}", row.flag));
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
  training::RunControl control;
  control.stop = environment.stop;
  control.report = [&](const training::TrainEvent& event) { bar.show(event); };
  control.say = [&](const std::string& text) {
    bar.clear();
    log_line(environment.out, "{}\n", text);
    std::fflush(environment.out);
  };
  const auto result = training::run_lora_job(session, command.job, control);
  bar.clear();
  if (result.skipped_steps > 0)
    fmt::print(environment.out, "Warning: {} steps had a non-finite gradient and were skipped.\n",
               result.skipped_steps);
  fmt::print(environment.out, "LoRA:          {}  ({} modules, loss {:.4f})\n", result.file.string(),
             result.modules, result.loss);
  fmt::print(environment.out, "Tag:           {}\n", result.tag);
  fmt::print(environment.out, "Trigger words: {}\n", result.trigger.empty() ? "(none)" : result.trigger);
  return 0;
}

}  // namespace lowrank::cli
