// Which adapters are on, and with what weight: gives every layer of a model its effective operation through
// the layer's slot. The base weights are never written; an empty set makes the model exactly what it was.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "adapter/adapter.h"
#include "adapter/block_weights.h"
#include "adapter/report.h"

namespace lowrank::adapter {

// One LoRA of a request. The same adapter may stand in the list more than once; all act.
struct ActiveAdapter {
  std::shared_ptr<const Adapter> adapter;
  double te = 1, unet = 1;  // weights, any finite number
  Dyn dyn = {};
  BlockWeights blocks = {};
  // Factor on the U-Net's weight at sampling step 1 … steps (start=, stop=, weight schedules). Empty:
  // constant 1.
  std::function<double(int step, int steps)> unet_factor = {};
  // Whether it acts at model call 0, 1 … (tags inside prompt editing), on U-Net and text encoder. Empty: at all.
  std::function<bool(int call)> acts_at = {};
  std::vector<std::string> notes = {};  // what whoever read the tag wants to see in the report
};

// Note [derived or beside]: a layer's change can be added to a float32 copy of its weight (derived weight:
// costs memory, nothing at run time) or, when it is of low rank, computed beside the layer (branch: two thin
// products at each call, hardly any memory; of the layer's own time about rank / in + rank / out). Copies of
// all layers of SD 1.5 would take 3.4 GB. But the small layers are those that see the large maps: a quarter
// of a gigabyte of copies takes in every attention and feed-forward layer of the two finest levels, where a
// branch costs most, and what is left is wide, where a branch costs little. So copies are made of the
// smallest layers first, the U-Net's before the text encoder's (which runs once a prompt), until
// `derived_budget_bytes` is full; the others run beside their layer, unless their factors would be no smaller
// than a copy, and weights that must be derived take the base weight's own type (one rounding).
struct StackOptions {
  std::int64_t derived_budget_bytes = std::int64_t{256} << 20;  // float32 copies of changed layers
};

enum class Measure { kNo, kYes };

// What one adapter adds to one layer, with what weight.
struct Part {
  std::shared_ptr<const Adapter> owner;
  const Formula* formula = nullptr;
  double weight = 0;
  Dyn dyn;
};

class AdapterStack {
 public:
  explicit AdapterStack(StackOptions options = {}) : options_(options) {}

  // Replaces whatever set was on. Additive kinds are summed first, weight-dependent ones follow in the list's
  // order, each on the result so far. The model must live until the next apply() or clear(). Patches of
  // others in the slots (training) are left alone. Throws Error when an adapter was matched with a model of
  // another shape.
  void apply(std::span<const ActiveAdapter> active, const ModelParts& model);

  // After apply(): what takes long the first time (the decompositions of PiSSA and KaSA), on all cores, so that it is seen
  // and can be stopped: `report(done, total)` in layers, on the caller's thread. Nothing is done twice. Throws
  // Error(kCancelled).
  void prepare(const std::function<void(std::int64_t, std::int64_t)>& report, const std::stop_token& stop);

  // Takes everything out of the slots.
  void clear();

  // Before sampling step `step` of `steps`, counted from 1: brings the U-Net's weights up to date. Cheap when
  // no active adapter has a unet_factor or no factor changed. The text encoder is not switched: it runs
  // before sampling.
  void set_step(int step, int steps);

  // Before model call `call`, counted from 0: likewise for adapters with acts_at.
  void set_call(int call);
  // Brings the text encoder to the adapters that act at `call`: texts for that call are encoded now.
  void set_text_call(int call);

  // One report per active adapter, in order. Sizes of the change are at full weight, without step factors. To measure reads
  // the weights of each changed layer once; `after_weight` is called after each, so that mapped ones need not stay in memory.
  std::vector<ApplyReport> reports(Measure measure = Measure::kYes,
                                   const std::function<void()>& after_weight = {});

  struct Summary {
    std::int64_t derived_layers = 0, branch_layers = 0, derived_bytes = 0;
  };
  const Summary& summary() const { return summary_; }

 private:
  struct Change {
    const Target* target = nullptr;
    std::size_t adapter = 0;  // index into active_
  };
  using Plan = std::map<model::Layer*, std::vector<Change>>;

  double weight_of(const Change& change) const;
  std::set<const model::Layer*> affordable_copies() const;
  void add_part(std::vector<Part>& parts, const Change& change) const;
  void fill(const Plan& plan);
  void refill(const Plan& plan, const std::set<std::size_t>& changed);
  std::set<std::size_t> update_activity(int call, std::vector<bool>& acts) const;
  double base_norm_squared(const model::Layer& layer, const std::function<void()>& after_weight);
  void measure(const ActiveAdapter& active, ApplyReport& report, const std::function<void()>& after_weight);

  StackOptions options_;
  std::vector<ActiveAdapter> active_;
  std::vector<double> factors_;         // unet_factor of each active adapter at the current step
  std::vector<bool> acts_, text_acts_;  // acts_at of each at the current call, and at that of the texts
  ModelParts model_;
  Plan unet_plan_, text_plan_;            // of all text encoders
  std::set<const model::Layer*> copied_;  // the outcome of Note [derived or beside]
  Summary summary_;

  struct BaseNorm {
    at::Tensor weight;  // whose norm it is
    double squared = 0;
  };
  std::map<std::string, BaseNorm> base_norms_;  // by component and path
};

}  // namespace lowrank::adapter
