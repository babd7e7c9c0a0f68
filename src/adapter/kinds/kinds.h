// The mathematics of each kind of adapter, one file a kind. Every function checks the shapes of a module
// against a layer and gives the unscaled formula (scale 1, rank set), or says why they do not fit. What is
// common to the kinds (scale, DoRA, dense bias) is added by adapter/formula.cc, which holds the one switch
// over them.
//
// Sources: Hu et al. 2021 (arXiv:2106.09685) LoRA; Yeh et al. 2023 (arXiv:2309.14859) LoCon, LoHa, LoKr;
// Hyeon-Woo et al. 2021 (arXiv:2108.06098) FedPara; Liu et al. 2022 (arXiv:2205.05638) IA3; Chavan et al.
// 2023 (arXiv:2306.07967) GLoRA; Qiu et al. 2023 (arXiv:2306.07280) OFT; Liu et al. 2023 (arXiv:2311.06243)
// BOFT; Liu et al. 2024 (arXiv:2402.09353) DoRA. Key names and layouts as LyCORIS and kohya write them.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "adapter/formula.h"

namespace lowrank::adapter::kinds {

// LoRA, LoCon:   ΔW = up·down               down [r, in, kh, kw], up [out, r]
// with mid:      ΔW[o,i,y,x] = Σ up[o,a]·mid[a,b,y,x]·down[b,i]       (Tucker; mid [r, r, kh, kw], down [r,
// in]) lora_up.bias [out]: Δb
Fit lora(const Module& module, const LayerShape& layer);

// LoHa:   ΔW = (w1_a·w1_b) ∘ (w2_a·w2_b)    w*_a [out, r], w*_b [r, in·kh·kw]
// Tucker: ΔW = X1 ∘ X2, X[o,i,y,x] = Σ t[a,b,y,x]·w_a[a,o]·w_b[b,i]
Fit loha(const Module& module, const LayerShape& layer);

// LoKr:   ΔW = w1 ⊗ w2, (w1 ⊗ w2)[p·o2 + q, u·i2 + v, y, x] = w1[p,u]·w2[q,v,y,x]; each may be factored.
// The rank is that of w2's factors, else of w1's; 0 (alpha is ignored) when both are full.
Fit lokr(const Module& module, const LayerShape& layer);

// IA3:    ΔW = W[o,i,…]·w[i] (on_input) or W[o,i,…]·w[o]
Fit ia3(const Module& module, const LayerShape& layer);

// full:   ΔW = diff, Δb = diff_b
Fit full(const Module& module, const LayerShape& layer);

// norm:   Δw = w_norm, Δb = b_norm of a layer or group norm
Fit norm(const Module& module, const LayerShape& layer);

// GLoRA:  ΔW = B + W·A; two layouts (current LyCORIS: B = b1·b2, A = a1·a2; old: B = b2·b1, A = a2·a1).
// A acts on the input channels of a convolution. With bm, B is of Tucker form.
Fit glora(const Module& module, const LayerShape& layer);

// OFT:    W'[k,m] = Σ_n R[k,n,m]·W[k,n] on blocks of n output rows, R = (I + Q)(I − Q)⁻¹, Q = blocks −
// blocksᵀ,
//         ‖Q‖ limited to alpha·out; oft_diag holds R itself; `rescale` [out] multiplies rows. ΔW = W' − W.
Fit oft(const Module& module, const LayerShape& layer);

// BOFT:   as OFT, in stages i with rows exchanged butterfly-wise at distance 2^i·n/2.
Fit boft(const Module& module, const LayerShape& layer);

// DoRA:   turns a kind's formula (scale and all) into W' − W, W' = V·dora_scale/(‖V‖ + 2⁻²³), V = W + ΔW; the
// norm is over each output row or each input column, as the shape of dora_scale says (one-dimensional: rows
// if it fits).
Fit dora(const Module& module, const LayerShape& layer, Formula formula);

// Collects the first mismatch of shapes. Trailing dimensions of 1 beyond the second do not count.
class ShapeCheck {
 public:
  ShapeCheck(const Module& module, const LayerShape& layer) : module_(module), layer_(layer) {}
  ShapeCheck& part(std::string_view name, std::initializer_list<std::int64_t> wanted);
  bool ok() const { return reason_.empty(); }
  Misfit misfit() const { return {reason_}; }

 private:
  const Module& module_;
  const LayerShape& layer_;
  std::string reason_;
};

std::string sizes_text(at::IntArrayRef sizes);                           // "[320, 768]"
std::int64_t size_at(const at::Tensor& tensor, std::int64_t dimension);  // 1 beyond the tensor's rank
at::Tensor flat(const at::Tensor& tensor);                               // [dim 0, all others]

// Σ_{a,b} up[o,a]·mid[a,b,y,x]·down[b,i] → [out, in, kh, kw]; up [out, r], down [r, in], flattened already.
at::Tensor tucker(const at::Tensor& up, const at::Tensor& mid, const at::Tensor& down);

}  // namespace lowrank::adapter::kinds
