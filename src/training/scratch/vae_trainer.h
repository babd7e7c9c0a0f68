// Trains an autoencoder from scratch on small pictures: reconstruction (L1 and squared error on pixels, L1 on
// their differences, which keeps edges sharp) and a weak pull of the latents towards a unit normal.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "model/vae.h"
#include "request/training/base_options.h"
#include "training/run/run_control.h"
#include "training/run/run_training.h"

namespace lowrank::training {

using request::VaeTrainOptions;

// pictures uint8 [N, 3, H, W]. The VAE's layers must be widened (model::widen). State is kept in `state_path`: an
// interrupted run goes on there. Throws Error(kCancelled) after saving when stopped.
RunResult train_vae(model::Vae& vae, const at::Tensor& pictures, const VaeTrainOptions& options,
                    const std::filesystem::path& state_path, const RunControl& control);

// Rescales quant_conv and post_quant_conv so that the latents of `pictures` have standard deviation 1 / SD 1's latent scale, as
// every Stable Diffusion program assumes. Decoding is unchanged. Returns the factor.
double normalise_latents(model::Vae& vae, const at::Tensor& pictures);

// Latents of pictures, times that scale: the mean of the posterior, [N, 4, H/8, W/8] float32.
at::Tensor encode_latents(const model::Vae& vae, const at::Tensor& pictures, std::int64_t batch = 16);

}  // namespace lowrank::training
