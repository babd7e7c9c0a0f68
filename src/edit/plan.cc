#include "edit/plan.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "adapter/block_weights.h"
#include "base/error.h"
#include "tensor/state_dict.h"

namespace lowrank::edit {
namespace {

using weights::DType;
using weights::Shape;

Shape down_shape(const adapter::LayerShape& layer, std::int64_t rank) {
  Shape shape = layer.sizes;
  shape[0] = rank;
  return shape;
}

Shape up_shape(const adapter::LayerShape& layer, std::int64_t rank) {
  Shape shape = {layer.out(), rank};
  shape.resize(layer.sizes.size(), 1);
  return shape;
}

std::int64_t elements(const adapter::LayerShape& layer) {
  return layer.out() * layer.columns();
}

std::vector<at::Tensor> shaped(const Pair& pair, const adapter::LayerShape& layer) {
  const std::int64_t rank = pair.up.size(1);
  return {pair.down.reshape(down_shape(layer, rank)), pair.up.reshape(up_shape(layer, rank))};
}

bool is_plain(const LayerWork& work) {
  return std::ranges::all_of(work.parts, [](const WeightedModule& part) {
    const auto kind = part.module->entry->kind;
    return kind == formats::AdapterKind::kLora || kind == formats::AdapterKind::kLocon;
  });
}

}  // namespace

bool is_wide(const adapter::LayerShape& shape) {
  return shape.columns() != shape.in();
}

std::vector<LayerWork> layer_work(const Sources& sources,
                                  const std::function<double(std::size_t, const SourceModule&)>& weight_of,
                                  const std::function<adapter::Dyn(std::size_t)>& dyn_of) {
  std::map<formats::LayerAddress, LayerWork> all;
  for (std::size_t i = 0; i < sources.files.size(); ++i)
    for (const SourceModule& module : sources.files[i]->modules) {
      LayerWork& work = all[module.layer];
      if (work.name.empty()) {
        work.layer = module.layer;
        work.shape = module.shape;
        work.name = sources.output_name(module.layer);
      } else if (work.shape.sizes != module.shape.sizes) {
        throw Error(kBadInput,
                    "the layer '{}' is {} in {}, but {} in {}; LoRAs of different models cannot be combined.",
                    module.entry->module, weights::shape_text(work.shape.sizes),
                    work.parts.front().source->file.path.string(), weights::shape_text(module.shape.sizes),
                    sources.files[i]->file.path.string());
      }
      work.parts.push_back(
          {sources.files[i].get(), &module, weight_of(i, module), dyn_of ? dyn_of(i) : adapter::Dyn()});
    }
  std::vector<LayerWork> layers;
  for (auto& [address, work] : all) {
    std::erase_if(work.parts, [](const WeightedModule& part) { return part.weight == 0; });
    if (!work.parts.empty()) layers.push_back(std::move(work));
  }
  return layers;
}

LayerChange sum_of(const LayerWork& work, const std::shared_ptr<const Layers>& layers) {
  for (const WeightedModule& part : work.parts)
    if (needs_base(part.module->formula) && (!layers || layers->checkpoint() == nullptr))
      throw Error(
          kBadInput,
          "{}: the change of '{}' ({}) depends on the checkpoint's weights; give the checkpoint with --base.",
          part.source->file.path.string(), part.module->entry->module,
          formats::adapter_kind_name(part.module->entry->kind));
  LayerChange change{.layer = work.layer, .shape = work.shape, .name = work.name};
  change.stays_factors = is_plain(work);
  const auto base = [layers, address = work.layer] {
    return layers ? layers->weight(address) : at::Tensor();
  };
  if (std::ranges::any_of(work.parts, [](const auto& part) { return bool(part.module->formula.weight); })) {
    change.product = joined(work.parts);
    change.weight = [parts = work.parts, base] { return weight_change(parts, base()); };
  }
  if (changes_bias(work.parts))
    change.bias = [parts = work.parts, layers, address = work.layer] {
      return bias_change(parts, layers ? layers->bias(address) : at::Tensor());
    };
  change.after = [layers, address = work.layer, parts = work.parts] {
    for (const WeightedModule& part : parts) release(*part.module);
    if (layers) layers->release(address);
  };
  return change;
}

void OutputPlan::number(std::string name, double value) {
  steps_.push_back({.tensors = {{std::move(name), DType::kF32, {}}},
                    .make = [value] { return std::vector<at::Tensor>{at::full({}, value, at::kFloat)}; }});
}

void OutputPlan::add(LayerChange change) {
  if (!change.weight) return add_bias_alone(std::move(change));
  if (change.shape.sizes.size() == 1) return add_norm(std::move(change));
  if (change.shape.kind == model::LayerKind::kEmbedding) return add_whole(std::move(change));
  const std::int64_t full = std::min(change.shape.out(), change.shape.columns());
  if (change.rank && !(change.product && change.product->rank <= *change.rank)) {
    const std::int64_t rank = std::min(*change.rank, full);
    return add_reduced(std::move(change), rank);
  }
  const auto& product = change.product;
  const bool is_small =
      product && product->rank * (change.shape.out() + change.shape.columns()) < elements(change.shape);
  if (!product || !(is_small || change.stays_factors)) return add_whole(std::move(change));
  ++joined_;
  if (!product->is_exact && type_ != DType::kF32) ++rounded_;
  const std::int64_t rank = product->rank;
  const double scale = product->scale;
  auto make = product->make;
  add_factors(std::move(change), rank, scale, std::move(make));
}

void OutputPlan::add_factors(LayerChange change, std::int64_t rank, double scale,
                             std::function<Pair()> make) {
  ++ranks_[rank];
  const double alpha = scale * static_cast<double>(rank);
  ++alphas_[alpha];
  number(change.name + ".alpha", alpha);
  Step step{.tensors = {{change.name + ".lora_down.weight", type_, down_shape(change.shape, rank)},
                        {change.name + ".lora_up.weight", type_, up_shape(change.shape, rank)}},
            .after = change.after};
  step.make =
      named(change.name, [make = std::move(make), shape = change.shape] { return shaped(make(), shape); });
  steps_.push_back(std::move(step));
  if (!change.bias) return;
  steps_.push_back({.tensors = {{change.name + ".lora_up.bias", type_, {change.shape.out()}}},
                    .make = named(change.name, [bias = change.bias, scale] {
                      return std::vector<at::Tensor>{bias() / scale};
                    })});
}

void OutputPlan::add_whole(LayerChange change) {
  ++whole_;
  Step step{.tensors = {{change.name + ".diff", type_, change.shape.sizes}}, .after = change.after};
  step.make = named(change.name, [weight = change.weight, sizes = change.shape.sizes] {
    return std::vector<at::Tensor>{weight().reshape(sizes)};
  });
  steps_.push_back(std::move(step));
  if (!change.bias) return;
  steps_.push_back(
      {.tensors = {{change.name + ".diff_b", type_, {change.shape.out()}}},
       .make = named(change.name, [bias = change.bias] { return std::vector<at::Tensor>{bias()}; })});
}

void OutputPlan::add_norm(LayerChange change) {
  ++norms_;
  const Shape shape = {change.shape.out()};
  Step step{.tensors = {{change.name + ".w_norm", type_, shape}}, .after = change.after};
  if (change.bias) step.tensors.push_back({change.name + ".b_norm", type_, shape});
  step.make = named(change.name, [weight = change.weight, bias = change.bias] {
    std::vector<at::Tensor> made = {weight().reshape({-1})};
    if (bias) made.push_back(bias());
    return made;
  });
  steps_.push_back(std::move(step));
}

// Of a norm beside a change of nothing, elsewhere beside factors that are zero: the forms in which readers take a bias.
void OutputPlan::add_bias_alone(LayerChange change) {
  if (!change.bias) return;
  if (change.shape.sizes.size() == 1) {
    change.weight = [size = change.shape.out()] { return at::zeros({size}); };
    return add_norm(std::move(change));
  }
  ++joined_;
  add_factors(change, 1, 1, [shape = change.shape] {
    return Pair{at::zeros({shape.out(), 1}), at::zeros({1, shape.columns()})};
  });
}

void OutputPlan::add_reduced(LayerChange change, std::int64_t rank) {
  ++reduced_;
  auto loss = std::make_shared<Loss>();
  loss->block = adapter::block_of(change.layer);
  if (loss->block.empty()) loss->block = "other";
  losses_.push_back(loss);
  // The factors of a product are thin only where its rank is below the layer's own.
  auto product = change.product;
  if (product && product->rank >= std::min(change.shape.out(), change.shape.columns())) product.reset();
  auto make = [loss, rank, product = std::move(product), weight = change.weight, exact = exact_svd_,
               out = change.shape.out()] {
    Decomposed all;
    if (product) {
      all = decompose(product->make());
      all.values = all.values * product->scale;
      all.norm_squared *= product->scale * product->scale;
    } else {
      all = decompose_matrix(weight().reshape({out, -1}), rank, exact, 1);
    }
    Reduced result = reduced(all, rank);
    loss->lost = result.lost;
    loss->norm = all.norm_squared;
    return result.pair;
  };
  add_factors(std::move(change), rank, 1, std::move(make));
}

void OutputPlan::add_embeddings(const Sources& sources) {
  std::map<std::string, std::string> owners;
  for (const auto& source : sources.files)
    for (const formats::BundledEmbedding& embedding : source->file.embeddings) {
      const auto [place, is_new] = owners.emplace(embedding.name, source->file.name);
      if (!is_new) {
        notes_.push_back(fmt::format("the embedding '{}' lies in {} and in {}; that of {} was kept",
                                     embedding.name, place->second, source->file.name, place->second));
        continue;
      }
      for (const auto& [component, view] : embedding.vectors.of) {
        LOWRANK_CHECK(view.scaling == nullptr || weights::is_float(view.dtype));
        if (view.scaling == nullptr) {
          steps_.push_back({.tensors = {{view.name, view.dtype, view.shape}}, .bytes = view.bytes});
          continue;
        }
        steps_.push_back({.tensors = {{view.name, DType::kF16, view.shape}},
                          .make = [view = view, owner = source->file.file] {
                            return std::vector<at::Tensor>{tensor::as_tensor(view, owner)};
                          }});
      }
    }
}

void OutputPlan::fill(Report& report) const {
  report.joined = joined_;
  report.whole = whole_;
  report.norms = norms_;
  report.reduced = reduced_;
  report.layers = joined_ + whole_ + norms_ + reduced_;
  for (const auto& loss : losses_)
    for (BlockError* error : {&report.errors[loss->block], &report.error}) {
      ++error->layers;
      error->lost += loss->lost;
      error->norm += loss->norm;
    }
  if (rounded_ > 0)
    report.notes.push_back(
        fmt::format("the weights of {} layers are no powers of two of one another, so their factors were "
                    "rounded once to {}; "
                    "--precision fp32 keeps them",
                    rounded_, weights::dtype_name(type_)));
  report.notes.insert(report.notes.end(), notes_.begin(), notes_.end());
}

std::string OutputPlan::rank_text() const {
  if (ranks_.empty()) return "None";
  return ranks_.size() == 1 ? std::to_string(ranks_.begin()->first) : "Dynamic";
}

std::string OutputPlan::alpha_text() const {
  if (alphas_.empty()) return "None";
  return alphas_.size() == 1 ? fmt::format("{}", alphas_.begin()->first) : "Dynamic";
}

}  // namespace lowrank::edit
