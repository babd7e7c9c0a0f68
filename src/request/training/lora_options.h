// What a user decides about the training of a LoRA. lora_table.h names, explains and bounds each of it.
#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "request/pixel_size.h"
#include "request/training/schedules.h"

namespace lowrank::request {

struct BucketOptions {
  PixelSize resolution;     // training size; its area is the limit of every bucket. 0: not chosen yet
  bool enable = false;      // off: one bucket of exactly `resolution`
  bool no_upscale = false;  // small pictures get buckets of their own size instead of being enlarged
  // Unset: derived from the resolution, see training/data/buckets.h.
  std::optional<std::int64_t> min_side = {}, max_side = {}, step = {};
};

// What becomes of a caption each time its picture is shown, in this order, which is kohya's: prefix and suffix, dropout,
// wildcards, shuffling with tag dropout, the secondary separator. See training/data/caption_draw.h.
struct CaptionOptions {
  std::string prefix = {}, suffix = {};  // with a blank between them and the caption
  double dropout_rate = 0;  // share of pictures shown with an empty caption, for classifier-free guidance
  std::int64_t dropout_every_n_epochs = 0;  // every n-th epoch shows all of them so; 0: none
  bool wildcards = false;  // one of the caption's lines, one of each {a|b}; otherwise the first line as it is
  bool shuffle = false;    // the order of the tags
  std::string separator = ",";  // of tags
  int keep_tokens = 0;          // that many tags at the front stay where they are
  std::string keep_separator =
      {};  // stands behind the tags that stay, a second one before others that do; "": none
  double tag_dropout_rate = 0;   // share of the tags that may move and are left out
  int token_warmup_min = 1;      // that many of them at first, and all after
  double token_warmup_step = 0;  // that many steps, or below 1 that share of the run; 0: all from the start
  std::string secondary_separator = {};  // joins tags that stay together; becomes `separator`; "": none
  friend bool operator==(const CaptionOptions&, const CaptionOptions&) = default;
};

// What a training set is and how its pictures are shown. With `config` these are the values that the file leaves open.
struct DatasetOptions {
  std::filesystem::path folder = {};          // of N_TRIGGER folders, or of pictures
  std::filesystem::path config = {};          // kohya's dataset configuration, TOML or JSON
  std::filesystem::path regularisation = {};  // folder of N_CLASS folders
  std::string caption_encoding = {};          // of captions without a byte order mark; "" UTF-8
  std::string caption_extension = {};         // ".txt"; "": .txt, else .caption
  BucketOptions buckets = {};
  std::int64_t batch_size = 1;
  std::int64_t processes =
      1;  // that train together, each with batches of that size: a batch is all of theirs
  CaptionOptions captions = {};
  bool flip_aug = false;     // half of the pictures mirrored
  bool color_aug = false;    // a third of them in slightly other colours
  bool random_crop = false;  // cut at random, not in the middle
  bool alpha_mask = false;   // the loss of each part is weighted by how opaque the picture is there
  bool masked_loss = false;  // and by pictures NAME-masklabel.png
};

enum class SavePrecision { kFloat, kFp16, kBf16 };

// Pictures that are not learned from, on whose loss one sees when the LoRA only memorises the others.
struct ValidationOptions {
  double split = 0;                               // share of the pictures held out
  std::uint64_t seed = 0;                         // which of them, and their noise; 0: the run's
  std::int64_t every_steps = 0;                   // 0: with every epoch that every_epochs says
  std::optional<std::int64_t> every_epochs = {};  // unset: 1, unless every_steps is given
  std::optional<std::int64_t> max_pictures = {};  // of those held out; unset: all
};

// SAI's model card in the metadata (modelspec.*), as far as a person writes it; empty: nothing, and the title is
// the file's name.
struct ModelCard {
  std::string title, author, description, license, tags, usage_hint, trigger_phrase;
};

// Defaults are kohya's, except the learning rate, where kohya's 2e-6 is meant for whole models.
struct LoraTrainOptions {
  DatasetOptions data;

  // The network. Scale = alpha / rank.
  std::int64_t network_rank = 4;
  double network_alpha = 1;
  std::int64_t conv_rank = 0;  // > 0: convolutions too (LoCon)
  double conv_alpha = 1;
  bool train_unet = true, train_text_encoder = true;

  // The optimiser.
  std::string optimiser = "AdamW";  // of request/training/optimiser_rows.inc
  std::string optimiser_arguments;  // "betas=0.9,0.99 weight_decay=0.1"
  double learning_rate = 1e-4;
  std::optional<double> unet_learning_rate, text_encoder_learning_rate;  // unset: learning_rate
  std::optional<double> text_encoder2_learning_rate;                     // unset: that of the first encoder
  std::string scheduler = "constant";                                    // of request/training/schedules.cc
  ScheduleShape schedule_shape;                                          // its peak is not set here
  std::int64_t warmup_steps = 0;
  std::optional<double> weight_decay;  // unset: the optimiser's own
  double max_gradient_norm = 1.0;      // 0: no limit
  double ema_decay = 0;                // of moving averages, which are what is saved; 0: none

  // How long. A step is one update of the weights: gradient_accumulation batches.
  std::int64_t max_steps = 1600;
  std::optional<std::int64_t> max_epochs;  // overrides max_steps
  std::int64_t gradient_accumulation = 1;

  // The objective.
  double min_snr_gamma = 0;        // 0: off
  bool zero_terminal_snr = false;  // also where a v-prediction checkpoint states it
  double noise_offset = 0;
  int clip_skip = 1;
  int max_token_length = 75;
  std::uint64_t seed = 42;
  ValidationOptions validation;
  bool bf16 = false;                    // products in bfloat16
  bool gradient_checkpointing = false;  // blocks of the U-Net are computed twice instead of kept
  int threads = 0;  // on which the sums depend; 0: as now, and a resumed run takes those it began with

  // Files.
  std::filesystem::path output_dir;
  std::string output_name = "last";
  std::filesystem::path state_dir;  // of the saved state and kept latents; empty: output_dir
  SavePrecision save_precision = SavePrecision::kFp16;
  std::int64_t save_every_steps = 0, save_every_epochs = 0;  // LoRA files on the way; 0: only at the end
  // Of these, how many are kept: those of the last N steps, and the last N of epochs. Unset: all.
  std::optional<std::int64_t> save_last_steps, save_last_epochs;
  bool delete_state = false;          // when the run has finished
  std::filesystem::path logging_dir;  // of TensorBoard's event files and CSV; empty: none
  std::string log_prefix;             // before the time in the name of the run's folder
  bool cache_latents_to_disk = false;
  bool fresh = false;                           // forget a saved state, replace what a finished run left
  std::optional<std::filesystem::path> resume;  // a state elsewhere
  std::string comment;                          // kept in the file's metadata
  ModelCard card;

  std::filesystem::path output_file() const { return output_dir / (output_name + ".safetensors"); }
  std::filesystem::path step_file(std::int64_t step) const;    // of a LoRA saved on the way
  std::filesystem::path epoch_file(std::int64_t epoch) const;  // of a finished epoch, from 1
  std::filesystem::path state_file() const {
    return (state_dir.empty() ? output_dir : state_dir) / (output_name + "-state.safetensors");
  }
  double unet_rate() const { return unet_learning_rate.value_or(learning_rate); }
  double text_encoder_rate() const { return text_encoder_learning_rate.value_or(learning_rate); }
  double text_encoder2_rate() const { return text_encoder2_learning_rate.value_or(text_encoder_rate()); }
};

// A whole training as a user asks for it: checkpoint by name, folder of pictures, options, sample pictures on the way.
struct LoraTraining {
  std::filesystem::path config_file = {};  // from which options were read
  std::string preset = {};        // name of one of request/training/lora_presets.h, taken before all else
  std::string checkpoint = {};    // name or file; empty: the session's choice
  std::string vae = "Automatic";  // name, Automatic or None
  LoraTrainOptions options = {};  // resolution 0: the checkpoint's own size
  std::filesystem::path sample_prompts = {};  // a file of them; empty: no sample pictures
  std::string sample_lines = {};              // the prompts themselves, where there is no file
  std::filesystem::path sample_folder = {};   // empty: `sample` of the output folder
  std::int64_t sample_every_steps = 0;        // 0: only at the end
  std::int64_t sample_every_epochs = 0;       // 0: by steps
  bool sample_at_first = false;               // before the first step too
  std::int64_t state_every_steps = 50;        // between the states that a stopped or killed run resumes from
};

}  // namespace lowrank::request
