#include "edit/extract.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "adapter/match.h"
#include "base/error.h"
#include "edit/metadata.h"
#include "edit/plan.h"
#include "formats/family.h"

namespace lowrank::edit {
namespace {

using formats::Component;
using formats::LayerAddress;

struct Two {
  std::shared_ptr<const Layers> base, tuned;
};

at::Tensor difference(const at::Tensor& from, const at::Tensor& to) {
  return to.to(at::kFloat) - from.to(at::kFloat);
}

// Whether the stored numbers are the same.
bool is_equal(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.scalar_type() == b.scalar_type()) return at::equal(a, b);
  return at::equal(a.to(at::kFloat), b.to(at::kFloat));
}

void refuse_mixed(const Two& two, const ExtractOptions& options) {
  const auto family = [](const Layers& layers) { return layers.model().base_model; };
  if (family(*two.base) == family(*two.tuned)) return;
  const auto name = [](formats::BaseModel model) {
    const formats::FamilyRow* row = formats::family(model);
    return row == nullptr ? std::string_view("another model") : row->name;
  };
  throw Error(kBadInput, "{} is {} and {} is {}; only checkpoints of one family can be compared.",
              options.base.string(), name(family(*two.base)), options.tuned.string(),
              name(family(*two.tuned)));
}

LayerChange change_of(const Two& two, const LayerAddress& layer, const formats::LayerSizes& sizes) {
  LayerChange change{.layer = layer, .shape = adapter::shape_of(sizes)};
  change.name = two.base->kohya_name(layer);
  change.weight = [two, layer] { return difference(two.base->weight(layer), two.tuned->weight(layer)); };
  change.after = [two, layer] {
    two.base->release(layer);
    two.tuned->release(layer);
  };
  return change;
}

std::int64_t rank_of(const LayerChange& change, const ExtractOptions& options) {
  RankOptions ranks = options.ranks;
  if (is_wide(change.shape) && ranks.conv_rank) ranks.rank = ranks.conv_rank;
  if (ranks.rule == RankRule::kFixed) return *ranks.rank;
  const at::NoGradGuard no_grad;
  const at::Tensor values =
      at::linalg_svdvals(change.weight().reshape({change.shape.out(), -1})).to(at::kDouble).contiguous();
  return kept_by(ranks, values, values.numel());
}

struct Found {
  std::int64_t equal = 0, left_out = 0;  // layers; norms and biases that differ and are not kept
};

void add_layer(OutputPlan& plan, Found& found, const Two& two, const LayerAddress& layer,
               const formats::LayerSizes& sizes, const ExtractOptions& options) {
  const bool same_weight = is_equal(two.base->weight(layer), two.tuned->weight(layer));
  const bool same_bias = is_equal(two.base->bias(layer), two.tuned->bias(layer));
  LayerChange change = change_of(two, layer, sizes);
  if (change.after) change.after();
  if (same_weight && same_bias) {
    ++found.equal;
    return;
  }
  const bool has_factors = sizes.sizes.size() > 1 && sizes.form != formats::LayerForm::kEmbedding;
  if (options.form == ExtractForm::kFactors) {
    if (!has_factors || !same_bias) ++found.left_out;
    if (!has_factors || same_weight) return;
    change.rank = rank_of(change, options);
    change.after();
    plan.add(std::move(change));
    return;
  }
  if (!same_bias)
    change.bias = [two, layer] {
      const at::Tensor from = two.base->bias(layer), to = two.tuned->bias(layer);
      if (!from.defined() || !to.defined()) return from.defined() ? -from.to(at::kFloat) : to.to(at::kFloat);
      return difference(from, to);
    };
  plan.add(std::move(change));
}

Metadata metadata_of(const Two& two, const ExtractOptions& options, const std::filesystem::path& output) {
  Metadata metadata;
  const formats::FamilyRow* family = formats::family(two.base->model().base_model);
  const auto prediction = two.tuned->checkpoint()->prediction;
  if (family != nullptr) {
    metadata["ss_v2"] = family->is_kohya_v2 ? "True" : "False";
    metadata["ss_base_model_version"] = family->kohya_version.of(prediction);
    metadata["modelspec.architecture"] = fmt::format("{}/lora", family->modelspec.of(prediction));
  }
  const std::string title = output.stem().string();
  metadata["ss_output_name"] = title;
  metadata["ss_sd_model_name"] = options.base.filename().string();
  metadata["modelspec.sai_model_spec"] = "1.0.1";
  metadata["modelspec.title"] = title;
  metadata["modelspec.date"] = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(std::time(nullptr)));
  metadata["modelspec.merged_from"] =
      fmt::format("{}, {}", options.tuned.stem().string(), options.base.stem().string());
  metadata["lowrank.operation"] = "extract";
  return metadata;
}

}  // namespace

Report extract(const ExtractOptions& options, const Job& job) {
  if (options.form == ExtractForm::kFactors) check(options.ranks);
  if (options.ranks.rule == RankRule::kSize)
    throw Error(
        kBadInput,
        "a size cannot be asked for while extracting; extract with a large rank and resize the result.");
  const std::filesystem::path output = checked_output(job.output, job.overwrite);
  const Two two{Layers::of_checkpoint(options.base), Layers::of_checkpoint(options.tuned)};
  refuse_mixed(two, options);
  const weights::DType type = options.precision == Precision::kFloat32    ? weights::DType::kF32
                              : options.precision == Precision::kBfloat16 ? weights::DType::kBF16
                                                                          : weights::DType::kF16;
  OutputPlan plan(type, options.exact_svd);
  Found found;
  Report report{.path = output};
  std::int64_t done = 0, total = 0;
  for (const auto& [component, part] : two.base->model().parts)
    total += static_cast<std::int64_t>(part.layers.size());
  for (const auto& [component, part] : two.base->model().parts) {
    if (!(component == Component::kUnet ? options.unet : options.text_encoder)) continue;
    const auto other = two.tuned->model().parts.find(component);
    if (other == two.tuned->model().parts.end())
      throw Error(kBadInput, "{}: has no {}.", options.tuned.string(), formats::component_name(component));
    for (const auto& [path, sizes] : part.layers) {
      throw_if_stopped(job.stop);
      if (job.progress != nullptr) job.progress->update("comparing", ++done, total);
      const auto same = other->second.layers.find(path);
      if (same == other->second.layers.end() || same->second.sizes != sizes.sizes)
        throw Error(
            kBadInput,
            "the layer '{}' is {} in {}, but {} in {}; only checkpoints of one shape can be compared.", path,
            weights::shape_text(sizes.sizes), options.base.string(),
            same == other->second.layers.end() ? "not there" : weights::shape_text(same->second.sizes),
            options.tuned.string());
      add_layer(plan, found, two, {component, path}, sizes, options);
    }
  }
  auto steps = plan.take_steps();
  if (steps.empty())
    throw Error(kBadInput, "{} and {} have the same weights; there is nothing to extract.",
                options.base.string(), options.tuned.string());
  if (found.equal > 0)
    report.notes.push_back(fmt::format("{} layers are equal in both and were left out", found.equal));
  if (found.left_out > 0)
    report.notes.push_back(fmt::format(
        "norms or biases of {} layers differ too and have no factors; --full keeps them", found.left_out));
  Metadata metadata = metadata_of(two, options, output);
  set_network(metadata, {"networks.lora", plan.rank_text(), plan.alpha_text()});
  Job own = job;
  own.output = output;
  report.bytes = write_steps(own, std::move(steps), std::move(metadata)).bytes;
  plan.fill(report);
  return report;
}

}  // namespace lowrank::edit
