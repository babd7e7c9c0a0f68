// What all commands that generate have in common: a session, progress on standard error, files for finished
// pictures.
#pragma once

#include <filesystem>
#include <span>
#include <stop_token>
#include <string_view>
#include <vector>

#include "cli/engine/generation_arguments.h"
#include "cli/engine/output_files.h"
#include "cli/engine/progress_bar.h"
#include "pipeline/session.h"
#include "request/fault_list.h"

namespace lowrank::cli {

struct SavedGeneration {
  pipeline::GenerationResult result;
  std::vector<std::filesystem::path> files;  // of result.pictures, in order
};

class CliGenerator {
 public:
  // `folder`: of the default output, below the data folder: "txt2img-images". `pictures`: how many the whole
  // command makes. Prints the arguments' notes. Nothing is loaded yet. Throws Error(kConflict) when --preview
  // names a file that is no preview.
  CliGenerator(const GenerationArguments& arguments, std::string_view folder, std::size_t pictures,
               std::stop_token stop);

  // Throws Error(kBadInput) naming everything that is wrong with the requests, before anything is loaded.
  // `found` is told before it.
  void check(std::span<const request::GenerationRequest> requests, request::FaultList found = {}) const;

  // Makes and saves. `name`: what [name] in the output pattern stands for.
  SavedGeneration make(const request::GenerationRequest& request, const std::string& name = "");

  // In a series: which of how many requests comes next, for the progress.
  void announce(std::size_t number, std::size_t count) { bar_.set_series(number, count); }

  // What the pictures came to, for people or with --json for programs.
  void print(const SavedGeneration& made);
  // Of a series: its pictures one after the other and the sheet; "" when there is none.
  void print(const std::vector<SavedGeneration>& series, const std::filesystem::path& sheet);

  pipeline::Session& session() { return session_; }

 private:
  void show_preview(const pipeline::StepEvent& event);

  const GenerationArguments& arguments_;
  OutputFiles output_;
  pipeline::Resources resources_;
  pipeline::Session session_;
  std::stop_token stop_;
  ProgressBar bar_;
};

}  // namespace lowrank::cli
