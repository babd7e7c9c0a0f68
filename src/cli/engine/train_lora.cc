#include "cli/engine/train_lora.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "cli/engine/training_bar.h"
#include "cli/engine/word_reader.h"
#include "training/lora/lora_option_table.h"

namespace lowrank::cli {
namespace {

struct OwnOption {
  std::string_view flag;
  void (*set)(TrainLoraCommand& command, const std::string& text);
};

constexpr OwnOption kOwnOptions[] = {
    {"pretrained-model", [](TrainLoraCommand& c, const std::string& t) { c.job.checkpoint = t; }},
    {"pretrained-model-name-or-path",
     [](TrainLoraCommand& c, const std::string& t) { c.job.checkpoint = t; }},
    {"vae", [](TrainLoraCommand& c, const std::string& t) { c.vae = t; }},
    {"data-dir", [](TrainLoraCommand& c, const std::string& t) { c.data_dir = t; }},
    {"sample-prompts", [](TrainLoraCommand& c, const std::string& t) { c.job.sample_prompts = t; }},
    {"sample-every-n-steps",
     [](TrainLoraCommand& c, const std::string& t) {
       c.job.sample_every_steps = whole_number("sample-every-n-steps", t, 0);
     }},
    {"state-every-n-steps",
     [](TrainLoraCommand& c, const std::string& t) {
       c.state_every_steps = whole_number("state-every-n-steps", t, 1);
     }},
    {"threads", [](TrainLoraCommand& c,
                   const std::string& t) { c.job.options.threads = whole_number("threads", t, 0); }},
    {"prompt-limits",
     [](TrainLoraCommand& c, const std::string& t) {
       c.prompt_limits = prompt::parse_prompt_limits(t, "--prompt-limits");
     }},
};

const OwnOption* own_option(std::string_view flag) {
  for (const auto& option : kOwnOptions)
    if (option.flag == flag) return &option;
  return nullptr;
}

}  // namespace

TrainLoraCommand parse_train_lora(std::span<const std::string> words) {
  TrainLoraCommand command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--") || word.size() < 3)
      throw Error(kBadInput, "'{}' is not understood here; options begin with --.", word);
    const std::size_t equals = word.find('=');
    std::string flag = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    std::replace(flag.begin(), flag.end(), '_', '-');
    const OwnOption* own = own_option(flag);
    const auto* row = training::lora_option(flag);
    if (own == nullptr && row == nullptr)
      throw Error(kBadInput, "--{} is unknown; see lowrank train lora --help.", flag);
    std::string text = equals == std::string::npos ? "" : word.substr(equals + 1);
    const bool takes_value = own != nullptr || !row->value.empty();
    if (takes_value && equals == std::string::npos) {
      if (i + 1 == words.size()) throw Error(kBadInput, "--{}: a value is missing.", flag);
      text = words[++i];
    }
    if (own != nullptr) {
      own->set(command, text);
    } else {
      training::set_lora_option(command.job.options, flag, text);
    }
  }
  auto& folder = command.job.options.output_dir;
  if (folder.empty()) folder = command.data_dir / "models" / "Lora";
  return command;
}

int train_lora(const TrainLoraCommand& command, const TrainLoraSurroundings& around) {
  pipeline::Resources resources = around.resources(command.data_dir);
  if (command.vae != "Automatic") {
    const auto find = resources.vae;
    resources.vae = [find, name = command.vae](const std::string&, const std::filesystem::path& checkpoint) {
      return find(name, checkpoint);
    };
  }
  pipeline::Session session(std::move(resources), {.threads = command.job.options.threads,
                                                   .version = around.version,
                                                   .prompt_limits = command.prompt_limits});
  TrainingBar bar(around.progress);
  training::RunControl control;
  control.stop = around.stop;
  control.save_every = command.state_every_steps;
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
