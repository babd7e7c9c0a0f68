// What every optimiser of the trainers can do. One file per optimiser; request/training/optimiser_rows.inc lists them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "request/training/optimisers.h"
#include "tensor/state_dict.h"

namespace lowrank::training {

// A float32 leaf that requires a gradient, and the peak of its learning rate.
struct TrainedParameter {
  std::string name;
  at::Tensor tensor;
  double learning_rate = 0;
  bool decays = true;      // weight decay applies; whole models leave out biases and norms
  std::int64_t group = 0;  // from 0: what estimates a rate may do so for each group on its own
};

class Optimiser {
 public:
  explicit Optimiser(std::vector<TrainedParameter> parameters);
  virtual ~Optimiser() = default;
  Optimiser(const Optimiser&) = delete;
  Optimiser& operator=(const Optimiser&) = delete;

  // Scales all gradients so that their common norm is at most `limit`; returns the norm before. Non-finite norms drop
  // every gradient, so that the step changes nothing but the count.
  double clip_gradients(double limit);
  // One update with the gradients that backward() left, at `factor` times each parameter's learning rate; parameters
  // without a gradient stay. Gradients are then dropped.
  void step(double factor);

  // Keeps moving averages of the parameters: average ← average + (w − average) · (1 − min(decay, (1+t)/(10+t))) after
  // step t, from 1. They are what is evaluated. decay 0: none are kept.
  void keep_average(double decay);

  // What it remembers between steps; the parameters themselves are not included.
  tensor::StateDict state() const;
  // Takes state() back. Throws Error(kBadInput) naming a tensor that is missing or misshapen.
  void load(const tensor::StateDict& state, std::int64_t steps);

 protected:
  // One update, with gradients off; steps_ counts it already. May change the gradients.
  virtual void update(double factor) = 0;
  // Where training walks beside the weights that it finds (schedule-free methods): those weights of parameter `i`.
  // Undefined: the parameters are the weights.
  virtual at::Tensor found(std::size_t /*i*/) const { return {}; }

  // Declares what is saved: one tensor for each parameter, those undefined left out, as "PREFIX/NAME"; a number.
  void remember(std::string prefix, std::vector<at::Tensor>& tensors);
  void remember(std::string name, double& number);
  // A zero beside every parameter.
  std::vector<at::Tensor> zeros() const;
  std::vector<at::Tensor> copies() const;

  const at::Tensor& gradient(std::size_t i) const { return parameters_[i].tensor.grad(); }
  // Weight decay of parameter `i`.
  double decay(std::size_t i, double weight_decay) const { return parameters_[i].decays ? weight_decay : 0; }

  // Gradients that parameter `i` has had, with this step's.
  double gradients_of(std::size_t i) const { return seen_[i]; }

  std::vector<TrainedParameter> parameters_;
  std::int64_t steps_ = 0;

 private:
  friend class Evaluation;
  at::Tensor weights(std::size_t i) const;

  std::vector<std::pair<std::string, std::vector<at::Tensor>*>> tensors_;
  std::vector<std::pair<std::string, double*>> numbers_;
  std::vector<double> seen_;
  double average_decay_ = 0;
  std::vector<at::Tensor> averages_;
};

// While it lives, the parameters are what is to be saved, drawn with and judged: moving averages where they are kept, and
// what a schedule-free optimiser has found. Afterwards training goes on bit for bit.
class Evaluation {
 public:
  explicit Evaluation(Optimiser& optimiser);
  ~Evaluation();
  Evaluation(const Evaluation&) = delete;
  Evaluation& operator=(const Evaluation&) = delete;

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> trained_;  // parameter and its value in training
};

// The largest of the parameters' rates, for optimisers that know only one; 0 is allowed beside it. Throws Error(kBadInput)
// naming the optimiser where they differ otherwise.
double common_rate(const std::vector<TrainedParameter>& parameters, std::string_view optimiser);

}  // namespace lowrank::training
