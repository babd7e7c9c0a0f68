// All samplers, one function each; see walk.h for the shape of a SamplerFunction. Formulas: sampler
// by sampler in their files. x is [n, 4, h, w] float32; sigmas are float32 as in the reference.
#pragma once

#include "sampling/walk.h"

namespace lowrank::sampling {

// Walks in sigma.
at::Tensor sample_euler(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_euler_ancestral(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_heun(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpm_2(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpm_2_ancestral(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_lms(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpmpp_2s_ancestral(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpmpp_sde(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpmpp_2m(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpmpp_2m_sde(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpmpp_2m_sde_heun(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpmpp_3m_sde(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpm_fast(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_dpm_adaptive(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_restart(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_lcm(Denoiser&, at::Tensor x, const Walk&, StepContext&);

// Walk in timesteps.
at::Tensor sample_ddim(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_ddim_cfgpp(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_tcd(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_plms(Denoiser&, at::Tensor x, const Walk&, StepContext&);
at::Tensor sample_unipc(Denoiser&, at::Tensor x, const Walk&, StepContext&);

}  // namespace lowrank::sampling
