// `lowrank train base`: folders of captioned pictures become a checkpoint. A stopped run goes on by the same
// command.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <cstdlib>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/text/text.h"
#include "cli/engine/commands.h"
#include "cli/engine/training_bar.h"
#include "cli/engine/word_reader.h"
#include "training/scratch/base_run.h"

namespace lowrank::cli {
namespace {

double rate(std::string_view flag, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !(value > 0 && value <= 10))
    throw Error(kBadInput, "{} is '{}', but must be above 0 and at most 10.", flag, text);
  return value;
}

struct Command {
  training::BaseRunOptions run;
  int threads = 0;
};

Command parse_train_base(std::span<const std::string> words) {
  Command command;
  auto& run = command.run;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    const std::string& flag = words[i];
    if (i + 1 == words.size()) throw Error(kBadInput, "{} needs a value behind it.", flag);
    const std::string& value = words[i + 1];
    if (flag == "--data")
      run.pictures = value;
    else if (flag == "--vae-data")
      run.vae_pictures = value;
    else if (flag == "--from")
      run.start = value;
    else if (flag == "--out")
      run.out = value;
    else if (flag == "--state")
      run.work = value;
    else if (flag == "--shape")
      run.shape = value;
    else if (flag == "--vae-steps")
      run.vae.steps = whole_number(flag.substr(2), value, 1);
    else if (flag == "--steps")
      run.base.steps = whole_number(flag.substr(2), value, 1);
    else if (flag == "--batch")
      run.base.batch = whole_number(flag.substr(2), value, 1);
    else if (flag == "--learning-rate")
      run.base.learning_rate = rate(flag, value);
    else if (flag == "--seed")
      run.vae.seed = run.base.seed = static_cast<std::uint64_t>(whole_number(flag.substr(2), value, 0));
    else if (flag == "--threads")
      command.threads = static_cast<int>(whole_number(flag.substr(2), value, 0));
    else
      throw Error(kBadInput, "'{}' is no option of train base; see lowrank train base --help.", flag);
  }
  if (run.pictures.empty()) throw Error(kBadInput, "--data is missing; name a folder of captioned pictures.");
  if (run.out.extension() != ".safetensors")
    throw Error(kBadInput, "--out is '{}', but must name a file that ends in .safetensors.",
                run.out.string());
  if (run.work.empty()) run.work = std::filesystem::path(run.out).replace_extension(".state");
  return command;
}

}  // namespace

int train_base(const CommandCall& call) {
  const Command command = parse_train_base(call.words);
  std::error_code problem;
  std::filesystem::create_directories(command.run.work, problem);
  if (problem)
    throw Error(kIo, "{}: the folder cannot be made: {}.", command.run.work.string(), problem.message());
  if (command.threads > 0) at::set_num_threads(command.threads);
  TrainingBar bar(stderr);
  training::RunControl control;
  control.stop = call.stop;
  control.save_every = 100;
  control.report = [&](const training::TrainEvent& event) { bar.show(event); };
  training::run_base_training(command.run, control);
  bar.clear();
  fmt::print("Checkpoint: {}\n", command.run.out.string());
  return 0;
}

}  // namespace lowrank::cli
