// The commands that need no engine. Each returns an exit status; what goes wrong is thrown as Error.
#pragma once

#include "cli/invocation.h"

namespace lowrank::cli {

int png_info(const Invocation& invocation);
int contact_sheet(const Invocation& invocation);
int prompt_explain(const Invocation& invocation);
int model_list(const Invocation& invocation);
int model_inspect(const Invocation& invocation);
int lora_list(const Invocation& invocation);
int lora_find(const Invocation& invocation);
int lora_scan(const Invocation& invocation);
int lora_show(const Invocation& invocation);
int lora_inspect(const Invocation& invocation);
int completion(const Invocation& invocation);
int man(const Invocation& invocation);

}  // namespace lowrank::cli
