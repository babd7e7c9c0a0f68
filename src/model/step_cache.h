// What one walk through the noise levels remembers of the U-Net's inside, so that it need not be computed in
// every step (Ma, Fang & Wang 2023, "DeepCache", arXiv:2312.00858): the features below the finest level change
// slowly. Every n-th call runs the whole U-Net; the calls between run its first and last block alone, on the
// features of the last whole call. A shortcut: the picture changes. One cache serves one text: what another says is in the
// features.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace lowrank::model {

class StepCache {
 public:
  explicit StepCache(int every) : every_(every) {}

  // Features for this call, or an undefined tensor when it has to be a whole one. To be asked once a call. `revision`: of the
  // network (UNet::revision()); features of another one do not serve.
  at::Tensor features_for_call(std::uint64_t revision) {
    if (revision != revision_) calls_ = 0;
    revision_ = revision;
    return calls_++ % every_ == 0 ? at::Tensor() : features_;
  }
  void keep(at::Tensor features) { features_ = std::move(features); }

 private:
  int every_, calls_ = 0;
  std::uint64_t revision_ = 0;
  at::Tensor features_;
};

}  // namespace lowrank::model
