#include "cli/engine/cli_generator.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "adapter/report.h"
#include "base/error.h"
#include "base/log_line.h"
#include "cli/engine/commands.h"
#include "cli/engine/resources.h"
#include "cli/engine/result_json.h"
#include "image/codec/codec.h"
#include "library/picture_files.h"
#include "pipeline/generate/request_check.h"
#include "prompt/infotext.h"

namespace lowrank::cli {
namespace {

void print_files(const SavedGeneration& made) {
  for (std::size_t i = 0; i < made.files.size(); ++i)
    fmt::print("{}  seed {}\n", made.files[i].string(), made.result.pictures[i].seed);
}

void print_warnings(const pipeline::GenerationResult& result) {
  for (const auto& warning : result.warnings) log_line(stderr, "warning: {}\n", warning);
}

}  // namespace

CliGenerator::CliGenerator(const GenerationArguments& arguments, std::string_view folder,
                           std::size_t pictures, std::stop_token stop)
    : arguments_(arguments),
      output_(arguments, folder, pictures),
      resources_(resources(arguments.data_dir)),
      session_(resources_, session_options(arguments.threads, arguments.int8, arguments.prompt_limits)),
      stop_(std::move(stop)),
      bar_(stderr) {
  for (const auto& note : arguments.notes) log_line(stderr, "warning: {}\n", note);
  warn_unreadable_folders(arguments.data_dir);
  if (!arguments.preview.empty() && std::filesystem::exists(arguments.preview) &&
      !library::is_own_picture_without_settings(arguments.preview))
    throw Error(kConflict, "--preview {}: is not a LowRank preview and was kept; choose another file name.",
                arguments.preview.string());
}

// With a mark, by which the next run knows that the file may be replaced.
void CliGenerator::show_preview(const pipeline::StepEvent& event) {
  const std::string extension = arguments_.preview.extension().string();
  const auto format = image::picture_format(extension.empty() ? "png" : extension.substr(1));
  image::save_picture(arguments_.preview, *event.preview,
                      {.format = format, .parameters = prompt::lowrank_mark(LOWRANK_VERSION)});
}

void CliGenerator::check(std::span<const request::GenerationRequest> requests,
                         request::FaultList found) const {
  pipeline::check_requests(requests, resources_, std::move(found));
}

SavedGeneration CliGenerator::make(const request::GenerationRequest& request, const std::string& name) {
  SavedGeneration made;
  pipeline::Listener listener;
  listener.preview = arguments_.preview.empty() ? pipeline::Preview::kNone : pipeline::Preview::kEachStep;
  listener.preview_type = arguments_.preview_type;
  listener.on_step = [&](const pipeline::StepEvent& event) {
    if (!arguments_.quiet) bar_.show(event);
    if (event.preview) show_preview(event);
  };
  listener.on_prepare = [&](std::int64_t done, std::int64_t total) {
    if (!arguments_.quiet) bar_.show_layers(done, total);
  };
  listener.on_picture = [&](const pipeline::GeneratedPicture& picture) {
    SavedPicture saved = output_.save(picture, name);
    if (!saved.note.empty()) {
      bar_.clear();
      log_line(stderr, "warning: {}\n", saved.note);
    }
    made.files.push_back(std::move(saved.file));
  };
  made.result = session_.generate(request, listener, stop_);
  bar_.clear();
  return made;
}

void CliGenerator::print(const SavedGeneration& made) {
  print_warnings(made.result);
  if (arguments_.json) {
    fmt::print("{}\n", result_json(made.result, made.files));
    return;
  }
  if (!made.result.prediction_rule.empty()) fmt::print("Prediction: {}\n", made.result.prediction_rule);
  for (const auto& report : made.result.loras) fmt::print("{}", adapter::text(report));
  for (const auto& missing : made.result.missing_loras)
    fmt::print("Lora not found: {} ({})\n", missing.name, missing.reason);
  print_files(made);
}

void CliGenerator::print(const std::vector<SavedGeneration>& series, const std::filesystem::path& sheet) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const SavedGeneration& made : series) {
    print_warnings(made.result);
    if (arguments_.json) all.push_back(nlohmann::ordered_json::parse(result_json(made.result, made.files)));
    if (!arguments_.json) print_files(made);
  }
  if (arguments_.json) {
    nlohmann::ordered_json whole = {{"results", std::move(all)}};
    whole["sheet"] = sheet.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(sheet.string());
    fmt::print("{}\n", whole.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else if (!sheet.empty()) {
    fmt::print("{}  all on one grid\n", sheet.string());
  }
}

}  // namespace lowrank::cli
