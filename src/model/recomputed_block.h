// Blocks of a network in training: what a block's backward pass needs is kept, or made once more when its turn comes
// (gradient checkpointing, Chen et al. 2016, arXiv:1604.06174), which costs a second forward pass and saves the memory of
// all blocks but one. Either way gives the same numbers bit for bit.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace lowrank::model {

enum class Recompute { kNo, kYes };

// Makes a block's output from its inputs, of which some may be undefined. The same numbers each time until the backward
// pass is done: what is drawn at random is drawn before.
using BlockBody = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

// body(inputs); gradients are on. The gradients that the block gives to one input are summed within the block before they
// are added to those of others, so that the order of sums does not depend on `recompute`. What body refers to must
// outlive the graph; parameters in it gather their gradients in themselves.
at::Tensor run_block(BlockBody body, const std::vector<at::Tensor>& inputs, Recompute recompute);

}  // namespace lowrank::model
