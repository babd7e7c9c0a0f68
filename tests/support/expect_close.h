// Golden comparison of tensors, in one place: what counts as close, and a failure that tells where and how
// far.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace lowrank::testing {

struct Tolerance {
  double rel =
      1e-3;  // of the golden tensor's largest magnitude: float32 sums in another order stay far below it
};

// Largest |ours − golden| ≤ rel · largest |golden|, shapes equal, everything finite.
inline ::testing::AssertionResult expect_close(const at::Tensor& ours, const at::Tensor& golden,
                                               Tolerance tolerance = {}, const std::string& name = "") {
  if (!ours.defined() || !golden.defined())
    return ::testing::AssertionFailure() << name << ": a tensor is undefined";
  if (ours.sizes() != golden.sizes())
    return ::testing::AssertionFailure()
           << name << ": shape " << ours.sizes() << " where " << golden.sizes() << " is expected";
  if (golden.numel() == 0) return ::testing::AssertionSuccess();
  const at::Tensor a = ours.detach().to(at::kCPU).to(at::kDouble).flatten();
  const at::Tensor b = golden.detach().to(at::kCPU).to(at::kDouble).flatten();
  const at::Tensor error = (a - b).abs();
  const double scale = b.abs().max().item<double>(), largest = error.max().item<double>();
  const double allowed = tolerance.rel * std::max(scale, std::numeric_limits<double>::min());
  if (std::isfinite(largest) && largest <= allowed) return ::testing::AssertionSuccess();
  const auto place = error.argmax().item<std::int64_t>();
  std::vector<std::int64_t> index;
  std::int64_t rest = place;
  for (std::int64_t d = golden.dim() - 1; d >= 0; --d) {
    index.insert(index.begin(), rest % golden.size(d));
    rest /= golden.size(d);
  }
  std::ostringstream where;
  for (const auto i : index) where << '[' << i << ']';
  return ::testing::AssertionFailure()
         << name << where.str() << ": ours " << a[place].item<double>() << ", golden "
         << b[place].item<double>() << "; largest error " << largest << " = " << largest / scale
         << " of the golden maximum " << scale << " (allowed " << tolerance.rel << "), mean error "
         << error.mean().item<double>();
}

}  // namespace lowrank::testing
