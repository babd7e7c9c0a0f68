// `lowrank train sheet`: the LoRAs that a training saved on the way, each at several weights, on one sheet; and which of
// them its figures propose.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log_line.h"
#include "base/text/text.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "cli/engine/resources.h"
#include "cli/engine/series.h"
#include "prompt/grammar/extra_networks.h"
#include "training/lora/lora_trainer.h"
#include "weights/tensor_file.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

struct SavedLora {
  std::string name;
  std::int64_t step = 0, epoch = 0;
  std::optional<double> validation;
  std::string trigger;
};

SavedLora read_saved(const fs::path& file) {
  const auto open = weights::TensorFile::open(file);
  const auto& metadata = open->metadata();
  const auto text = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  SavedLora saved;
  saved.name = file.stem().string();
  saved.step = parse_integer(text("ss_steps")).value_or(0);
  saved.epoch = parse_integer(text("ss_epoch")).value_or(0);
  saved.validation = parse_number(text(training::kValidationLoss));
  saved.trigger = text("modelspec.trigger_phrase");
  return saved;
}

// "fox-000003" or "fox-step00000100" of "fox".
bool is_saved_on_the_way(std::string_view stem, const std::string& name) {
  if (!stem.starts_with(name + "-")) return false;
  stem.remove_prefix(name.size() + 1);
  const bool is_step = stem.starts_with("step");
  if (is_step) stem.remove_prefix(4);
  return stem.size() == (is_step ? 8u : 6u) &&
         std::ranges::all_of(stem, [](char c) { return c >= '0' && c <= '9'; });
}

// By steps, the finished one last.
std::vector<SavedLora> saved_loras(const fs::path& data_dir, const std::string& name) {
  const fs::path whole = resources(data_dir).lora(name);
  std::vector<SavedLora> all;
  std::error_code failure;
  for (fs::directory_iterator it(whole.parent_path(), failure), end; !failure && it != end;
       it.increment(failure))
    if (it->path().extension() == ".safetensors" && is_saved_on_the_way(it->path().stem().string(), name))
      all.push_back(read_saved(it->path()));
  std::ranges::sort(all, {}, [](const SavedLora& lora) { return std::pair(lora.step, lora.name); });
  all.push_back(read_saved(whole));
  return all;
}

std::vector<double> weights_of(const std::string& text) {
  std::vector<double> weights;
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    const auto part = trim(std::string_view(text).substr(from, comma - from));
    const auto weight = parse_number(part);
    if (!weight)
      throw Error(kBadInput,
                  "--weights is '{}', but must be numbers separated by commas, such as 0.6, 0.8, 1.", text);
    weights.push_back(*weight);
    from = comma + 1;
  }
  return weights;
}

std::string row_label(const SavedLora& lora) {
  std::string label = lora.name;
  if (lora.step > 0) label += fmt::format(", step {}", lora.step);
  if (lora.validation) label += fmt::format(", validation loss {:.4f}", *lora.validation);
  return label;
}

request::Series sheet_series(const request::GenerationRequest& base, const std::vector<SavedLora>& loras,
                             const std::vector<double>& weights) {
  request::Series series;
  request::SeriesGrid grid{.columns = {}, .rows = {}, .sheets = {{}}};
  for (const double weight : weights) grid.columns.push_back({{fmt::format("weight {}", weight)}});
  for (const SavedLora& lora : loras) {
    grid.rows.push_back({{row_label(lora)}});
    for (const double weight : weights) {
      series.requests.push_back(base);
      series.requests.back().prompt += fmt::format(" <lora:{}:{}>", prompt::network_name(lora.name), weight);
    }
  }
  series.order.resize(series.requests.size());
  std::iota(series.order.begin(), series.order.end(), std::size_t{0});
  series.grid = std::move(grid);
  return series;
}

void propose(const std::vector<SavedLora>& loras) {
  const SavedLora* best = nullptr;
  for (const SavedLora& lora : loras)
    if (lora.validation && (best == nullptr || *lora.validation < *best->validation)) best = &lora;
  if (best != nullptr)
    log_line(stderr,
             "Proposal: {} has the lowest validation loss, {:.4f}. What looks best may be another one.\n",
             best->name, *best->validation);
  else
    log_line(stderr,
             "None of these files states a validation loss, so that only the eye can choose; train with "
             "--validation-split 0.1 to have one.\n");
}

}  // namespace

int train_sheet(const CommandCall& call) {
  const std::string name = call.arguments.positionals.front();
  Arguments given = call.arguments;
  const auto weights = weights_of(given.value("weights"));
  given.options.erase("weights");
  given.positionals.clear();
  const auto loras = saved_loras(given.value("data-dir"), name);
  GenerationArguments arguments = read_generation(given, "xyz");
  if (arguments.request.prompt.empty()) arguments.request.prompt = loras.back().trigger;
  if (arguments.request.prompt.empty())
    throw Error(kBadInput, "the LoRA {} states no trigger phrase; give a prompt: -p \"a fox\".", name);
  // Pictures that are to be compared share their noise.
  if (arguments.request.seed < 0) arguments.request.seed = 42;
  request::check_request(arguments.request);
  make_series(sheet_series(arguments.request, loras, weights), arguments, "xyz-images", call);
  propose(loras);
  return 0;
}

}  // namespace lowrank::cli
