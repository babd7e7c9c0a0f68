#include "server/orders/training_order.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "prompt/infotext.h"
#include "server/http/refusal.h"
#include "training/lora/lora_option_table.h"
#include "training/lora/sample_pictures.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

std::string text_of(const RequestJson& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return prompt::number_text(value.get<double>());
  return value.dump();
}

// Sample pictures are bound by the same limits as others.
void read_samples(training::LoraJob& job, const std::string& lines, const GenerationLimits& limits) {
  const auto resolution = job.options.data.buckets.resolution;
  const training::PixelSize size = resolution.width > 0 ? resolution : training::PixelSize{512, 512};
  const auto requests = training::parse_sample_prompts(lines, "sample_prompts", size);
  if (requests.size() > 16) throw Error(kBadInput, "at most 16 prompts are drawn");
  for (const auto& request : requests) check_limits(request, limits);
  job.sample_lines = lines;
}

}  // namespace

TrainingOrder read_training(const RequestJson& body, Catalog& catalog, const GenerationLimits& limits) {
  TrainingOrder order;
  Faults faults;
  if (!body.is_object()) {
    faults.add("body", "request", "value is not a valid dict", "type_error.dict");
    faults.throw_if_any();
  }
  const fs::path root = catalog.data().root;
  std::string samples;
  for (const auto& [name, value] : body.items()) {
    std::string flag = name;
    std::ranges::replace(flag, '_', '-');
    if (value.is_null() || value == false) continue;
    const auto fault = [&](const std::string& message) { faults.add("body", name, message, "value_error"); };
    if (flag == "resume" && value == true) {
      order.resumes = true;
    } else if (flag == "output-dir" || flag == "resume") {
      fault("paths other than train_data_dir are not taken from requests");
    } else if (flag == "sample-prompts") {
      samples = text_of(value);
    } else if (flag == "sample-every-n-steps") {
      if (value.is_number_integer() && value >= 0 && value <= 1'000'000'000) {
        order.job.sample_every_steps = value.get<std::int64_t>();
      } else {
        fault("must be a whole number of steps");
      }
    } else if (flag == "pretrained-model" || flag == "pretrained-model-name-or-path" || flag == "model") {
      const auto found = catalog.find_checkpoint(text_of(value), Match::kPart);
      if (found) {
        order.job.checkpoint = found->path.string();
      } else {
        fault(fmt::format("model '{}' not found", text_of(value).substr(0, 200)));
      }
    } else if (flag == "train-data-dir") {
      const fs::path folder = root / text_of(value);
      std::error_code failure;
      if (!is_below(folder, root) || !fs::is_directory(folder, failure)) {
        fault(fmt::format("there is no folder of that name below {}", root.string()));
      } else {
        order.job.options.data.folder = folder;
      }
    } else if (training::lora_option(flag) != nullptr) {
      try {
        training::set_lora_option(order.job.options, flag,
                                  value == true ? std::string("true") : text_of(value));
      } catch (const Error& error) {
        fault(error.what());
      }
    }
  }
  auto& options = order.job.options;
  if (options.data.folder.empty() && !body.contains("train_data_dir"))
    faults.add("body", "train_data_dir", "field required", "value_error.missing");
  if (options.output_name.empty() || options.output_name.size() > 128 ||
      options.output_name.find_first_of("/\\:<>\n") != std::string::npos ||
      options.output_name.starts_with('.'))
    faults.add("body", "output_name", "must be a plain file name without ending", "value_error");
  options.output_dir = catalog.data().loras();
  try {
    if (!samples.empty()) read_samples(order.job, samples, limits);
  } catch (const Error& error) {
    faults.add("body", "sample_prompts", error.what(), "value_error");
  }
  faults.throw_if_any();
  return order;
}

void refuse_finished(const TrainingOrder& order, const TrainingRuns& trainings) {
  training::LoraTrainOptions options = order.job.options;
  options.state_dir = trainings.folder(options.output_name);
  std::error_code failure;
  const bool is_stopped = fs::exists(options.state_file(), failure);
  if (order.resumes && !is_stopped)
    refuse_field("resume",
                 fmt::format("no stopped run of '{}' is kept; leave it out to train from the beginning",
                             options.output_name),
                 "value_error");
  if (options.fresh || is_stopped || !fs::exists(options.output_file(), failure)) return;
  refuse_field(
      "output_name",
      fmt::format("there is a LoRA '{}' already, and a finished one is not trained further; choose another "
                  "name, or replace it with \"fresh\": true",
                  options.output_name),
      "value_error");
}

}  // namespace lowrank::server
