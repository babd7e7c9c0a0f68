// `lowrank prompt explain`: how a prompt is read.
#include <fmt/format.h>

#include <cstdlib>

#include "base/error.h"
#include "cli/light/commands.h"
#include "library/data_dir.h"
#include "library/near_names.h"
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
    throw Error(kNotFound, "there is no style '{}' in {}.{}", styled.unknown.front(), file.string(),
                library::did_you_mean(styled.unknown.front(), known));
  }
  request.prompt = styled.prompt;
  request.negative_prompt = styled.negative_prompt;
}

}  // namespace

int prompt_explain(const Invocation& invocation) {
  prompt::ExplainRequest request;
  request.request.prompt = invocation.places.front();
  request.request.negative_prompt = invocation.value("negative");
  if (invocation.has("steps")) request.request.steps = std::atoi(invocation.value("steps").c_str());
  if (invocation.has("comma-backtrack"))
    request.request.settings.comma_backtrack = std::atoi(invocation.value("comma-backtrack").c_str());
  if (invocation.has("emphasis"))
    request.request.settings.emphasis = prompt::emphasis_from_label(invocation.value("emphasis")).value();
  request.request.second_order = invocation.has("second-order");
  request.request.settings.use_old_timelines = invocation.has("old-prompt-editing");
  request.format = invocation.has("json") ? prompt::ExplainFormat::kJson : prompt::ExplainFormat::kText;
  apply_named_styles(invocation, request.request);
  fmt::print("{}", prompt::explain(request));
  return 0;
}

}  // namespace lowrank::cli
