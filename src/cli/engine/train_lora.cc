#include "cli/engine/train_lora.h"

#include <fmt/format.h>

#include "cli/engine/training_bar.h"
#include "cli/engine/word_reader.h"
#include "request/training/lora_table.h"

namespace lowrank::cli {

TrainLoraCommand parse_train_lora(std::span<const std::string> words) {
  TrainLoraCommand command;
  WordReader reader(words, "train lora");
  while (reader.next()) {
    if (const auto* row = request::find_lora_option(reader.flag())) {
      request::set_option(*row, command.job, row->is_switch() ? "" : reader.value(),
                          fmt::format("--{}", row->flag));
    } else if (reader.flag() == "data-dir") {
      command.data_dir = reader.value();
    } else if (reader.flag() == "prompt-limits") {
      command.prompt_limits = prompt::parse_prompt_limits(reader.value(), "--prompt-limits");
    } else {
      reader.refuse();
    }
  }
  auto& folder = command.job.options.output_dir;
  if (folder.empty()) folder = command.data_dir / "models" / "Lora";
  return command;
}

int train_lora(const TrainLoraCommand& command, const TrainLoraSurroundings& around) {
  pipeline::Session session(training::with_vae(around.resources(command.data_dir), command.job.vae),
                            {.threads = command.job.options.threads,
                             .version = around.version,
                             .prompt_limits = command.prompt_limits});
  TrainingBar bar(around.progress);
  training::RunControl control;
  control.stop = around.stop;
  control.report = [&](const training::TrainEvent& event) { bar.show(event); };
  control.say = [&](const std::string& text) {
    bar.clear();
    fmt::print(around.out, "{}\n", text);
    std::fflush(around.out);
  };
  const auto result = training::run_lora_job(session, command.job, control);
  bar.clear();
  if (result.skipped_steps > 0)
    fmt::print(around.out, "Warning: {} steps had no finite gradient and changed nothing.\n",
               result.skipped_steps);
  fmt::print(around.out, "LoRA:          {}  ({} modules, loss {:.4f})\n", result.file.string(),
             result.modules, result.loss);
  fmt::print(around.out, "Tag:           {}\n", result.tag);
  fmt::print(around.out, "Trigger words: {}\n", result.trigger.empty() ? "(none)" : result.trigger);
  return 0;
}

}  // namespace lowrank::cli
