// `lowrank train base`: folders of captioned pictures become a checkpoint. The same command resumes a stopped run.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/engine/commands.h"
#include "cli/engine/training_bar.h"
#include "request/training/base_table.h"
#include "training/scratch/base_run.h"

namespace lowrank::cli {
namespace {

request::BaseTraining read_train_base(const Arguments& given) {
  request::BaseTraining run;
  for (const auto& row : request::base_options())
    for (const std::string& value : given.values(row.flag))
      request::set_option(row, run, value, fmt::format("--{}", row.flag));
  if (run.pictures.empty()) throw Error(kBadInput, "--data is missing; give a folder of captioned pictures.");
  if (run.out.extension() != ".safetensors")
    throw Error(kBadInput, "--out is '{}', but must name a file with the extension .safetensors.",
                run.out.string());
  if (run.work.empty()) run.work = std::filesystem::path(run.out).replace_extension(".state");
  return run;
}

}  // namespace

int train_base(const CommandCall& call) {
  const request::BaseTraining run = read_train_base(call.arguments);
  std::error_code problem;
  std::filesystem::create_directories(run.work, problem);
  if (problem)
    throw Error(kIo, "{}: the folder cannot be created: {}.", run.work.string(), problem.message());
  if (run.threads > 0) at::set_num_threads(run.threads);
  TrainingBar bar(stderr);
  training::RunControl control;
  control.stop = call.stop;
  control.save_every = 100;
  control.report = [&](const training::TrainEvent& event) { bar.show(event); };
  control.say = [&](const std::string& text) {
    bar.clear();
    log_line(stdout, "{}\n", text);
    std::fflush(stdout);
  };
  training::run_base_training(run, control);
  bar.clear();
  fmt::print("Checkpoint: {}\n", run.out.string());
  return 0;
}

}  // namespace lowrank::cli
