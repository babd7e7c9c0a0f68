#include "adapter/stack.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <thread>
#include <utility>

#include "adapter/branch.h"
#include "base/error.h"
#include "base/parallel.h"
#include "base/progress.h"

namespace lowrank::adapter {
namespace {

using formats::Component;
using model::Layer;

// Derived weights and our branches go, patches of others stay.
Layer::Slot without_ours(const Layer& layer) {
  Layer::Slot slot;
  for (const auto& patch : layer.slot().patches)
    if (dynamic_cast<const LowRankBranch*>(patch.get()) == nullptr) slot.patches.push_back(patch);
  return slot;
}

void empty_slots(model::LayerMap& layers) {
  for (auto& [path, layer] : layers) {
    const auto& slot = layer->slot();
    if (slot.derived_weight.defined() || slot.derived_bias.defined() || !slot.patches.empty())
      layer->set_slot(without_ours(*layer));
  }
}

// ‖up·down‖² from the small Gram matrices: Σ (upᵀ·up) ∘ (down·downᵀ).
double product_norm_squared(const Factors& factors, Dyn dyn) {
  const std::int64_t rank = active_rank(factors, dyn);
  if (rank == 0) return 0;
  const at::Tensor down = factors.down.narrow(0, 0, rank).to(at::kDouble).reshape({rank, -1});
  const at::Tensor up = factors.up.narrow(1, 0, rank).to(at::kDouble).reshape({-1, rank});
  const double sum = (at::matmul(up.t(), up) * at::matmul(down, down.t())).sum().item<double>();
  return sum * factors.scale * factors.scale;
}

double norm_squared(const at::Tensor& tensor) {
  const double norm = tensor.to(at::kFloat).norm().item<double>();
  return norm * norm;
}

// Factors that would take no less memory and time than the layer itself are better derived.
bool worth_a_branch(const Layer& layer, std::span<const Part> parts) {
  const std::int64_t out = layer.weight().size(0), columns = layer.weight().numel() / out;
  std::int64_t rank = 0;
  for (const Part& part : parts) {
    if (!part.formula->factors) return false;
    rank += active_rank(*part.formula->factors, part.dyn);
  }
  return rank > 0 && rank * (out + columns) <= out * columns / 2;
}

at::Tensor derived_weight(const Layer& layer, std::span<const Part> parts, at::ScalarType type) {
  at::Tensor weight = layer.weight().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  at::Tensor rows = weight.view({weight.size(0), -1});
  for (const Part& part : parts) {
    if (!part.formula->weight || part.formula->depends_on_base) continue;
    if (const auto& factors = part.formula->factors) {
      const std::int64_t rank = active_rank(*factors, part.dyn);
      const at::Tensor up = factors->up.narrow(1, 0, rank).to(at::kFloat).reshape({rows.size(0), rank});
      rows.addmm_(up, factors->down.narrow(0, 0, rank).to(at::kFloat).reshape({rank, rows.size(1)}), 1,
                  factors->scale * part.weight);
    } else {
      const bool takes = part.formula->takes_from_checkpoint;
      weight.add_(part.formula->weight(takes ? layer.weight() : at::Tensor(), part.dyn), part.weight);
    }
  }
  for (const Part& part : parts)
    if (part.formula->weight && part.formula->depends_on_base)
      weight = weight.add(part.formula->weight(weight, part.dyn), part.weight);
  return weight.to(type);
}

// Undefined when no part changes the bias. A layer without a bias gets one.
at::Tensor derived_bias(const Layer& layer, std::span<const Part> parts) {
  at::Tensor bias;
  for (const Part& part : parts) {
    const at::Tensor &added = part.formula->bias, &whole = part.formula->whole_bias;
    if (!added.defined() && !whole.defined()) continue;
    if (!bias.defined()) {
      bias = layer.bias().defined() ? layer.bias().to(at::kFloat, false, /*copy=*/true)
                                    : at::zeros({layer.weight().size(0)}, at::kFloat);
    }
    if (added.defined()) bias.add_(added, part.weight);
    if (whole.defined())
      bias.add_(layer.bias().defined() ? whole - layer.bias().to(at::kFloat) : whole, part.weight);
  }
  for (const Part& part : parts) {
    if (!part.formula->bias_gain.defined() || (!bias.defined() && !layer.bias().defined())) continue;
    if (!bias.defined()) bias = layer.bias().to(at::kFloat, false, /*copy=*/true);
    bias.add_(bias * part.formula->bias_gain, part.weight);
  }
  return bias;
}

}  // namespace

double AdapterStack::weight_of(const Change& change) const {
  const ActiveAdapter& active = active_[change.adapter];
  const formats::LayerAddress address{change.target->component, change.target->path};
  const bool is_text = formats::is_text_encoder(change.target->component);
  if (!(is_text ? text_acts_ : acts_)[change.adapter]) return 0;
  const double weight = is_text ? active.te : active.unet * factors_[change.adapter];
  return weight * active.blocks.at(address);
}

void AdapterStack::apply(std::span<const ActiveAdapter> active, const ModelParts& model) {
  // Everything that can be refused is looked at before anything changes.
  Plan unet_plan, text_plan;
  for (std::size_t i = 0; i < active.size(); ++i) {
    for (const Target& target : active[i].adapter->targets()) {
      const model::LayerMap* const layers = model.layers(target.component);
      const auto layer = layers == nullptr ? model::LayerMap::const_iterator() : layers->find(target.path);
      if (layers == nullptr || layer == layers->end() ||
          layer->second->weight().sizes() != at::IntArrayRef(target.sizes)) {
        throw Error(kConflict,
                    "the LoRA '{}' was matched against a model with a different layer '{}'; match it again.",
                    active[i].adapter->file().name, target.path);
      }
      Plan& plan = formats::is_text_encoder(target.component) ? text_plan : unet_plan;
      plan[layer->second.get()].push_back({&target, i});
    }
  }
  if (!std::ranges::equal(model_.parts, model.parts, {}, &ModelPart::layers, &ModelPart::layers))
    base_norms_.clear();
  model_ = model;
  active_.assign(active.begin(), active.end());
  factors_.assign(active_.size(), 1.0);
  for (std::size_t i = 0; i < active_.size(); ++i)
    if (active_[i].unet_factor) factors_[i] = active_[i].unet_factor(1, 1);
  acts_.assign(active_.size(), true);
  text_acts_.assign(active_.size(), true);
  update_activity(0, acts_);
  update_activity(0, text_acts_);
  unet_plan_ = std::move(unet_plan);
  text_plan_ = std::move(text_plan);
  copied_ = affordable_copies();
  for (const ModelPart& part : model_.parts) empty_slots(*part.layers);
  summary_ = {};
  fill(text_plan_);
  fill(unet_plan_);
}

void AdapterStack::prepare(const std::function<void(std::int64_t, std::int64_t)>& report,
                           const std::stop_token& stop) {
  std::vector<std::pair<const Layer*, const Formula*>> work;
  for (const Plan* plan : {&text_plan_, &unet_plan_})
    for (const auto& [layer, changes] : *plan)
      for (const Change& change : changes)
        if (change.target->formula.prepare) work.emplace_back(layer, &change.target->formula);
  const auto total = static_cast<std::int64_t>(work.size());
  const auto caller = std::this_thread::get_id();
  std::atomic<std::int64_t> done = 0;
  parallel_for(total, 0, [&](std::int64_t i) {
    throw_if_stopped(stop);
    const at::NoGradGuard no_grad;
    const auto& [layer, formula] = work[static_cast<std::size_t>(i)];
    formula->prepare(layer->weight());
    ++done;
    if (report && std::this_thread::get_id() == caller) report(done, total);
  });
  if (report && total > 0) report(total, total);
}

std::set<const Layer*> AdapterStack::affordable_copies() const {
  std::set<const Layer*> copied;
  std::int64_t bytes = 0;
  for (const Plan* plan : {&unet_plan_, &text_plan_}) {
    std::vector<const Layer*> layers;
    for (const auto& [layer, changes] : *plan) layers.push_back(layer);
    std::ranges::sort(layers, {}, [](const Layer* layer) {
      return std::pair(layer->weight().numel(), std::string_view(layer->address().path));
    });
    for (const Layer* layer : layers) {
      bytes += layer->weight().numel() * 4;
      if (bytes > options_.derived_budget_bytes) return copied;
      copied.insert(layer);
    }
  }
  return copied;
}

// Weights of one adapter that several tags name add up before anything is multiplied: the same bytes as one tag with
// the sum.
void AdapterStack::add_part(std::vector<Part>& parts, const Change& change) const {
  const ActiveAdapter& active = active_[change.adapter];
  const Formula* formula = &change.target->formula;
  const double weight = weight_of(change);
  const auto same = std::ranges::find_if(
      parts, [&](const Part& part) { return part.formula == formula && part.dyn == active.dyn; });
  if (same != parts.end() && !formula->depends_on_base) {
    same->weight += weight;
  } else {
    parts.push_back({active.adapter, formula, weight, active.dyn});
  }
}

void AdapterStack::fill(const Plan& plan) {
  const at::NoGradGuard no_grad;
  for (const auto& [layer, changes] : plan) {
    std::vector<Part> parts;
    for (const Change& change : changes) add_part(parts, change);
    std::erase_if(parts, [](const Part& part) { return part.weight == 0; });
    Layer::Slot slot = without_ours(*layer);
    if (!parts.empty()) {
      slot.derived_bias = derived_bias(*layer, parts);
      const bool is_copied = copied_.contains(layer);
      const bool is_bias_alone =
          std::ranges::none_of(parts, [](const Part& part) { return bool(part.formula->weight); });
      if (!is_copied && worth_a_branch(*layer, parts)) {
        std::vector<WeightedFactors> factors;
        for (const Part& part : parts) factors.push_back({&*part.formula->factors, part.weight, part.dyn});
        slot.patches.insert(slot.patches.begin(), std::make_shared<LowRankBranch>(*layer, factors));
        ++summary_.branch_layers;
      } else if (!is_bias_alone) {
        const auto type = is_copied ? at::kFloat : layer->weight().scalar_type();
        ++summary_.derived_layers;
        summary_.derived_bytes += layer->weight().numel() * static_cast<std::int64_t>(c10::elementSize(type));
        slot.derived_weight = {.make =
                                   [layer = layer, parts = std::move(parts), type] {
                                     const at::NoGradGuard off;
                                     return derived_weight(*layer, parts, type);
                                   },
                               .sizes = layer->weight().sizes().vec(),
                               .type = type};
      }
    }
    layer->set_slot(std::move(slot));
  }
}

void AdapterStack::clear() {
  for (const ModelPart& part : model_.parts) empty_slots(*part.layers);
  active_.clear();
  factors_.clear();
  acts_.clear();
  text_acts_.clear();
  unet_plan_.clear();
  text_plan_.clear();
  base_norms_.clear();
  summary_ = {};
  model_ = {};
}

void AdapterStack::set_step(int step, int steps) {
  std::set<std::size_t> changed;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (!active_[i].unet_factor) continue;
    const double factor = active_[i].unet_factor(step, steps);
    if (factor != factors_[i]) changed.insert(i);
    factors_[i] = factor;
  }
  refill(unet_plan_, changed);
}

std::set<std::size_t> AdapterStack::update_activity(int call, std::vector<bool>& acts) const {
  std::set<std::size_t> changed;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    if (!active_[i].acts_at) continue;
    const bool now = active_[i].acts_at(call);
    if (now != acts[i]) changed.insert(i);
    acts[i] = now;
  }
  return changed;
}

void AdapterStack::set_call(int call) {
  refill(unet_plan_, update_activity(call, acts_));
}

void AdapterStack::set_text_call(int call) {
  refill(text_plan_, update_activity(call, text_acts_));
}

void AdapterStack::refill(const Plan& plan, const std::set<std::size_t>& changed) {
  if (changed.empty()) return;
  Plan affected;
  for (const auto& [layer, changes] : plan)
    if (std::any_of(changes.begin(), changes.end(),
                    [&](const Change& change) { return changed.contains(change.adapter); }))
      affected.emplace(layer, changes);
  const Summary before = summary_;
  fill(affected);
  summary_ = before;
}

double AdapterStack::base_norm_squared(const Layer& layer, const std::function<void()>& after_weight) {
  const std::string key =
      fmt::format("{} {}", formats::component_name(layer.address().component), layer.address().path);
  BaseNorm& known = base_norms_[key];
  if (!known.weight.defined() || !known.weight.is_same(layer.weight())) {
    known = {layer.weight(), norm_squared(layer.weight())};
    if (after_weight) after_weight();
  }
  return known.squared;
}

void AdapterStack::measure(const ActiveAdapter& active, ApplyReport& report,
                           const std::function<void()>& after_weight) {
  const at::NoGradGuard no_grad;
  struct Sum {
    std::int64_t modules = 0;
    double change = 0, base = 0;
  };
  std::map<std::string, Sum> sums;
  Sum all;
  std::int64_t not_finite = 0;
  for (const Target& target : active.adapter->targets()) {
    const bool is_text = formats::is_text_encoder(target.component);
    const Layer& layer = *model_.layers(target.component)->at(target.path);
    const double weight = (is_text ? active.te : active.unet) * active.blocks.at(layer.address());
    if (!target.formula.weight) continue;
    at::Tensor base;
    if (target.formula.takes_from_checkpoint) base = layer.weight();
    if (target.formula.depends_on_base) base = layer.weight().to(at::kFloat);
    const double change = target.formula.factors ? product_norm_squared(*target.formula.factors, active.dyn)
                                                 : norm_squared(target.formula.weight(base, active.dyn));
    if (base.defined() && after_weight) after_weight();
    if (!std::isfinite(change)) {
      ++not_finite;
      continue;
    }
    const std::string block = block_of(layer.address());
    for (Sum* sum : {&all, &sums[block.empty() ? "other" : block]}) {
      ++sum->modules;
      sum->change += weight * weight * change;
      sum->base += base_norm_squared(layer, after_weight);
    }
  }
  const auto relative = [](const Sum& sum) { return sum.base > 0 ? std::sqrt(sum.change / sum.base) : 0.0; };
  report.measured = true;
  report.relative = relative(all);
  for (const auto& [block, sum] : sums) report.blocks.push_back({block, sum.modules, relative(sum)});
  report.not_finite = not_finite;
  if (not_finite > 0)
    report.notes.push_back(
        fmt::format("{} modules contain NaN or infinite values; pictures will be corrupted", not_finite));
}

std::vector<ApplyReport> AdapterStack::reports(Measure measure_sizes,
                                               const std::function<void()>& after_weight) {
  std::vector<ApplyReport> all;
  for (std::size_t i = 0; i < active_.size(); ++i) {
    const ActiveAdapter& active = active_[i];
    const formats::LoraFile& file = active.adapter->file();
    ApplyReport report;
    report.name = file.name;
    report.alias = file.alias;
    report.path = file.path.string();
    report.base_model = base_model_name(file.base_model);
    report.base_model_reason = file.base_model_reason;
    report.dyn = active.dyn;
    report.unet = {.modules = active.adapter->modules(Component::kUnet), .weight = active.unet};
    report.text_encoder = {.modules = active.adapter->modules(Component::kTextEncoder) +
                                      active.adapter->modules(Component::kTextEncoder2),
                           .weight = active.te};
    for (const Target& target : active.adapter->targets()) {
      ++(target.component == Component::kUnet ? report.unet : report.text_encoder).applied;
      ++report.kinds[std::string(formats::adapter_kind_name(target.kind))];
      if (target.formula.rank > 0) ++report.ranks[target.formula.rank];
      if (target.alpha) ++report.alphas[static_cast<double>(*target.alpha)];
      report.keys_applied += static_cast<std::int64_t>(target.keys.size());
    }
    for (const auto& embedding : active.adapter->embeddings())
      report.keys_applied += static_cast<std::int64_t>(embedding.vectors.of.size());
    report.skipped = active.adapter->skipped();
    for (const auto& skipped : report.skipped)
      report.keys_skipped += static_cast<std::int64_t>(skipped.keys.size());
    report.unknown = file.unknown;
    report.keys_unknown = static_cast<std::int64_t>(file.unknown.size());
    report.keys_total = static_cast<std::int64_t>(file.file->tensors().size());
    report.notes = file.notes;
    report.notes.insert(report.notes.end(), active.adapter->notes().begin(), active.adapter->notes().end());
    report.notes.insert(report.notes.end(), active.notes.begin(), active.notes.end());
    std::int64_t ordered = 0;
    for (const Plan* plan : {&unet_plan_, &text_plan_}) {
      for (const auto& [layer, changes] : *plan) {
        const auto depends = [](const Change& change) { return change.target->formula.depends_on_base; };
        const bool ours = std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
          return change.adapter == i && depends(change);
        });
        ordered += ours && std::count_if(changes.begin(), changes.end(), depends) > 1;
      }
    }
    if (ordered > 0) {
      report.notes.push_back(
          fmt::format("order-dependent: in {} layers another LoRA acts too, and its change depends on the "
                      "weight, so the order in the prompt matters",
                      ordered));
    }
    if (active.te == 0 && active.unet == 0) report.notes.push_back("its weight is 0, so it has no effect");
    if (measure_sizes == Measure::kYes) measure(active, report, after_weight);
    all.push_back(std::move(report));
  }
  return all;
}

}  // namespace lowrank::adapter
