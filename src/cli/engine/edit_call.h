// What the commands that write LoRA files share: where the result goes, how its making is shown, names and weights.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/engine/commands.h"
#include "edit/job.h"
#include "edit/merge.h"

namespace lowrank::cli {

// Of --output, --overwrite, --threads and --quiet. Progress and what is told beforehand go to standard error; with --json
// nothing is told.
class EditCall {
 public:
  explicit EditCall(const CommandCall& call);
  ~EditCall();
  const edit::Job& job() const { return job_; }
  // Wipes an unfinished progress line.
  void clear();

 private:
  class Line;
  std::unique_ptr<Line> line_;
  edit::Job job_;
};

// The file of a LoRA by name or path, in the data folder of the call.
std::filesystem::path lora_path(const CommandCall& call, const std::string& name);
// A checkpoint by name or file.
std::filesystem::path checkpoint_path(const CommandCall& call, const std::string& name);
// --base, a checkpoint by name or file; nullopt: not given.
std::optional<std::filesystem::path> base_path(const CommandCall& call);

// "NAME", "NAME:0.8", "NAME:0.8:0.5:lbw=OUTALL": what a prompt's tag has between "<lora:" and ">". Throws Error(kBadInput).
edit::MergeInput merge_input(const CommandCall& call, const std::string& text);

edit::Precision precision_of(const std::string& name);  // "auto", "fp32", "fp16", "bf16"

// Lines, or with --json the object alone.
int print_report(const CommandCall& call, EditCall& edit, const edit::Report& report);  // returns 0
void print_notes(const std::vector<std::string>& notes);

}  // namespace lowrank::cli
