// What a user asks of a picture: A1111's parameters under A1111's meaning and defaults. Plain data; whether
// the words name something that exists (a sampler, a checkpoint, a LoRA) is found out by the session. With
// init pictures it is img2img, without txt2img.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/mask.h"
#include "image/picture.h"
#include "request/decimal.h"

namespace lowrank::request {

constexpr int kFillOriginal = 1;  // a value of inpainting_fill

struct GenerationRequest {
  // What to draw.
  std::string prompt;
  std::string negative_prompt;
  std::vector<std::string> styles;  // names in styles.csv, applied in order

  // How to sample. Empty sampler: A1111's first, DPM++ 2M.
  int steps = 20;       // 1 … 1000
  std::string sampler;  // A1111's label or alias; may carry a schedule: "DPM++ 2M Karras"
  std::string scheduler = "Automatic";
  Decimal cfg_scale = 7;      // 1: one U-Net pass without the negative prompt
  std::int64_t seed = -1;     // −1: random
  int width = 0, height = 0;  // pixels, multiples of 8; 0: the checkpoint's own size
  int batch_size = 1;         // pictures made together
  int batch_count = 1;        // batches one after the other; the picture i has seed + i

  // Which files.
  std::string checkpoint;         // empty: the resident one, else the newest
  std::string vae = "Automatic";  // a file in models/VAE, "Automatic" or "None": the checkpoint's own
  std::string vae_decoder = "Full",
              vae_encoder = "Full";  // Full: that VAE; TAESD: the tiny one of its family

  // Variations of a seed.
  std::int64_t subseed = -1;
  Decimal subseed_strength = 0;  // 0 … 1
  int seed_resize_width = 0, seed_resize_height = 0;

  // Settings that change the picture.
  int clip_skip = 1;              // 1: the last layer's output
  bool sdxl_clip_l_skip = false;  // also of SDXL's first text encoder
  // What SDXL's models are told of the picture beside its size: pixels cut off at top and left, and to the refiner a score.
  int sdxl_crop_top = 0, sdxl_crop_left = 0;
  Decimal sdxl_low_aesthetic_score = 2.5, sdxl_high_aesthetic_score = 6;  // of negative prompt and prompt
  int ensd = 0;                                                           // "Eta noise seed delta"
  std::string rng = "GPU";                                                // GPU, NV (the same numbers), CPU
  Decimal ngms = 0;  // "Negative Guidance minimum sigma", 0: off
  bool ngms_all_steps = false;
  std::string emphasis = "Original";  // Original, No norm, Ignore, None
  bool discard_penultimate_sigma = false;
  Decimal sigma_min = 0, sigma_max = 0, rho = 0;  // of a named schedule; 0: its own
  Decimal beta_alpha = 0.6, beta_beta = 0.6;
  bool sgm_noise_multiplier = false;
  std::optional<Decimal> eta;  // absent: 1, or eta_ddim for the DDIM family
  Decimal eta_ddim = 0;
  Decimal sigma_churn = 0, sigma_tmin = 0, sigma_tmax = 0, sigma_noise = 1;  // sigma_tmax 0: no limit
  Decimal skip_early_cfg = 0;              // fraction of the steps without the negative prompt
  std::string noise_schedule = "Default";  // Default, Zero Terminal SNR
  bool downcast_alphas = false;
  std::string prediction = "Automatic";  // epsilon, v, flow; Automatic: as the checkpoint states
  Decimal flow_shift = 0;                // of a rectified flow, 0: the checkpoint's
  bool auto_few_steps = false;  // steps, scale, sampler and schedule that a model for few steps is made for
  bool pad_conds = false;       // equalise prompt and negative prompt with empty chunks
  bool old_prompt_editing = false;  // "Old prompt editing timelines"
  int comma_backtrack = 20;         // "Prompt word wrap length limit", tokens

  // Shortcuts: quicker, another picture (docs/performance.md has the losses).
  Decimal token_merging_ratio = 0;     // share of the tokens merged in the finest self-attentions, 0 … 1
  Decimal token_merging_ratio_hr = 0;  // the same in hires fix; 0: as the first pass
  int step_cache = 1;                  // only every so many calls run the whole U-Net
  std::string precision = "float32";   // of the U-Net's products: float32, bf16 or int8

  bool tiling = false;  // the picture's edges fit together: convolutions wrap around

  // A second model for the last part of the steps. Switched off by an empty name or by 0 or 1.
  std::string refiner_checkpoint;
  Decimal refiner_switch_at = 0;                   // fraction of the way from noise to picture
  bool refiner_switch_by_steps = false;            // counted in steps instead of timesteps
  std::string hires_refiner_pass = "second pass";  // first pass, second pass, both passes

  // txt2img: hires fix, a second pass over the enlarged first picture.
  bool enable_hr = false;
  Decimal hr_scale = 2;                                 // 1 … 4
  std::string hr_upscaler = "Latent";                   // a latent upscale mode or an upscaler
  int hr_second_pass_steps = 0;                         // 0: as many as the first pass
  int hr_resize_x = 0, hr_resize_y = 0;                 // pixels; both 0: hr_scale counts
  int firstphase_width = 0, firstphase_height = 0;      // then width and height are the target
  std::string hr_checkpoint, hr_sampler, hr_scheduler;  // "": those of the first pass
  std::string hr_prompt, hr_negative_prompt;            // "": those of the first pass
  std::optional<image::Picture> firstpass_image;        // taken instead of a first pass

  // img2img: where it starts, and how far it may go. Also the strength of hires fix.
  std::vector<image::Picture> init_images;  // one for all, or one per picture of a batch
  Decimal denoising_strength = 0.75;        // 0 … 1
  int resize_mode = 0;  // 0 stretch, 1 crop and resize, 2 resize and fill, 3 resize the latent
  std::string upscaler_for_img2img = "None";  // what enlarges an init picture that is too small
  bool img2img_fix_steps = false;             // make all the steps, whatever the strength
  bool color_correction = false;              // the result gets the init picture's colours
  Decimal initial_noise_multiplier = 1;
  Decimal extra_noise = 0;  // also of hires fix

  // Inpainting: an init picture with a mask.
  std::optional<image::Mask> mask;         // light: repaint
  std::optional<image::Mask> latent_mask;  // another mask for the latent and the fill
  int mask_blur = -1;                      // −1: the next two
  int mask_blur_x = 4, mask_blur_y = 4;    // sigma in pixels
  bool mask_round = true;                  // each latent cell is either repainted or kept
  int inpainting_fill = 0;                 // 0 fill, 1 original, 2 latent noise, 3 latent nothing
  bool inpaint_full_res = true;            // enlarge the masked region alone
  int inpaint_full_res_padding = 0;        // pixels around it
  int inpainting_mask_invert = 0;          // 1: repaint what the mask leaves dark
  Decimal inpainting_mask_weight = 1;      // of the mask in an inpainting checkpoint's own input

  // Upscaler models work on tiles of this many pixels; 0: on the whole picture.
  int esrgan_tile = 192, esrgan_tile_overlap = 8;

  // What a missing LoRA means.
  bool allow_missing_loras = false;     // go on without it and say so in the metadata
  bool disable_extra_networks = false;  // <lora:…> tags are read and left without effect

  int picture_count() const { return batch_size * batch_count; }
  bool is_img2img() const { return !init_images.empty(); }
};

// Throws Error(kBadInput) with one sentence for the first field out of its range (field_table.h holds the
// ranges) or for fields that exclude each other.
void check_request(const GenerationRequest& request);

}  // namespace lowrank::request
