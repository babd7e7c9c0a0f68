#include "training/lora/lora_metadata.h"

#include <ATen/ATen.h>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/text/text.h"
#include "formats/hashes.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;
using Metadata = std::map<std::string, std::string>;
using nlohmann::ordered_json;

std::string tag_frequency(const Dataset& dataset) {
  ordered_json all = ordered_json::object();
  for (const auto& subset : dataset.subsets()) all[subset.folder] = ordered_json::object();
  for (const auto& example : dataset.examples()) {
    ordered_json& tags = all[dataset.subsets()[example.subset].folder];
    for (const auto& tag : caption_tags(example.caption)) {
      const std::string lower = lowrank::lower(tag);
      tags[lower] = tags.value(lower, 0) + 1;
    }
  }
  return all.dump();
}

std::string dataset_dirs(const Dataset& dataset, bool is_regularisation) {
  ordered_json all = ordered_json::object();
  for (const auto& subset : dataset.subsets())
    if (subset.plan.is_regularisation == is_regularisation)
      all[subset.folder] = {{"n_repeats", subset.repeats}, {"img_count", subset.pictures}};
  return all.dump();
}

std::string bucket_info(const Dataset& dataset) {
  ordered_json buckets = ordered_json::object();
  for (std::size_t i = 0; i < dataset.buckets().size(); ++i) {
    const auto& bucket = dataset.buckets()[i];
    buckets[std::to_string(i)] = {{"resolution", {bucket.size.width, bucket.size.height}},
                                  {"count", bucket.examples.size()}};
  }
  return ordered_json{{"buckets", buckets}, {"mean_img_ar_error", dataset.mean_aspect_error()}}.dump();
}

void add_model(Metadata& m, const pipeline::LoadedModel& model) {
  m["ss_v2"] = model.family().is_kohya_v2 ? "True" : "False";
  m["ss_base_model_version"] = model.family().kohya_version.of(model.prediction);
  m["ss_sd_model_name"] = model.path.filename().string();
  if (fs::is_regular_file(model.path)) {
    m["ss_sd_model_hash"] = formats::auto_v1(MappedFile::open(model.path)->bytes());
    m["ss_new_sd_model_hash"] = model.hash->prefix(64);
  }
  if (model.vae_path.empty()) return;
  m["ss_vae_name"] = model.vae_path.filename().string();
  if (fs::is_regular_file(model.vae_path)) {
    m["ss_vae_hash"] = formats::auto_v1(MappedFile::open(model.vae_path)->bytes());
    m["ss_new_vae_hash"] = model.vae_hash->prefix(64);
  }
}

// What the options' rows say of themselves, and after it what follows from several of them, data and length.
void add_options(Metadata& m, const LoraTrainOptions& o) {
  const request::LoraTraining job{.options = o};
  for (const auto& row : request::lora_options())
    if (row.metadata != request::kNoMetadata && !row.is_noted_by_run)
      m[std::string(row.metadata)] = request::option_note(row, job);
}

void add_plan(Metadata& m, const Dataset& dataset, const LoraTrainOptions& o, const LoraPlan& plan) {
  m["ss_num_batches_per_epoch"] = std::to_string(plan.batches_per_epoch);
  m["ss_num_epochs"] = std::to_string(plan.epochs);
  m["ss_max_train_steps"] = std::to_string(plan.steps);
  m["ss_total_batch_size"] = std::to_string(dataset.sets().front().batch_size * o.gradient_accumulation);
}

// What kohya's options of these names would say, which LowRank does not have.
void add_fixed(Metadata& m) {
  m["ss_network_module"] = "networks.lora";
  m["ss_network_dropout"] = "None";
  m["ss_scale_weight_norms"] = "None";
  m["ss_loss_type"] = "l2";
  m["ss_prior_loss_weight"] = "1.0";
  m["ss_full_fp16"] = "False";
  m["ss_lowram"] = "False";
  m["ss_cache_latents"] = "True";
  for (const char* key : {"ss_multires_noise_iterations", "ss_adaptive_noise_scale", "ss_ip_noise_gamma",
                          "ss_face_crop_aug_range", "ss_sd_scripts_commit_hash", "ss_resize_interpolation"})
    m[key] = "None";
  m["ss_multires_noise_discount"] = "0.3";
  m["ss_huber_schedule"] = "snr";
  m["ss_huber_c"] = "0.1";
  m["ss_huber_scale"] = "1.0";
  for (const char* key : {"ss_debiased_estimation", "ss_noise_offset_random_strength",
                          "ss_ip_noise_gamma_random_strength", "ss_fp8_base", "ss_fp8_base_unet"})
    m[key] = "False";
}

// Repeats counted.
std::int64_t shown_pictures(const Dataset& dataset, bool is_regularisation) {
  std::int64_t count = 0;
  for (const auto& example : dataset.examples())
    if (dataset.subsets()[example.subset].plan.is_regularisation == is_regularisation)
      count += example.repeats;
  return count;
}

void add_data(Metadata& m, const Dataset& dataset, const LoraPlan& plan) {
  m["ss_num_train_images"] = std::to_string(shown_pictures(dataset, false));
  m["ss_num_reg_images"] = std::to_string(shown_pictures(dataset, true));
  // Of several sets, the first stands in these entries.
  const ExampleSet& set = dataset.sets().front();
  if (dataset.is_configured()) {
    m["ss_batch_size_per_device"] = std::to_string(set.batch_size / plan.processes);
    m["ss_enable_bucket"] = request::python_text(set.buckets.enable);
  }
  const auto& resolution = set.buckets.resolution;
  m["ss_resolution"] = fmt::format("({}, {})", resolution.width, resolution.height);
  m["ss_min_bucket_reso"] = set.buckets.enable ? std::to_string(set.limits.min_side) : "None";
  m["ss_max_bucket_reso"] = set.buckets.enable ? std::to_string(set.limits.max_side) : "None";
  m["ss_bucket_info"] = bucket_info(dataset);
  m["ss_dataset_dirs"] = dataset_dirs(dataset, false);
  m["ss_reg_dataset_dirs"] = dataset_dirs(dataset, true);
  m["ss_tag_frequency"] = tag_frequency(dataset);
}

void add_model_spec(Metadata& m, const pipeline::LoadedModel& model, const Dataset& dataset,
                    const LoraTrainOptions& o, std::int64_t started_at) {
  m["modelspec.sai_model_spec"] = "1.0.1";
  const bool is_v = model.prediction == formats::PredictionType::kV;
  m["modelspec.architecture"] = fmt::format("{}/lora", model.family().modelspec.of(model.prediction));
  // Whose names the keys are.
  m["modelspec.implementation"] = model.family().kohya_unet == formats::KohyaUnetNames::kCheckpoint
                                      ? "https://github.com/Stability-AI/generative-models"
                                      : "diffusers";
  m["modelspec.title"] = o.card.title.empty() ? o.output_name : o.card.title;
  for (const auto& [key, text] : {std::pair{"modelspec.author", &o.card.author},
                                  {"modelspec.description", &o.card.description},
                                  {"modelspec.license", &o.card.license},
                                  {"modelspec.tags", &o.card.tags},
                                  {"modelspec.usage_hint", &o.card.usage_hint}})
    if (!text->empty()) m[key] = *text;
  m["modelspec.date"] =
      fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(started_at)));
  const auto& resolution = dataset.sets().front().buckets.resolution;
  m["modelspec.resolution"] = fmt::format("{}x{}", resolution.width, resolution.height);
  m["modelspec.prediction_type"] = is_v ? "v" : "epsilon";
  m["modelspec.timestep_range"] = "0,1000";
  if (o.clip_skip > 1) m["modelspec.encoder_layer"] = std::to_string(o.clip_skip);
  const std::string trigger =
      o.card.trigger_phrase.empty() ? dataset.trigger_phrase() : o.card.trigger_phrase;
  if (!trigger.empty()) m["modelspec.trigger_phrase"] = trigger;
}

// A file that is gone when this object is.
struct Scratch {
  fs::path path;
  ~Scratch() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
};

std::int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

LoraPlan plan_run(const LoraTrainOptions& options, const Dataset& dataset) {
  const auto in_parts = [](std::int64_t count, std::int64_t size) { return (count + size - 1) / size; };
  LoraPlan plan;
  plan.batches_per_epoch = dataset.batches_per_epoch();
  plan.steps_per_epoch = in_parts(plan.batches_per_epoch, options.gradient_accumulation);
  plan.steps = options.max_epochs ? *options.max_epochs * plan.steps_per_epoch : options.max_steps;
  plan.epochs = in_parts(plan.steps, plan.steps_per_epoch);
  return plan;
}

bool has_zero_terminal_snr(const pipeline::LoadedModel& model, const LoraTrainOptions& options) {
  return options.zero_terminal_snr ||
         (model.prediction == formats::PredictionType::kV && model.prediction_details.zero_terminal_snr);
}

Metadata run_metadata(const pipeline::LoadedModel& model, const Dataset& dataset,
                      const LoraTrainOptions& options, const LoraPlan& plan, std::int64_t started_at,
                      const Dataset* held_out) {
  Metadata m;
  m["ss_session_id"] = std::to_string(options.seed);
  m["ss_training_started_at"] = request::python_text(static_cast<double>(started_at));
  add_model(m, model);
  m["ss_zero_terminal_snr"] = request::python_text(has_zero_terminal_snr(model, options));
  add_fixed(m);
  add_options(m, options);
  add_plan(m, dataset, options, plan);
  add_data(m, dataset, plan);
  m["ss_num_validation_images"] = std::to_string(held_out == nullptr ? 0 : held_out->pictures_per_epoch());
  if (options.validation.seed == 0) m["ss_validation_seed"] = "None";
  if (options.validation.every_steps == 0) m["ss_validate_every_n_steps"] = "None";
  add_model_spec(m, model, dataset, options, started_at);
  return m;
}

void save_lora(const fs::path& path, const tensor::StateDict& state, SavePrecision precision,
               Metadata metadata, std::int64_t step, const LoraPlan& plan) {
  const auto type = precision == SavePrecision::kFloat  ? at::kFloat
                    : precision == SavePrecision::kFp16 ? at::kHalf
                                                        : at::kBFloat16;
  tensor::StateDict stored;
  for (const auto& [name, value] : state) stored.emplace(name, value.detach().to(type).contiguous());
  metadata["ss_steps"] = std::to_string(step);
  metadata["ss_epoch"] = std::to_string((step + plan.steps_per_epoch - 1) / plan.steps_per_epoch);
  metadata["ss_training_finished_at"] = request::python_text(static_cast<double>(unix_seconds()));

  // The hashes are those of the file with `ss_*` alone: write it, read it, drop it.
  Metadata own;
  for (const auto& [key, value] : metadata)
    if (key.starts_with("ss_")) own.emplace(key, value);
  const Scratch scratch{fs::path(path).concat(".hashing")};
  tensor::save_state_dict(scratch.path.string(), stored, own);
  {
    const auto file = weights::TensorFile::open(scratch.path);
    metadata["sshs_model_hash"] = formats::addnet_hash(*file);
    metadata["sshs_legacy_hash"] = formats::auto_v1(file->file_bytes());
    metadata["modelspec.hash_sha256"] = "0x" + metadata["sshs_model_hash"];
  }
  tensor::save_state_dict(path.string(), stored, metadata);
}

}  // namespace lowrank::training
