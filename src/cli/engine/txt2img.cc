// `lowrank txt2img`: a prompt becomes pictures.
#include <fmt/format.h>

#include <cstdio>
#include <vector>

#include "adapter/report.h"
#include "base/error.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "cli/engine/output_files.h"
#include "cli/engine/progress_bar.h"
#include "cli/engine/resources.h"
#include "cli/engine/result_json.h"
#include "image/codec.h"
#include "pipeline/session.h"

namespace lowrank::cli {
namespace {

void print_result(const pipeline::GenerationResult& result, const std::vector<std::filesystem::path>& files) {
  for (const auto& report : result.loras) fmt::print("{}", adapter::text(report));
  for (const auto& missing : result.missing_loras)
    fmt::print("Lora not found: {} ({})\n", missing.name, missing.reason);
  for (std::size_t i = 0; i < files.size(); ++i)
    fmt::print("{}  seed {}\n", files[i].string(), result.pictures[i].seed);
}

}  // namespace

int txt2img(const CommandCall& call) {
  const GenerationArguments arguments = parse_generation(call.words, "txt2img");
  pipeline::check_request(arguments.request);
  for (const auto& note : arguments.notes) fmt::print(stderr, "warning: {}\n", note);
  OutputFiles output(arguments);
  pipeline::Session session(resources(arguments.data_dir),
                            {.threads = arguments.threads, .version = version_text()});

  std::vector<std::filesystem::path> files;
  ProgressBar bar(stderr);
  pipeline::Listener listener;
  listener.preview = arguments.preview.empty() ? pipeline::Preview::kNone : pipeline::Preview::kEachStep;
  listener.on_step = [&](const pipeline::StepEvent& event) {
    if (!arguments.quiet) bar.show(event);
    if (event.preview) {
      const std::string extension = arguments.preview.extension().string();
      const auto format = image::picture_format(extension.empty() ? "png" : extension.substr(1));
      image::save_picture(arguments.preview, *event.preview,
                          {.format = format, .quality = 80, .parameters = ""});
    }
  };
  listener.on_picture = [&](const pipeline::GeneratedPicture& picture) {
    files.push_back(output.save(picture));
  };
  const auto result = session.generate(arguments.request, listener, call.stop);

  bar.clear();
  for (const auto& warning : result.warnings) fmt::print(stderr, "warning: {}\n", warning);
  if (arguments.json) {
    fmt::print("{}\n", result_json(result, files));
  } else {
    print_result(result, files);
  }
  return 0;
}

}  // namespace lowrank::cli
