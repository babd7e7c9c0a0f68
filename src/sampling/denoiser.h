// What a sampler asks at every level: "how would this latent look without its noise?" The Denoiser hides
// everything behind that question: eps, v or flow prediction, scaling, LCM's boundary terms, classifier-free
// guidance with several AND pieces, and the calls in which the negative prompt is left out. The network
// itself is a NoiseModel, given from above; nothing here knows a U-Net or a prompt.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "formats/family.h"
#include "sampling/noise_table.h"

namespace lowrank::sampling {

// One row of a model batch: which image it belongs to and which conditioning it wants.
struct BranchRow {
  int image;  // 0 … n−1
  int piece;  // index of the AND piece, or kUncond for the negative prompt
  static constexpr int kUncond = -1;
  friend bool operator==(const BranchRow&, const BranchRow&) = default;
};

// The network with its conditionings. Implemented by the pipeline.
class NoiseModel {
 public:
  virtual ~NoiseModel() = default;
  // The raw prediction (eps, v or flow) for each row.
  //   x          [rows, 4, h, w] float32, already scaled by c_in: the network's own input
  //   timesteps  [rows] float32, all equal, may be fractional
  //   rows       image 0's pieces, image 1's pieces, …, then (unless left out) one kUncond row per image in order
  //   call       index of this call in the walk, from 0: prompt editing selects its text by it
  //   returns    [rows, 4, h, w] float32
  // The implementer splits rows whose conditionings differ in length, and cuts batches to save memory.
  virtual at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps,
                             std::span<const BranchRow> rows, int call) = 0;
};

using Prediction = formats::PredictionType;

// Classifier-free guidance:  result = u + Σᵢ wᵢ·scale·(cᵢ − u)  with pieces cᵢ of weight wᵢ.
struct Guidance {
  double scale = 7;
  std::vector<std::vector<double>> weights = {};  // [image][piece]; at least one piece per image
  // "Skip Early CFG": calls k with k / total_calls ≤ this leave the negative prompt out; 0 off
  double skip_early = 0;
  double s_min_uncond = 0;        // NGMS: below this sigma every second call leaves it out; 0 off
  bool s_min_uncond_all = false;  // NGMS in every call, not only the odd ones
  int total_calls = 0;            // steps, twice that for second-order samplers (planned_calls() in run.h)
};

class Denoiser {
 public:
  // `model` must outlive the denoiser. Throws Error(kBadInput) when a guidance has an image without pieces.
  Denoiser(NoiseModel& model, NoiseTable table, Prediction prediction, Guidance guidance,
           std::stop_token stop = {});

  // D(x, sigma) after guidance, for samplers that walk in sigma. x [n, 4, h, w] in latent units, sigma > 0.
  //   c_in = 1/√(sigma²+1)
  //   eps:        D = x − sigma·eps(x·c_in, t)
  //   v:          D = x/(sigma²+1) − v·sigma/√(sigma²+1)
  //   flow:       D = (x − sigma·v)/(1 + sigma),  c_in = 1/(1 + sigma);  in its times: D = x − t·v,  c_in = 1
  //   LCM table:  D ← c_skip·x + c_out·D,  s = 10·t,  c_skip = 0.25/(s²+0.25),  c_out = s/√(s²+0.25)
  // Throws Error(kCancelled) on a stop request, before the network runs.
  at::Tensor denoise(const at::Tensor& x, float sigma);

  // Inpainting: from now on z [n, 4, h, w] stays where `repaint` is 0. Samplers that walk in sigma see it in
  // every answer, D ← D·repaint + z·(1 − repaint); for those that walk in timesteps it is put into x before
  // the network sees it, without noise. Source: A1111's CFGDenoiser, mask_before_denoising.
  void keep(at::Tensor latent, at::Tensor repaint);
  // x with z where it is to stay; x itself when nothing is kept.
  at::Tensor with_kept(const at::Tensor& x) const;

  // eps after guidance on eps, for samplers that walk in timesteps.
  //   x is scaled as in training:  x = √ᾱ·x₀ + √(1−ᾱ)·ξ
  //   v prediction:                eps = √ᾱ[t]·v + √(1−ᾱ[t])·x
  //   flow:                        eps = (x/√ᾱ[t] + v)/(1 + sigma[t])
  struct GuidedEps {
    at::Tensor guided;
    at::Tensor uncond;  // of the negative prompt; the first piece's where that was left out
  };
  // `scale_factor` multiplies the guidance scale (DDIM CFG++ divides it by 12.5 and needs `uncond` in each call).
  enum class Need { kGuided, kGuidedAndUncond };
  GuidedEps predict_eps(const at::Tensor& x, float timestep, double scale_factor = 1,
                        Need need = Need::kGuided);

  int calls() const { return call_; }
  // Whether the settings had an effect so far; infotext names them only then.
  bool skipped_early() const { return skipped_early_; }
  bool skipped_by_sigma() const { return skipped_by_sigma_; }
  // What the first answer looked like instead of the prediction type that it was taken for (prediction_watch.h).
  std::optional<Prediction> likelier_prediction_seen() const { return likelier_; }
  const NoiseTable& table() const { return table_; }

 private:
  struct Plan;  // what one call evaluates, and with which scale
  Plan plan_call(float level, double scale_factor, Need need);
  at::Tensor run_model(const at::Tensor& x, float c_in, float timestep, const Plan& plan);
  GuidedEps combine(const at::Tensor& predictions, const Plan& plan) const;
  at::Tensor spread(const at::Tensor& x, const Plan& plan) const;
  struct Scaling;
  Scaling scaling(float sigma) const;

  NoiseModel& model_;
  NoiseTable table_;
  Prediction prediction_;
  Guidance guidance_;
  std::stop_token stop_;
  at::Tensor kept_, repaint_;  // kept_ already multiplied by 1 − repaint_; undefined: nothing is kept
  int call_ = 0;
  bool skipped_early_ = false, skipped_by_sigma_ = false;
  std::optional<Prediction> likelier_;
};

}  // namespace lowrank::sampling
