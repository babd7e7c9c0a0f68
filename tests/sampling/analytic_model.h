// A network that is a formula, the same as in tools/fixtures/make_sampler_goldens.py:
//   a·sin(0.0014·t + 0.1)·x + b·tanh(c·roll(x, 1) + t/1000)       with (a, b, c) of the branch
#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

#include "sampling/denoiser.h"

namespace lowrank::sampling::testing {

class AnalyticModel : public NoiseModel {
 public:
  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps, std::span<const BranchRow> rows,
                     int call) override {
    calls.push_back(call);
    rows_per_call.push_back({rows.begin(), rows.end()});
    std::vector<at::Tensor> out;
    for (std::int64_t i = 0; i < x.size(0); ++i) {
      const auto t = timesteps[i].item<float>();
      const auto [a, b, c] = branch(rows[static_cast<std::size_t>(i)].piece);
      out.push_back(x[i] * (a * std::sin(0.0014 * t + 0.1)) +
                    at::tanh(at::roll(x[i], 1, -1) * c + t / 1000) * b);
    }
    return at::stack(out);
  }

  std::vector<int> calls;
  std::vector<std::vector<BranchRow>> rows_per_call;

 private:
  struct Numbers {
    double a, b, c;
  };
  static Numbers branch(int piece) {
    if (piece == 0) return {0.85, 0.30, 1.2};
    if (piece == 1) return {0.75, -0.25, 0.8};
    return {0.80, 0.20, 0.5};
  }
};

}  // namespace lowrank::sampling::testing
