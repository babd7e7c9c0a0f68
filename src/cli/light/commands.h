// The commands that need no engine. Each returns an exit status; what goes wrong is thrown as Error.
#pragma once

namespace lowrank::cli {

struct Invocation;  // cli/invocation.h

int png_info(const Invocation& invocation);
int contact_sheet(const Invocation& invocation);
int prompt_explain(const Invocation& invocation);
int model_list(const Invocation& invocation);
int model_inspect(const Invocation& invocation);
int model_subfamily(const Invocation& invocation);
int lora_list(const Invocation& invocation);
int lora_find(const Invocation& invocation);
int lora_scan(const Invocation& invocation);
int lora_show(const Invocation& invocation);
int lora_tag(const Invocation& invocation);
int lora_type(const Invocation& invocation);
int lora_subfamily(const Invocation& invocation);
int lora_note(const Invocation& invocation);
int lora_rate(const Invocation& invocation);
int lora_preview(const Invocation& invocation);
int lora_dedupe(const Invocation& invocation);
int lora_missing(const Invocation& invocation);
int lora_import(const Invocation& invocation);
int lora_check_updates(const Invocation& invocation);
int lora_why(const Invocation& invocation);
int train_presets(const Invocation& invocation);
int recipe_save(const Invocation& invocation);
int recipe_list(const Invocation& invocation);
int recipe_show(const Invocation& invocation);
int recipe_export(const Invocation& invocation);
int recipe_import(const Invocation& invocation);
int recipe_remove(const Invocation& invocation);
int lora_inspect(const Invocation& invocation);
int completion(const Invocation& invocation);
int man(const Invocation& invocation);
int version(const Invocation& invocation);

}  // namespace lowrank::cli
