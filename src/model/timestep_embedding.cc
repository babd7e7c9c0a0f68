#include "model/timestep_embedding.h"

#include <ATen/ATen.h>

#include <cmath>
#include <vector>

namespace lowrank::model {

at::Tensor timestep_embedding(const at::Tensor& timesteps, std::int64_t width) {
  const std::int64_t half = width / 2;
  const at::Tensor frequencies = at::exp(at::arange(half, timesteps.options().dtype(at::kFloat)) *
                                         (-std::log(10000.0) / static_cast<double>(half)));
  // Row by row: libtorch's vectorised cosine and the one for what is left over differ in the last bit, and which of them
  // serves a row of a batch would follow from its place.
  std::vector<at::Tensor> rows;
  for (const at::Tensor& timestep : timesteps.to(at::kFloat).unbind()) {
    const at::Tensor angles = timestep * frequencies;
    rows.push_back(at::cat({at::cos(angles), at::sin(angles)}));
  }
  at::Tensor embedding = at::stack(rows);
  if (width % 2 != 0) embedding = at::constant_pad_nd(embedding, {0, 1});
  return embedding;
}

}  // namespace lowrank::model
