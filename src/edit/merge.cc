#include "edit/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "edit/metadata.h"
#include "edit/plan.h"

namespace lowrank::edit {
namespace {

bool is_weighted(const MergeInput& input) {
  return input.te != 1 || input.unet != 1 || input.dyn || !input.blocks.is_neutral();
}

// A single file at weight 1 is itself: its tensors are carried over byte by byte. Empty: what stands beside the file, PEFT's
// settings, or the scales of its numbers would be lost.
std::vector<Step> as_they_are(const formats::LoraFile& file) {
  for (const formats::LoraEntry& entry : file.entries)
    if ((entry.alpha && !entry.parts.contains("alpha")) || entry.settings != formats::PeftSettings{})
      return {};
  std::vector<Step> steps;
  for (const weights::TensorView& view : file.file->tensors()) {
    if (view.scaling != nullptr) return {};
    steps.push_back(unchanged(view.name, view, file.file));
  }
  return steps;
}

std::optional<Report> copied(const MergeOptions& options, const Job& job) {
  if (options.inputs.size() != 1 || is_weighted(options.inputs[0]) || options.rank || options.conv_rank ||
      options.precision != Precision::kAsInputs)
    return std::nullopt;
  Source source{.file = formats::open_lora(options.inputs[0].path), .modules = {}, .left_out = {}};
  auto steps = as_they_are(source.file);
  if (steps.empty()) return std::nullopt;
  const Parentage parents[] = {{&source, options.inputs[0].text}};
  Report report{.path = job.output, .layers = static_cast<std::int64_t>(source.file.entries.size())};
  report.bytes =
      write_steps(job, std::move(steps), child_metadata(parents, "merge", job.output.stem().string())).bytes;
  return report;
}

void check(const MergeOptions& options) {
  if (options.inputs.empty()) throw Error(kBadInput, "no LoRA was given to merge.");
  for (const auto& rank : {options.rank, options.conv_rank})
    if (rank && *rank < 1) throw Error(kBadInput, "the rank is {}, but must be at least 1.", *rank);
  for (const MergeInput& input : options.inputs)
    if (!std::isfinite(input.te) || !std::isfinite(input.unet))
      throw Error(kBadInput, "the weight of {} is no number.", input.path.string());
}

void refuse_own_input(const MergeOptions& options, const std::filesystem::path& output) {
  std::error_code failure;
  for (const MergeInput& input : options.inputs)
    if (std::filesystem::equivalent(input.path, output, failure))
      throw Error(kConflict, "{}: is one of the files that are read; write to another name.",
                  output.string());
}

}  // namespace

Report merge(const MergeOptions& options, const Job& job) {
  check(options);
  Job own = job;
  own.output = checked_output(job.output, job.overwrite);
  refuse_own_input(options, own.output);
  if (auto report = copied(options, own)) return *report;
  std::vector<std::filesystem::path> paths;
  for (const MergeInput& input : options.inputs) paths.push_back(input.path);
  const Sources sources = open_sources(paths, options.base ? Layers::of_checkpoint(*options.base) : nullptr);
  if (!sources.layers &&
      std::ranges::any_of(options.inputs, [](const auto& input) { return !input.blocks.is_neutral(); }))
    throw Error(
        kBadInput,
        "block weights need to know where the layers lie, and no published model has those of {}; give the "
        "checkpoint with --base.",
        paths.front().string());

  OutputPlan plan(output_type(options.precision, sources.files), options.exact_svd);
  const auto weight_of = [&](std::size_t i, const SourceModule& module) {
    const MergeInput& input = options.inputs[i];
    const double weight = formats::is_text_encoder(module.layer.component) ? input.te : input.unet;
    return weight * input.blocks.at(module.layer);
  };
  const auto dyn_of = [&](std::size_t i) { return options.inputs[i].dyn; };
  for (const LayerWork& work : layer_work(sources, weight_of, dyn_of)) {
    LayerChange change = sum_of(work, sources.layers);
    change.rank = is_wide(work.shape) && options.conv_rank ? options.conv_rank : options.rank;
    plan.add(std::move(change));
  }
  plan.add_embeddings(sources);

  std::vector<Parentage> parents;
  for (std::size_t i = 0; i < options.inputs.size(); ++i)
    parents.push_back({sources.files[i].get(), options.inputs[i].text});
  Metadata metadata = child_metadata(parents, "merge", own.output.stem().string());
  set_network(metadata, {"networks.lora", plan.rank_text(), plan.alpha_text()});
  Report report{.path = own.output, .notes = notes_of(sources)};
  report.bytes = write_steps(own, plan.take_steps(), std::move(metadata)).bytes;
  for (const auto& source : sources.files) source->file.file->require_unchanged();
  plan.fill(report);
  return report;
}

}  // namespace lowrank::edit
