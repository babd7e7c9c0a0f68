// Changes of low rank, ΔW = up·down with up [out, r] and down [r, in·kh·kw]: the exact form of a module's change where its
// kind has one, several joined, and the best one of smaller rank.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "edit/source.h"

namespace lowrank::edit {

struct Pair {
  at::Tensor up, down;  // any float type
};

struct LowRankForm {
  std::int64_t rank = 0;
  double scale = 1;            // ΔW = scale · up·down
  std::function<Pair()> make;  // up [out, rank], down [rank, in·kh·kw]
};

// The exact product that a module's change is, whatever its kind; nullopt: the kind has none, or none that follows from shapes.
//   LoRA, LoCon, AdaLoRA  its factors, of rank r
//   LoHa                  (a1·b1) ∘ (a2·b2): columns and rows multiplied pairwise, of rank r1·r2
//   LoKr                  (w1 ⊗ a)·(1 ⊗ b) or (1 ⊗ a)·(w1 ⊗ b), whichever is smaller
std::optional<LowRankForm> low_rank_form(const SourceModule& module, const std::shared_ptr<const void>& owner,
                                         adapter::Dyn dyn);

// Throws Error(kBadInput) where values are no numbers: a decomposition of such never ends well.
void require_finite(const at::Tensor& values);

// Singular values and vectors of up·down, from the small matrix between the factors' QR decompositions: exact, and for thin
// factors hundreds of times cheaper than those of the product. All float32.
struct Decomposed {
  at::Tensor u;             // [out, k], orthonormal columns
  at::Tensor values;        // [k], falling, float64
  at::Tensor vh;            // [k, in·kh·kw], orthonormal rows
  double norm_squared = 0;  // ‖ΔW‖²
};
Decomposed decompose(const Pair& pair);
// The singular values alone, float64.
at::Tensor singular_values(const Pair& pair);

// The `rank` largest singular parts of a whole matrix [out, n]. Exact where the matrix is small or much of it is asked for, or
// `exact`; else by random projection (Halko, Martinsson, Tropp 2011, arXiv:0909.4061, with 4 power iterations): what is lost
// against the best approximation is at most what the report's error says, which is measured, not estimated.
Decomposed decompose_matrix(const at::Tensor& matrix, std::int64_t rank, bool exact, std::uint64_t seed);

// The `rank` largest parts as factors, √σ on either side. `lost`: ‖ΔW − up·down‖².
struct Reduced {
  Pair pair;
  double lost = 0;
};
Reduced reduced(const Decomposed& all, std::int64_t rank);

}  // namespace lowrank::edit
