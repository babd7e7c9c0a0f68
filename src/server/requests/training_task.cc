#include "server/requests/training_task.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"
#include "library/near_names.h"
#include "prompt/infotext.h"
#include "request/training/lora_presets.h"
#include "request/training/lora_table.h"
#include "server/fields/field_parameter.h"
#include "server/http/refusal.h"
#include "training/lora/sample_pictures.h"
#include "training/run/train_state.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

// Sample pictures are bound by the same limits as others.
void check_samples(const training::LoraJob& job, const GenerationLimits& limits) {
  const auto resolution = job.options.data.buckets.resolution;
  const training::PixelSize size = resolution.width > 0 ? resolution : training::PixelSize{512, 512};
  const auto requests = training::parse_sample_prompts(job.sample_lines, "sample_prompts", size);
  if (requests.size() > 16) throw Error(kBadInput, "at most 16 sample prompts are allowed");
  for (const auto& request : requests) check_limits(request, limits);
}

// One option of the request. What it throws is a fault of this field.
class TrainingReader {
 public:
  TrainingReader(TrainingTask& task, ModelCatalog& catalog)
      : task_(task), job_(task.job), catalog_(catalog) {}

  void read(const std::string& name, const RequestJson& value) {
    const request::LoraOption* row = request::find_lora_option(name);
    if (row == nullptr) throw Error(kBadInput, "unknown training option.{}", near(name));
    if (row->flag == "resume" && (value.is_boolean() || value.is_null())) {
      task_.resumes = value == true;
      return;
    }
    if (!row->not_in_api.empty()) throw Error(kBadInput, "{}.", row->not_in_api);
    if (value.is_null()) return;
    const std::string text = text_of(*row, name, value);
    if (row->flag == "pretrained-model") {
      const auto found = catalog_.find_checkpoint(text, Match::kPart);
      if (!found) throw Error(kBadInput, "model '{}' not found", text.substr(0, 200));
      job_.checkpoint = found->path.string();
    } else if (row->flag == "train-data-dir") {
      const fs::path root = catalog_.data().root, folder = root / text;
      std::error_code failure;
      if (!is_below(folder, root) || !fs::is_directory(folder, failure))
        throw Error(kBadInput, "no folder of that name in {}", root.string());
      job_.options.data.folder = folder;
    } else if (row->flag == "sample-prompts") {
      job_.sample_lines = text;
    } else {
      request::set_option(*row, job_, text, name);
    }
  }

 private:
  static std::string near(const std::string& name) {
    std::vector<std::string> known;
    for (const auto& row : request::lora_options())
      if (row.not_in_api.empty()) known.push_back(request::field_name(row.flag));
    return library::did_you_mean(name, known);
  }

  static std::string text_of(const request::LoraOption& row, const std::string& name,
                             const RequestJson& value) {
    if (value.is_string()) return value.get<std::string>();
    if (value.is_boolean() && row.is_switch()) return value == true ? "true" : "false";
    if (value.is_number_float()) return prompt::number_text(value.get<double>());
    if (value.is_number()) return value.dump();
    if (value.is_array() && row.most_words > 1) {
      std::string all;
      for (const RequestJson& part : value) {
        if (!part.is_number()) throw Error(kBadInput, "{} must be a number or a list of numbers", name);
        all += (all.empty() ? "" : " ") + text_of(row, name, part);
      }
      return all;
    }
    throw Error(kBadInput, "{} must be {}", name, row.is_switch() ? "true or false" : "text or a number");
  }

  TrainingTask& task_;
  training::LoraJob& job_;
  ModelCatalog& catalog_;
};

// An option's text as the value of a request.
Json option_json(const request::LoraOption& row, const training::LoraJob& job) {
  const std::string text = request::option_text(row, job);
  if (request::option_type(row) == "string") return text;
  return text.empty() ? Json() : Json::parse(text);
}

Json form_default(const request::LoraOption& row, training::LoraJob job) {
  std::string_view text = row.form.first_value;
  for (const auto& option : request::lora_presets().front().options)
    if (option.flag == row.flag) text = option.value;
  if (!text.empty()) request::set_option(row, job, text, row.flag);
  return option_json(row, job);
}

Json presets_json() {
  Json list = Json::array();
  for (const request::LoraPreset& preset : request::lora_presets()) {
    training::LoraJob job;
    Json values = Json::object(), reasons = Json::array();
    for (const auto& [flag, value, why] : preset.options) {
      const request::LoraOption& row = *request::find_lora_option(flag);
      request::set_option(row, job, value, flag);
      values[request::field_name(flag)] = option_json(row, job);
      reasons.push_back({{"option", request::field_name(flag)}, {"value", value}, {"why", why}});
    }
    list.push_back({{"name", preset.name}, {"help", preset.help}, {"values", values}, {"reasons", reasons}});
  }
  return list;
}

}  // namespace

TrainingTask read_training(const RequestJson& body, ModelCatalog& catalog, const GenerationLimits& limits) {
  TrainingTask task;
  training::LoraJob& job = task.job;
  Faults faults;
  if (!body.is_object()) {
    faults.add("body", "request", "value is not a valid dict", "type_error.dict");
    faults.throw_if_any();
  }
  TrainingReader reader(task, catalog);
  // A preset first: the other options override it.
  for (const bool is_preset : {true, false})
    for (const auto& [name, value] : body.items()) {
      if ((name == "preset") != is_preset) continue;
      try {
        reader.read(name, value);
      } catch (const Error& error) {
        faults.add("body", name, error.what(), "value_error");
      }
    }
  auto& options = job.options;
  if (options.data.folder.empty() && !body.contains("train_data_dir"))
    faults.add("body", "train_data_dir", "field required", "value_error.missing");
  if (options.output_name.empty() || options.output_name.size() > 128 ||
      options.output_name.find_first_of("/\\:<>\n") != std::string::npos ||
      options.output_name.starts_with('.'))
    faults.add("body", "output_name", "must be a plain file name without extension", "value_error");
  options.output_dir = catalog.data().loras();
  try {
    if (!job.sample_lines.empty()) check_samples(job, limits);
  } catch (const Error& error) {
    faults.add("body", "sample_prompts", error.what(), "value_error");
  }
  faults.throw_if_any();
  try {
    request::check_options(job);  // what one option says of another
  } catch (const Error& error) {
    refuse_field("request", error.what(), "value_error");
  }
  return task;
}

Json training_schema() {
  const training::LoraJob defaults;
  Json properties = Json::object();
  for (const auto& row : request::lora_options()) {
    if (!row.not_in_api.empty()) continue;
    const std::string type(request::option_type(row));
    Json schema = {{"type", type}, {"description", row.help}, {"nullable", true}};
    const std::string text = request::option_text(row, defaults);
    if (type == "string") {
      if (!text.empty()) schema["default"] = text;
    } else if (!text.empty()) {
      schema["default"] = Json::parse(text);
    }
    if (row.min > -1e300) schema["minimum"] = row.min;
    if (row.max < 1e300) schema["maximum"] = row.max;
    if (row.only_choices) {
      Json choices = Json::array();
      for (const auto& choice : row.choices())
        choices.push_back(type == "string" ? Json(choice) : Json::parse(choice));
      schema["enum"] = choices;
    }
    schema["x-form"] = form_json(row.form, form_default(row, defaults));
    properties[request::field_name(row.flag)] = std::move(schema);
  }
  properties["train_data_dir"]["description"] =
      "folder in the data folder that contains the N_TRIGGER folders";
  properties["resume"] = {{"type", "boolean"},
                          {"description", "resume the stopped run of this name, even with `fresh`"},
                          {"default", false}};
  properties["sample_prompts"]["description"] = "prompts of sample pictures, one per line";
  return {{"type", "object"},
          {"required", Json::array({"train_data_dir"})},
          {"properties", properties},
          {"additionalProperties", false},
          {"x-presets", presets_json()}};
}

void refuse_finished(const TrainingTask& task, const fs::path& run) {
  training::LoraTrainOptions options = task.job.options;
  options.state_dir = run;
  std::error_code failure;
  const auto progress = training::state_progress(options.state_file());
  const bool is_finished = progress && progress->is_finished();
  const bool is_stopped = fs::exists(options.state_file(), failure) && !is_finished;
  if (task.resumes && !progress && !is_stopped)
    refuse_field("resume",
                 fmt::format("no run of '{}' exists to go on from; leave this out to train from scratch",
                             options.output_name),
                 "value_error");
  if (task.resumes && is_finished && !options.max_epochs && options.max_steps <= progress->step)
    refuse_field("max_train_steps",
                 fmt::format("the run of '{}' has finished {} steps; ask for more to train it further",
                             options.output_name, progress->step),
                 "value_error");
  if (options.fresh || task.resumes || is_stopped || !fs::exists(options.output_file(), failure)) return;
  refuse_field(
      "output_name",
      fmt::format(
          "a LoRA '{}' exists already and its training has finished; choose another name, {}or replace it "
          "with \"fresh\": true",
          options.output_name, is_finished ? "train it further with \"resume\": true and more steps, " : ""),
      "value_error");
}

}  // namespace lowrank::server
