// `lowrank prompt explain`: how a prompt is read.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "base/error.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/library_command.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/embedding_file.h"
#include "formats/lora/lora_fit.h"
#include "library/data_dir.h"
#include "library/library.h"
#include "library/near_names.h"
#include "library/prompt_names.h"
#include "prompt/explain.h"

namespace lowrank::cli {
namespace {

void apply_named_styles(const Invocation& invocation, prompt::Request& request) {
  const auto names = invocation.options.find("style");
  if (names == invocation.options.end()) return;
  const auto file = library::find_data_dir(invocation.value("data-dir")).styles();
  const auto styles = prompt::read_styles(file);
  const auto styled = prompt::apply_styles(request.prompt, request.negative_prompt, styles, names->second);
  if (!styled.unknown.empty()) {
    std::vector<std::string> known;
    for (const auto& style : styles) known.push_back(style.name);
    throw Error(kNotFound, "no style '{}' in {}.{}", styled.unknown.front(), file.string(),
                library::did_you_mean(styled.unknown.front(), known));
  }
  request.prompt = styled.prompt;
  request.negative_prompt = styled.negative_prompt;
  request.warnings = styled.warnings;
}

// The text encoders' widths of the checkpoint that is taken without being told; nullopt: none is there.
std::optional<formats::TextWidths> text_widths(const library::DataDir& data) {
  try {
    return formats::layers_of(formats::open_without_vae(find_model(data, ""))).text_widths;
  } catch (const Error&) {
    // A prompt can be explained without a checkpoint; then embeddings of any width count.
    return std::nullopt;
  }
}

// Embeddings of the data folder and inside the LoRAs that the prompt names. What stands against a LoRA comes back, one
// sentence each.
std::vector<std::string> look_up_names(const Invocation& invocation, prompt::Request& request) {
  const auto data = library::find_data_dir(invocation.value("data-dir"));
  const auto widths = text_widths(data);
  prompt::Settings& settings = request.settings;
  std::optional<library::Library> library;  // opened when a LoRA is named
  const auto lora_path = [&](const std::string& name) {
    if (!library) library.emplace(open_library(invocation));
    return library->path_of(library->resolve(name).record);
  };
  library::PromptNames names =
      library::prompt_names(formats::read_embedding_folder(data.embeddings(), widths), request.prompt, widths,
                            settings.comments, lora_path);
  settings.embeddings = std::move(names.embeddings);
  settings.unusable = std::move(names.unusable);
  return std::move(names.problems);
}

}  // namespace

int prompt_explain(const Invocation& invocation) {
  prompt::ExplainRequest request;
  request.request.prompt = invocation.positionals.front();
  request.request.negative_prompt = invocation.value("negative");
  if (invocation.has("steps")) request.request.steps = std::atoi(invocation.value("steps").c_str());
  if (invocation.has("comma-backtrack"))
    request.request.settings.comma_backtrack = std::atoi(invocation.value("comma-backtrack").c_str());
  if (invocation.has("emphasis"))
    request.request.settings.emphasis = prompt::emphasis_from_label(invocation.value("emphasis")).value();
  if (invocation.has("prompt-limits"))
    request.request.settings.limits =
        prompt::parse_prompt_limits(invocation.value("prompt-limits"), "--prompt-limits");
  request.request.second_order = invocation.has("second-order");
  request.request.settings.use_old_timelines = invocation.has("old-prompt-editing");
  request.format = invocation.has("json") ? prompt::ExplainFormat::kJson : prompt::ExplainFormat::kText;
  apply_named_styles(invocation, request.request);
  for (std::string& problem : look_up_names(invocation, request.request))
    request.request.warnings.push_back(std::move(problem));
  fmt::print("{}", prompt::explain(request));
  return 0;
}

}  // namespace lowrank::cli
