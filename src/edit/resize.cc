#include "edit/resize.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/parallel.h"
#include "edit/low_rank.h"
#include "edit/metadata.h"
#include "edit/plan.h"

namespace lowrank::edit {
namespace {

// Of metadata as JSON, with the hashes that come later.
std::uint64_t text_bytes(const Metadata& metadata) {
  std::uint64_t bytes = 600;
  for (const auto& [key, value] : metadata)
    bytes += nlohmann::json(key).dump().size() + nlohmann::json(value).dump().size() + 2;
  return bytes;
}

// Bytes of a module beside its factors: three entries of the header and alpha.
constexpr std::uint64_t kModuleHead = 420;

bool has_rank(const LayerChange& change) {
  return change.weight && change.shape.sizes.size() > 1 && change.shape.kind != model::LayerKind::kEmbedding;
}

at::Tensor spectrum(const LayerChange& change) {
  const at::NoGradGuard no_grad;
  const std::int64_t full = std::min(change.shape.out(), change.shape.columns());
  if (change.product && change.product->rank < full)
    return (singular_values(change.product->make()) * change.product->scale).contiguous();
  const at::Tensor whole = change.weight().reshape({change.shape.out(), -1});
  require_finite(whole);
  return at::linalg_svdvals(whole).to(at::kDouble).contiguous();
}

std::vector<at::Tensor> spectra(const std::vector<LayerChange>& changes, const Job& job) {
  std::vector<at::Tensor> found(changes.size());
  constexpr std::size_t kPiece = 16;
  for (std::size_t first = 0; first < changes.size(); first += kPiece) {
    throw_if_stopped(job.stop);
    const std::size_t count = std::min(kPiece, changes.size() - first);
    parallel_for(static_cast<std::int64_t>(count), job.threads, [&](std::int64_t i) {
      const std::size_t at = first + static_cast<std::size_t>(i);
      if (!has_rank(changes[at])) return;
      try {
        found[at] = spectrum(changes[at]);
      } catch (const Error& error) {
        throw error.during("working on '" + changes[at].name + "'");
      }
    });
    for (std::size_t i = first; i < first + count; ++i)
      if (changes[i].after) changes[i].after();
    if (job.progress != nullptr)
      job.progress->update("measuring", static_cast<std::int64_t>(first + count),
                           static_cast<std::int64_t>(changes.size()));
  }
  return found;
}

double norm_squared(const at::Tensor& weight) {
  const double norm = weight.to(at::kFloat).norm().item<double>();
  return norm * norm;
}

void spread_size(std::vector<LayerChange>& changes, const std::vector<at::Tensor>& values,
                 const ResizeOptions& options, const Layers* layers, weights::DType type,
                 std::uint64_t metadata_bytes) {
  std::vector<LayerSpectrum> with_rank;
  std::uint64_t fixed = metadata_bytes;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const LayerChange& change = changes[i];
    fixed += kModuleHead;
    if (!has_rank(change)) {
      fixed += static_cast<std::uint64_t>(2 * change.shape.out()) * weights::item_size(type);
      continue;
    }
    LayerSpectrum one{.values = values[i],
                      .bytes = static_cast<std::uint64_t>(change.shape.out() + change.shape.columns()) *
                               weights::item_size(type)};
    if (options.relative_to_base)
      one.weight = 1 / std::max(norm_squared(layers->weight(change.layer)), 1e-30);
    with_rank.push_back(std::move(one));
  }
  const auto bytes = static_cast<std::uint64_t>(options.ranks.value * 1e6);
  if (bytes <= fixed)
    throw Error(
        kBadInput,
        "{:.2f} MB are less than the file takes without any factors; lowrank lora strip removes metadata.",
        options.ranks.value);
  const auto ranks = spread(with_rank, bytes - fixed);
  for (std::size_t i = 0, next = 0; i < changes.size(); ++i)
    if (has_rank(changes[i])) {
      changes[i].rank = ranks[next++];
      const auto& most =
          is_wide(changes[i].shape) && options.ranks.conv_rank ? options.ranks.conv_rank : options.ranks.rank;
      if (most) changes[i].rank = std::min(*changes[i].rank, *most);
    }
}

}  // namespace

Report resize(const ResizeOptions& options, const Job& job) {
  check(options.ranks);
  if (options.relative_to_base && !options.base)
    throw Error(kBadInput,
                "sizes relative to the checkpoint's weights need the checkpoint; give it with --base.");
  const std::filesystem::path output = checked_output(job.output, job.overwrite);
  const std::filesystem::path paths[] = {options.input};
  const Sources sources = open_sources(paths, options.base ? Layers::of_checkpoint(*options.base) : nullptr);
  std::vector<LayerChange> changes;
  for (const LayerWork& work : layer_work(sources, [](std::size_t, const SourceModule&) { return 1.0; }))
    changes.push_back(sum_of(work, sources.layers));
  const weights::DType type = output_type(options.precision, sources.files);

  const Parentage parents[] = {{sources.files[0].get(), ""}};
  Metadata metadata = child_metadata(parents, "resize", output.stem().string());
  if (options.ranks.rule == RankRule::kFixed) {
    for (LayerChange& change : changes)
      if (has_rank(change))
        change.rank =
            is_wide(change.shape) && options.ranks.conv_rank ? options.ranks.conv_rank : options.ranks.rank;
  } else {
    const std::vector<at::Tensor> values = spectra(changes, job);
    if (options.ranks.rule == RankRule::kSize) {
      spread_size(changes, values, options, sources.layers.get(), type, text_bytes(metadata));
    } else {
      for (std::size_t i = 0; i < changes.size(); ++i) {
        if (!has_rank(changes[i])) continue;
        RankOptions ranks = options.ranks;
        if (is_wide(changes[i].shape) && ranks.conv_rank) ranks.rank = ranks.conv_rank;
        changes[i].rank =
            kept_by(ranks, values[i], std::min(changes[i].shape.out(), changes[i].shape.columns()));
      }
    }
  }
  OutputPlan plan(type, options.exact_svd);
  for (LayerChange& change : changes) plan.add(std::move(change));
  plan.add_embeddings(sources);
  set_network(metadata, {"networks.lora", plan.rank_text(), plan.alpha_text()});
  Job own = job;
  own.output = output;
  Report report{.path = output, .notes = notes_of(sources)};
  report.bytes = write_steps(own, plan.take_steps(), std::move(metadata)).bytes;
  plan.fill(report);
  return report;
}

}  // namespace lowrank::edit
