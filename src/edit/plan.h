// From the layers' changes to the steps of an output file: the common end of every operation that computes an adapter.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edit/change.h"
#include "edit/report.h"

namespace lowrank::edit {

// One layer of the output and how its change is made, whatever it comes from.
struct LayerChange {
  formats::LayerAddress layer;
  adapter::LayerShape shape;
  std::string name = {};                    // of the module in the output
  std::optional<Joined> product = {};       // the change as a product of factors, where it is one
  bool stays_factors = false;               // even where a whole difference would be smaller
  std::function<at::Tensor()> weight = {};  // the change in the layer's shape, float32; null: the bias alone
  std::function<at::Tensor()> bias = {};    // float32 [out]; null: none
  std::function<void()> after = {};         // once it is written
  std::optional<std::int64_t> rank = {};    // reduced to at most this one; nullopt: nothing is lost
};

// All that acts on one layer.
struct LayerWork {
  formats::LayerAddress layer;
  adapter::LayerShape shape;
  std::string name;
  std::vector<WeightedModule> parts;
};

// The layers that the sources change, in the order of their addresses, each with those of its parts that weigh something.
// `weight_of(source, module)`: the module's weight. Throws Error(kBadInput) where two sources see one layer in two shapes.
std::vector<LayerWork> layer_work(
    const Sources& sources, const std::function<double(std::size_t source, const SourceModule&)>& weight_of,
    const std::function<adapter::Dyn(std::size_t source)>& dyn_of = {});

// The sum of the parts. Throws Error(kBadInput) when the layer needs the checkpoint's weights and `layers` has none.
LayerChange sum_of(const LayerWork& work, const std::shared_ptr<const Layers>& layers);

// Whether kernels of a convolution are wider than 1×1: such layers have a rank of their own.
bool is_wide(const adapter::LayerShape& shape);

class OutputPlan {
 public:
  explicit OutputPlan(weights::DType type, bool exact_svd = false) : type_(type), exact_svd_(exact_svd) {}

  void add(LayerChange change);
  // What lies in the sources beside the layers: textual inversions.
  void add_embeddings(const Sources& sources);

  std::vector<Step> take_steps() { return std::move(steps_); }
  // After the steps were made.
  void fill(Report& report) const;
  // ss_network_dim and ss_network_alpha of what was planned: "128", "Dynamic", "None".
  std::string rank_text() const;
  std::string alpha_text() const;

 private:
  struct Loss {
    std::string block;
    double lost = 0, norm = 0;
  };
  void add_factors(LayerChange change, std::int64_t rank, double scale, std::function<Pair()> make);
  void add_whole(LayerChange change);
  void add_norm(LayerChange change);
  void add_bias_alone(LayerChange change);
  void add_reduced(LayerChange change, std::int64_t rank);
  void number(std::string name, double value);

  weights::DType type_;
  bool exact_svd_;
  std::vector<Step> steps_;
  std::map<std::int64_t, std::int64_t> ranks_;
  std::map<double, std::int64_t> alphas_;
  std::int64_t joined_ = 0, whole_ = 0, norms_ = 0, reduced_ = 0, rounded_ = 0;
  std::vector<std::shared_ptr<Loss>> losses_;
  std::vector<std::string> notes_;
};

}  // namespace lowrank::edit
