#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "adapter/kinds/kinds.h"
#include "base/error.h"
#include "formats/lora/kind_table.h"

namespace lowrank::adapter::kinds {
namespace {

using Bases = formats::PeftSettings::Bases;

// torch.Tensor.uniform_ and torch.rand of a CPU generator, in one sequence.
class Drawn {
 public:
  explicit Drawn(std::int64_t seed) : engine_(static_cast<std::uint32_t>(seed)) {}

  at::Tensor uniform(const std::vector<std::int64_t>& sizes, float low, float high) {
    at::Tensor tensor = at::empty(sizes, at::kFloat);
    constexpr std::uint32_t kMask = (1u << 24) - 1;  // as many bits as a float's fraction has
    float* values = tensor.data_ptr<float>();
    for (std::int64_t i = 0; i < tensor.numel(); ++i)
      values[i] = static_cast<float>(engine_() & kMask) * 0x1p-24f * (high - low) + low;
    return tensor;
  }

 private:
  std::mt19937 engine_;
};

at::Tensor over_deviation(const at::Tensor& tensor) {
  return tensor / tensor.to(at::kDouble).std().to(at::kFloat);
}

// −1, 0, 1 with the outer two as often as 1 in 2s each.
at::Tensor sparse(const at::Tensor& uniform, double sparsity) {
  const double edge = 1 / (2 * sparsity);
  return (uniform > 1 - edge).to(at::kFloat) - (uniform < edge).to(at::kFloat);
}

SharedMatrices randlora(const formats::PeftSettings& settings, std::int64_t rank,
                        const formats::SharedSpan& span) {
  const std::int64_t shorter = std::min(span.out, span.in), longer = std::max(span.out, span.in);
  const std::int64_t bases = (shorter + rank - 1) / rank;
  Drawn drawn(*settings.seed);
  const double sparsity = settings.bases == Bases::kSparse ? 3 : std::sqrt(static_cast<double>(shorter));
  const at::Tensor a = sparse(drawn.uniform({rank, 1, shorter}, 0, 1), sparsity);
  const at::Tensor b = sparse(drawn.uniform({longer, bases, rank}, 0, 1), sparsity);
  return {over_deviation(a), over_deviation(b)};
}

// Kaiming's uniform numbers for ReLU: ±√(6 / inputs).
SharedMatrices vera(const formats::PeftSettings& settings, std::int64_t rank,
                    const formats::SharedSpan& span) {
  Drawn drawn(*settings.seed);
  const auto limit = [](std::int64_t inputs) {
    return static_cast<float>(std::sqrt(6.0 / static_cast<double>(inputs)));
  };
  const at::Tensor a = drawn.uniform({rank, span.in}, -limit(span.in), limit(span.in));
  return {a, drawn.uniform({span.out, rank}, -limit(rank), limit(rank))};
}

}  // namespace

SharedMatrices draw_shared(formats::AdapterKind kind, const formats::PeftSettings& settings,
                           std::int64_t rank, const formats::SharedSpan& span) {
  LOWRANK_CHECK(settings.seed && rank > 0 && span.out > 0 && span.in > 0);
  return kind == formats::AdapterKind::kVera ? vera(settings, rank, span) : randlora(settings, rank, span);
}

void lend(Module& module, const SharedMatrices& matrices) {
  const auto names = formats::shared_parts(module.kind);
  module.parts.emplace(names->a, matrices.a);
  module.parts.emplace(names->b, matrices.b);
}

}  // namespace lowrank::adapter::kinds
