// The mathematics of each kind of adapter, one file a kind. Every function gives the unscaled formula (scale 1,
// rank set) for a module whose shapes formats/kind_shapes has compared with the layer. What is common to the
// kinds (scale, dense bias, a start that was taken away, DoRA) is added by adapter/fit.cc, which holds the
// one switch over them.
//
// Sources: Hu et al. 2021 (arXiv:2106.09685) LoRA; Yeh et al. 2023 (arXiv:2309.14859) LoCon, LoHa, LoKr;
// Hyeon-Woo et al. 2021 (arXiv:2108.06098) FedPara; Liu et al. 2022 (arXiv:2205.05638) IA3; Chavan et al.
// 2023 (arXiv:2306.07967) GLoRA; Qiu et al. 2023 (arXiv:2306.07280) OFT; Liu et al. 2023 (arXiv:2311.06243)
// BOFT; Liu et al. 2024 (arXiv:2402.09353) DoRA; Meng et al. 2024 (arXiv:2404.02948) PiSSA; Büyükakyüz 2024
// (arXiv:2406.01775) OLoRA; Wang et al. 2024 (arXiv:2412.06071) KaSA; Zhang et al. 2023 (arXiv:2303.10512)
// AdaLoRA; Yuan et al. 2024 (arXiv:2405.17484) HRA; Kang et al. 2024 (arXiv:2409.15371) MiSS; Bini et al. 2025
// (arXiv:2503.18225) DeLoRA; Kopiczko et al. 2023 (arXiv:2310.11454) VeRA; Chen et al. 2024 (arXiv:2407.19342)
// C3A; Bhardwaj et al. 2024 (arXiv:2406.13175) SHiRA; Huang et al. 2025 HiRA; Gao et al. 2024 (arXiv:2405.03003)
// FourierFT; Albert et al. 2025 (arXiv:2502.00987) RandLoRA. Key names and layouts as LyCORIS,
// kohya and PEFT 0.21 write them.
#pragma once

#include <string>
#include <string_view>

#include "adapter/formula.h"
#include "formats/lora/lora_fit.h"

namespace lowrank::adapter::kinds {

// LoRA, LoCon:   ΔW = up·down               down [r, in, kh, kw], up [out, r]
// with mid:      ΔW[o,i,y,x] = Σ up[o,a]·mid[a,b,y,x]·down[b,i]       (Tucker; mid [r, r, kh, kw], down [r, in])
// lora_up.bias [out]: Δb
// KaSA, AdaLoRA: ΔW = up·diag(lora_diag or lora_E)·down
Formula lora(const Module& module, const LayerShape& layer);

// LoHa:   ΔW = (w1_a·w1_b) ∘ (w2_a·w2_b)    w*_a [out, r], w*_b [r, in·kh·kw]
// Tucker: ΔW = X1 ∘ X2, X[o,i,y,x] = Σ t[a,b,y,x]·w_a[a,o]·w_b[b,i]
Formula loha(const Module& module, const LayerShape& layer);

// LoKr:   ΔW = w1 ⊗ w2, (w1 ⊗ w2)[p·o2 + q, u·i2 + v, y, x] = w1[p,u]·w2[q,v,y,x]; each may be factored.
// The rank is that of w2's factors, else of w1's, else what PEFT's settings state; 0 (alpha is ignored, LyCORIS)
// when both are whole and nothing is stated.
Formula lokr(const Module& module, const LayerShape& layer);

// IA3:    ΔW = W[o,i,…]·w[i] (on_input) or W[o,i,…]·w[o]
// PEFT:   W' = W[o,i,…]·l[i] (feed-forward) or W[o,i,…]·l[o], and then b' = b·l too
Formula ia3(const Module& module, const LayerShape& layer);

// full:   ΔW = diff, Δb = diff_b
Formula full(const Module& module, const LayerShape& layer);

// norm:   Δw = w_norm, Δb = b_norm of a layer or group norm
Formula norm(const Module& module, const LayerShape& layer);

// GLoRA:  ΔW = B + W·A; two layouts (current LyCORIS: B = b1·b2, A = a1·a2; old: B = b2·b1, A = a2·a1).
// A acts on the input channels of a convolution. With bm, B is of Tucker form.
Formula glora(const Module& module, const LayerShape& layer);

// OFT:    W'[k,m] = Σ_n R[k,n,m]·W[k,n] on blocks of n output rows, R = (I + Q)(I − Q)⁻¹, Q = blocks − blocksᵀ,
//         ‖Q‖ limited to alpha·out; oft_diag holds R itself; `rescale` [out] multiplies rows. ΔW = W' − W.
Formula oft(const Module& module, const LayerShape& layer);

// BOFT:   as OFT, in stages i with rows exchanged butterfly-wise at distance 2^i·n/2.
Formula boft(const Module& module, const LayerShape& layer);

// PEFT's OFT: W' = W·blockdiag(R)ᵀ on blocks of n input columns (in·kh·kw, flattened). Q [k, n, n] is skew-
// symmetric, oft_R [k, n(n − 1)/2] its upper triangles row by row; k = 1: one block for all.
//   R = I + 2Q + 2Q² + … + 2Q^(t−2) + Q^(t−1) of t terms (the default, t = 5), or (I − Q)(I + Q)⁻¹
// With a limit e each Q whose norm is above e/√k is shortened to it.
Formula oft_peft(const Module& module, const LayerShape& layer);

// PEFT's BOFT: W' = s ∘ (W·B₀ᵀ·B₁ᵀ…), boft_s [out]; B_i are block-diagonal rotations R = (I − Q)(I + Q)⁻¹,
// Q = (boft_R − boft_Rᵀ)/2, between a permutation that brings together columns 2^i·n/2 apart, and its inverse.
Formula boft_peft(const Module& module, const LayerShape& layer);

// HRA:    W' = W·∏ (I − 2·u_j·u_jᵀ), u_j the columns of hra_u [in·kh·kw, r] made unit length.
// Orthonormal: the columns go through Gram-Schmidt first, and W' = W·(I − 2·U·Uᵀ).
Formula hra(const Module& module, const LayerShape& layer);

// MiSS:   ΔW[o,i] = block[i mod r, o mod m], miss_block [r, m] with m = out or a divisor of it
// by blocks [out/r, r, r]: ΔW = W·block + block on every square of r × r
Formula miss(const Module& module, const LayerShape& layer);

// DeLoRA: ΔW[o,i] = λ/r·Σ_k B[o,k]/‖B[:,k]‖·A[k,i]/‖A[k,:]‖ · w_norm[i]
Formula delora(const Module& module, const LayerShape& layer);

// VeRA:   ΔW = diag(b)·B[:out]·diag(d)·A[:, :in], vera_A [r, ≥ in] and vera_B [≥ out, r] random and shared
Formula vera(const Module& module, const LayerShape& layer);

// C3A:    ΔW[p·b + s, q·b + t] = kernel[p, q, (t − s) mod b] / in
Formula c3a(const Module& module, const LayerShape& layer);

// SHiRA:  ΔW[indices[0,j], indices[1,j]] += weight[j]
Formula shira(const Module& module, const LayerShape& layer);

// HiRA:   ΔW = W ∘ (B·A)
Formula hira(const Module& module, const LayerShape& layer);

// FourierFT: ΔW = gain · Re(ifft2(S)), S [out, in] zero but for the spectrum, whose places are drawn from a seed.
Formula fourierft(const Module& module, const LayerShape& layer);

// RandLoRA: ΔW = Σ_j L_j·S_j over r·k pairs of columns and rows, of the shared randlora_B [m, k, r] and of
// λ[a, b]·randlora_A[a, n]·γ[b, n]; n is the layer's shorter side, m the longer.
Formula randlora(const Module& module, const LayerShape& layer);

// VeRA's and RandLoRA's shared matrices (of RandLoRA the sparse ones) as PEFT draws them where the file does not hold them; `span` is that of all layers.
struct SharedMatrices {
  at::Tensor a, b;
};
SharedMatrices draw_shared(formats::AdapterKind kind, const formats::PeftSettings& settings,
                           std::int64_t rank, const formats::SharedSpan& span);
void lend(Module& module, const SharedMatrices& matrices);

// What the training took out of the base weight before it began, so that the file's change is scale·up·down less
// that: PiSSA the r largest singular parts of W, OLoRA scale·(the first r of W's QR factors), KaSA the r smallest
// singular parts.
bool has_start(const Module& module);
Formula without_start(const Module& module, Formula formula);

// DoRA:   turns a kind's formula (scale and all) into W' − W, W' = V·dora_scale/(‖V‖ + 2⁻²³), V = W + ΔW; the
// norm is over each output row or each input column, see formats::dora_norm.
Formula dora(const Module& module, const LayerShape& layer, Formula formula);

std::int64_t size_at(const at::Tensor& tensor, std::int64_t dimension);  // 1 beyond the tensor's rank
at::Tensor flat(const at::Tensor& tensor);                               // [dim 0, all others]

// Σ_{a,b} up[o,a]·mid[a,b,y,x]·down[b,i] → [out, in, kh, kw]; up [out, r], down [r, in], flattened already.
at::Tensor tucker(const at::Tensor& up, const at::Tensor& mid, const at::Tensor& down);

// (I + Q)(I − Q)⁻¹ of skew-symmetric Q [.., n, n].
at::Tensor cayley(const at::Tensor& q);

}  // namespace lowrank::adapter::kinds
