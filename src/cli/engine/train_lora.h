// `lowrank train lora`: arguments become a LoRA job, its progress lines and a bar on the terminal.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "pipeline/session.h"
#include "training/lora/lora_job.h"

namespace lowrank::cli {

struct TrainLoraCommand {
  request::LoraTraining job;
  std::filesystem::path data_dir = ".";
  prompt::PromptLimits prompt_limits = {};
  std::vector<std::string> notes = {};  // what of a --config-file has no effect, one sentence each
};

// A preset first, then --config-file, then the options of request/training/lora_table.h as given, --data-dir and --prompt-limits. Without --output-dir the LoRA goes to
// models/Lora of the data folder. Throws Error(kBadInput) naming the option.
TrainLoraCommand read_train_lora(const Arguments& given);

struct TrainLoraEnvironment {
  std::function<pipeline::Resources(const std::filesystem::path& data_dir)> resources;
  std::stop_token stop;          // requested by Ctrl-C: the state is saved, then Error(kCancelled) is thrown
  std::string version;           // for pictures' metadata
  std::FILE* out = stdout;       // result and facts
  std::FILE* progress = stderr;  // the bar; a line every 30 s when it is no terminal
};

// Returns 0; throws Error as run_lora_job does.
int train_lora_command(const TrainLoraCommand& command, const TrainLoraEnvironment& environment);

}  // namespace lowrank::cli
