#include "model/recomputed_block.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <utility>

namespace lowrank::model {
namespace {

using torch::autograd::Node;
using torch::autograd::variable_list;

// The end of a block's own graph: takes the gradient of one input as it arrives. A leaf would bring it into the leaf's
// order in memory, on which sums that follow depend.
struct CatchGradient : Node {
  std::string name() const override { return "CatchGradient"; }
  variable_list apply(variable_list&& dx) override {
    gradient = std::move(dx[0]);
    return {};
  }
  at::Tensor gradient;
};

struct BlockBackward : Node {
  std::string name() const override { return "BlockBackward"; }
  void release_variables() override { inputs.clear(); }

  variable_list apply(variable_list&& dy) override {
    variable_list gradients(inputs.size());
    if (!dy[0].defined()) return gradients;
    std::vector<at::Tensor> ends;
    std::vector<std::shared_ptr<CatchGradient>> caught(inputs.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      ends.push_back(inputs[i].defined() ? inputs[i].detach() : at::Tensor());
      if (!task_should_compute_output(i)) continue;
      caught[i] = std::shared_ptr<CatchGradient>(new CatchGradient, torch::autograd::deleteNode);
      torch::autograd::create_gradient_edge(ends[i], caught[i]);
    }
    {
      const at::AutoGradMode with_graph(true);
      const at::Tensor y = body(ends);
      ends.clear();
      y.backward(dy[0]);
    }
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (caught[i] != nullptr) gradients[i] = std::move(caught[i]->gradient);
    return gradients;
  }

  BlockBody body;
  std::vector<at::Tensor> inputs;  // without a graph
};

}  // namespace

at::Tensor run_block(BlockBody body, const std::vector<at::Tensor>& inputs, Recompute recompute) {
  std::vector<at::Tensor> own;
  for (const at::Tensor& input : inputs) {
    const bool learns = input.defined() && input.requires_grad();
    own.push_back(!learns                        ? input
                  : recompute == Recompute::kYes ? input.detach().requires_grad_()
                                                 : at::alias(input));
  }
  at::Tensor y = body(own);
  if (recompute == Recompute::kNo) return y;
  // Of its inputs a block may use some alone, and without any of them something in it may learn.
  const bool learns = y.requires_grad();
  y = y.detach();
  if (!learns) return y;
  const std::shared_ptr<BlockBackward> node(new BlockBackward, torch::autograd::deleteNode);
  node->body = std::move(body);
  for (const at::Tensor& input : own) node->inputs.push_back(input.defined() ? input.detach() : input);
  node->set_next_edges(torch::autograd::collect_next_edges(inputs));
  torch::autograd::create_gradient_edge(y, node);
  return y;
}

}  // namespace lowrank::model
