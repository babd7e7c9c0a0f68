#include "training/optim/sgd.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/error.h"

namespace lowrank::training {

Sgd::Sgd(std::vector<TrainedParameter> parameters, const request::OptimiserArguments& arguments)
    : Optimiser(std::move(parameters)),
      momentum_(arguments.number("momentum")),
      dampening_(arguments.number("dampening")),
      weight_decay_(arguments.number("weight_decay")),
      nesterov_(arguments.is_on("nesterov")) {
  if (nesterov_ && (momentum_ == 0 || dampening_ != 0))
    throw Error(kBadInput,
                "--optimizer-args: nesterov=True needs a momentum above 0, such as momentum=0.9, and "
                "dampening=0.");
  if (momentum_ == 0) return;
  b_ = zeros();
  remember("b", b_);
}

void Sgd::update(double factor) {
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    if (!gradient(i).defined()) continue;
    at::Tensor& w = parameters_[i].tensor;
    const double lambda = decay(i, weight_decay_);
    at::Tensor d = lambda != 0 ? gradient(i).add(w, lambda) : gradient(i);
    if (momentum_ != 0) {
      if (gradients_of(i) == 1)
        b_[i].copy_(d);
      else
        b_[i].mul_(momentum_).add_(d, 1 - dampening_);
      d = nesterov_ ? d.add(b_[i], momentum_) : b_[i];
    }
    w.add_(d, -factor * parameters_[i].learning_rate);
  }
}

}  // namespace lowrank::training
