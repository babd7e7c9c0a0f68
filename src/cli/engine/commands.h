// The commands that need the engine. Each takes its arguments and returns an exit status; what
// goes wrong is thrown as Error.
#pragma once

#include <stop_token>
#include <string>

#include "cli/arguments.h"

namespace lowrank::cli {

struct CommandCall {
  const Arguments& arguments;
  std::stop_token stop;  // requested by the first Ctrl-C
};

int txt2img(const CommandCall& call);
int img2img(const CommandCall& call);
int extras(const CommandCall& call);
int xyz(const CommandCall& call);
int matrix(const CommandCall& call);
int prompts(const CommandCall& call);
int bench(const CommandCall& call);
int model_random(const CommandCall& call);
int train_base(const CommandCall& call);
int train_sheet(const CommandCall& call);
int train_check(const CommandCall& call);
int train_tags(const CommandCall& call);
int serve(const CommandCall& call);
int lora_merge(const CommandCall& call);
int lora_resize(const CommandCall& call);
int lora_extract(const CommandCall& call);
int lora_scale(const CommandCall& call);
int lora_split(const CommandCall& call);
int lora_strip(const CommandCall& call);
int lora_set(const CommandCall& call);

// "LowRank 0.2.0": in the metadata of every picture.
std::string version_text();

}  // namespace lowrank::cli
