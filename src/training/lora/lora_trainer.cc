#include "training/lora/lora_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "adapter/trainable.h"
#include "base/error.h"
#include "training/data/caption_draw.h"
#include "training/data/caption_encoder.h"
#include "training/data/held_out.h"
#include "training/data/latent_cache.h"
#include "training/lora/lora_run_start.h"
#include "training/lora/run_space.h"
#include "training/lora/validation.h"
#include "training/objective/diffusion_loss.h"
#include "training/objective/lora_loss.h"
#include "training/optim/optimiser_table.h"
#include "training/run/log/run_log.h"
#include "training/run/loss_meter.h"
#include "training/run/objective.h"
#include "training/run/parallel/process_group.h"
#include "training/run/train_state.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

namespace fs = std::filesystem;

// Frozen weights in the type in which they are multiplied, so that no step converts them again. The CPU's
// kernels take them as they are stored when they form float32 products.
void freeze(model::LayerMap& layers, at::ScalarType compute) {
  for (auto& [path, layer] : layers) {
    const bool is_product =
        layer->kind() == model::LayerKind::kLinear || layer->kind() == model::LayerKind::kConv2d;
    if (is_product && compute == at::kFloat && layer->weight().device().is_cpu()) continue;
    const auto type = is_product ? compute : at::kFloat;
    const auto as = [&](const at::Tensor& t) { return t.defined() ? t.detach().to(type) : t; };
    if (is_product || layer->weight().dim() == 1) layer->adopt(as(layer->weight()), as(layer->bias()));
  }
}

// Restores how the models compute when training ends, however it ends.
class ComputeGuard {
 public:
  ComputeGuard(pipeline::LoadedModel& model, at::ScalarType compute, bool recomputes_blocks) {
    guard(*model.network->policy(), compute);
    for (const auto& encoder : model.text_encoders) guard(*encoder->policy(), compute);
    model.network->policy()->recomputes_blocks = recomputes_blocks;
  }
  ~ComputeGuard() {
    for (const auto& [policy, before] : guarded_) *policy = before;
  }
  ComputeGuard(const ComputeGuard&) = delete;
  ComputeGuard& operator=(const ComputeGuard&) = delete;

 private:
  void guard(model::ComputePolicy& policy, at::ScalarType compute) {
    guarded_.emplace_back(&policy, policy);
    policy.compute = compute;
  }
  std::vector<std::pair<model::ComputePolicy*, model::ComputePolicy>> guarded_;
};

// Text encoders first.
std::vector<adapter::ModelPart> trained_parts(const pipeline::LoadedModel& model,
                                              const LoraTrainOptions& options) {
  auto parts = model.adaptable().parts;
  std::erase_if(parts, [&](const adapter::ModelPart& part) {
    return formats::is_text_encoder(part.component) ? !options.train_text_encoder : !options.train_unet;
  });
  return parts;
}

class LoraObjective final : public Objective {
 public:
  LoraObjective(pipeline::LoadedModel& model, const Dataset& dataset, const LoraTrainOptions& options,
                const LoraPlan& plan, std::int64_t started_at, const LoraRunControl& control,
                const std::optional<Dataset>& held_out, std::int64_t done)
      : model_(model),
        dataset_(dataset),
        options_(options),
        plan_(plan),
        control_(control),
        group_(control.group.get()),
        captions_(model, {options.clip_skip, options.max_token_length, options.train_text_encoder}),
        lora_(model.family(), trained_parts(model, options), network(model, options)),
        latents_(encode_pictures(dataset, "-latents.safetensors", done)),
        compute_(model, compute_type(), options.gradient_checkpointing),
        metadata_(run_metadata(model, dataset, options, plan, started_at, held_out ? &*held_out : nullptr)),
        noise_(noise_schedule(has_zero_terminal_snr(model, options))) {
    for (const adapter::ModelPart& part : model.adaptable().parts) freeze(*part.layers, compute_type());
    if (held_out && is_writer()) {
      held_out_latents_.emplace(encode_pictures(*held_out, "-validation-latents.safetensors", done));
      validation_.emplace(model, *held_out, *held_out_latents_, captions_, options, plan_);
    }
    tell_what_is_cut();
    encode_captions(held_out);
  }

  const std::map<std::int64_t, double>& validation_losses() const {
    static const std::map<std::int64_t, double> kNone;
    return validation_ ? validation_->losses() : kNone;
  }

  std::int64_t modules() const { return static_cast<std::int64_t>(lora_.modules()); }

  std::string phase() const override { return "lora"; }
  double learning_rate() const override {
    return options_.train_unet ? options_.unet_rate() : options_.text_encoder_rate();
  }
  std::vector<TrainedParameter> parameters() const override {
    std::vector<TrainedParameter> all;
    // What has a component and a rate in common is one group.
    std::map<std::pair<formats::Component, double>, std::int64_t> groups;
    for (const auto& parameter : lora_.parameters()) {
      const double rate = rate_of(parameter.component);
      const auto number = static_cast<std::int64_t>(groups.size());
      const auto group = groups.emplace(std::pair(parameter.component, rate), number).first->second;
      all.push_back({parameter.name, parameter.tensor, rate, true, group});
    }
    return all;
  }

  std::int64_t batches(std::int64_t step) const override {
    return std::min(options_.gradient_accumulation, plan_.batches_per_epoch - first_batch(step));
  }

  at::Tensor loss(std::int64_t step, std::int64_t batch) override {
    const std::int64_t epoch = step / plan_.steps_per_epoch, place = first_batch(step) + batch;
    const NoisedBatch noised =
        draw_batch(batches_of(epoch)[static_cast<std::size_t>(place)], {epoch, step, plan_.steps},
                   step_generator(options_.seed, epoch * plan_.batches_per_epoch + place));
    // With several processes a batch may have nothing for this one.
    if (!noised.latents.defined()) return at::zeros({}).requires_grad_();
    const at::Tensor loss =
        diffusion_loss(*model_.network, noised, model_.prediction, options_.min_snr_gamma, noise_);
    return noised.share == 1 ? loss : loss * noised.share;
  }

  std::string contents(std::int64_t step, std::int64_t batch) override {
    const std::int64_t epoch = step / plan_.steps_per_epoch, place = first_batch(step) + batch;
    std::vector<std::string> files;
    for (const std::size_t i : batches_of(epoch)[static_cast<std::size_t>(place)])
      files.push_back(dataset_.examples()[i].picture.string());
    return fmt::format("its pictures: {}", fmt::join(files, ", "));
  }

  tensor::StateDict state() const override { return lora_.state(); }
  void load(const tensor::StateDict& state) override { lora_.load(state); }

  // Nothing is saved that was learned on another model.
  void updated(std::int64_t /*step*/) override { model_.require_unchanged(); }

  void begin() override {
    if (is_writer()) draw_samples(0, false);
  }

  // Each file tells the validation loss and shows the last sample picture of its step.
  void on_the_way(std::int64_t done, bool again) override {
    if (!is_writer()) return;
    validate(done);
    draw_samples(done, again);
    if (done < plan_.steps) save_between(done);
  }

  void finish(std::int64_t done) override {
    if (is_writer()) save(options_.output_file(), done);
  }

 private:
  bool is_writer() const { return group_ == nullptr || group_->is_writer(); }

  // Which of a batch's pictures are this process's: [first, second).
  std::pair<std::int64_t, std::int64_t> own_part(std::int64_t pictures) const {
    if (group_ == nullptr) return {0, pictures};
    const std::int64_t rank = group_->rank(), processes = group_->processes();
    return {pictures * rank / processes, pictures * (rank + 1) / processes};
  }

  at::ScalarType compute_type() const { return options_.bf16 ? at::kBFloat16 : at::kFloat; }

  static adapter::TrainableOptions network(const pipeline::LoadedModel& model,
                                           const LoraTrainOptions& options) {
    adapter::TrainableOptions network = {options.network_rank, options.network_alpha, options.conv_rank,
                                         options.conv_alpha, options.seed};
    for (const auto& encoder : model.text_encoders) network.unread_text_layers = encoder->unread_layers();
    return network;
  }

  double rate_of(formats::Component component) const {
    return component == formats::Component::kTextEncoder    ? options_.text_encoder_rate()
           : component == formats::Component::kTextEncoder2 ? options_.text_encoder2_rate()
                                                            : options_.unet_rate();
  }

  void validate(std::int64_t done) {
    if (!validation_ || !validation_->is_due(done)) return;
    const double loss = validation_->loss(noise_);
    validation_->note(done, loss);
    control_.report({.phase = "validation", .step = done, .steps = plan_.steps, .step_loss = loss});
    control_.say(fmt::format("Step {}: validation loss {:.4f}", done, loss));
  }

  void draw_samples(std::int64_t done, bool again) {
    control_.samples({done, plan_.steps, plan_.steps_per_epoch, again},
                     [&](const fs::path& file) { save(file, done); });
  }

  void save_between(std::int64_t done) const {
    if (options_.save_every_steps > 0 && done % options_.save_every_steps == 0)
      save(options_.step_file(done), done);
    if (options_.save_every_epochs > 0 && done % (options_.save_every_epochs * plan_.steps_per_epoch) == 0)
      save(options_.epoch_file(done / plan_.steps_per_epoch), done);
    for (const fs::path& file : superseded_files(options_, plan_, done)) {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
  }

  std::int64_t parameter_count() const {
    std::int64_t count = 0;
    for (const auto& parameter : lora_.parameters()) count += parameter.tensor.numel();
    return count;
  }

  // The disk is looked at first.
  LatentCache encode_pictures(const Dataset& pictures, const char* ending, std::int64_t done) const {
    std::int64_t numbers = 0;
    for (const auto& example : pictures.examples()) {
      const auto& bucket = example.place.bucket;
      numbers += 4 * (bucket.width / 8) * (bucket.height / 8) *
                 (pictures.subsets()[example.subset].plan.flip_aug ? 2 : 1);
    }
    if (is_writer()) require_space(options_, space_need(options_, plan_, done, parameter_count(), numbers));
    LatentOptions latents{model_.latent_scale, {}};
    if (options_.cache_latents_to_disk && is_writer())
      latents.file = options_.state_file().parent_path() / (options_.output_name + ending);
    LossMeter meter;
    const auto progress = [&](std::int64_t encoded, std::int64_t total) {
      meter.add(0);
      control_.report({.phase = "latents",
                       .step = encoded,
                       .steps = total,
                       .steps_per_second = meter.steps_per_second()});
    };
    return LatentCache(*model_.vae, pictures, latents, progress, control_.stop);
  }

  void tell_what_is_cut() {
    for (std::size_t i = 0; i < dataset_.examples().size(); ++i) {
      const Example& example = dataset_.examples()[i];
      const std::string caption = plain_caption(example.caption, dataset_.subset_of(i).plan.captions);
      if (const auto cut = captions_.tokens_cut(caption); cut > 0)
        control_.say(
            fmt::format("{}: the caption is {} tokens too long and its end is ignored; raise "
                        "--max-token-length (now {}).",
                        example.picture.string(), cut, options_.max_token_length));
    }
  }

  // Where captions are always the same, their text encoders are needed no more. What is drawn anew each time is encoded
  // when it comes, and remembered.
  void encode_captions(const std::optional<Dataset>& held_out) {
    if (!options_.train_text_encoder) {
      std::set<std::string> captions;
      if (held_out)
        for (std::size_t i = 0; i < held_out->examples().size(); ++i)
          captions.insert(
              plain_caption(held_out->examples()[i].caption, held_out->subset_of(i).plan.captions));
      for (std::size_t i = 0; i < dataset_.examples().size(); ++i) {
        const request::CaptionOptions& drawn = dataset_.subset_of(i).plan.captions;
        if (is_fixed(drawn)) captions.insert(plain_caption(dataset_.examples()[i].caption, drawn));
        if (drawn.dropout_rate > 0 || drawn.dropout_every_n_epochs > 0) captions.emplace();
      }
      captions_.remember({captions.begin(), captions.end()}, control_.stop);
    }
    model_.make_room_for(pipeline::LoadedModel::Stage::kNetwork);
  }

  // All randomness of one batch comes from the generator of its number in the run.
  NoisedBatch draw_batch(const ExampleBatch& examples, const CaptionMoment& moment, at::Generator generator) {
    std::vector<at::Tensor> latents, sizes, weights;
    std::vector<std::string> texts;
    for (const std::size_t i : examples) {
      const ShownPicture shown = latents_.draw(i, generator);
      latents.push_back(shown.latents);
      weights.push_back(shown.weight);
      sizes.push_back(told_vector(model_, dataset_.examples()[i], shown.is_mirrored));
      texts.push_back(draw_caption(dataset_.examples()[i].caption, dataset_.subset_of(i).plan.captions,
                                   generator, moment));
    }
    NoisedBatch batch;
    batch.latents = at::stack(latents);
    batch.loss_weights = stacked_weights(weights, batch.latents);
    batch.noise = at::empty(batch.latents.sizes()).normal_(0, 1, generator);
    if (options_.noise_offset > 0) {
      const at::Tensor shift =
          at::empty({batch.latents.size(0), batch.latents.size(1), 1, 1}).normal_(0, 1, generator);
      batch.noise = batch.noise + options_.noise_offset * shift;
    }
    batch.timesteps = at::randint(0, 1000, {batch.latents.size(0)}, generator, at::TensorOptions(at::kLong));
    // The draws are those of one process that computes all of the batch.
    const auto [from, to] = own_part(batch.latents.size(0));
    if (from == to) return {};
    batch.share = static_cast<double>(to - from) / static_cast<double>(batch.latents.size(0));
    for (at::Tensor* tensor : {&batch.latents, &batch.noise, &batch.timesteps})
      *tensor = tensor->slice(0, from, to);
    if (batch.loss_weights.defined()) batch.loss_weights = batch.loss_weights.slice(0, from, to);
    texts = std::vector<std::string>(texts.begin() + from, texts.begin() + to);
    sizes = std::vector<at::Tensor>(sizes.begin() + from, sizes.begin() + to);
    batch.conditioning = captions_.encode(texts);
    at::Tensor& vector = batch.conditioning.vector;
    if (vector.defined()) vector = at::cat({vector, at::stack(sizes)}, 1);
    return batch;
  }

  const std::vector<ExampleBatch>& batches_of(std::int64_t epoch) {
    if (epoch != epoch_) {
      batches_ = dataset_.epoch(options_.seed, epoch);
      epoch_ = epoch;
    }
    return batches_;
  }

  // Within its epoch.
  std::int64_t first_batch(std::int64_t step) const {
    return step % plan_.steps_per_epoch * options_.gradient_accumulation;
  }

  void save(const fs::path& file, std::int64_t done) const {
    std::map<std::string, std::string> metadata = metadata_;
    if (const std::string picture = control_.thumbnail(); !picture.empty())
      metadata["modelspec.thumbnail"] = picture;
    const auto& losses = validation_losses();
    if (const auto found = losses.find(done); found != losses.end())
      metadata[kValidationLoss] = request::python_text(found->second);
    save_lora(file, lora_.state(), options_.save_precision, std::move(metadata), done, plan_);
  }

  pipeline::LoadedModel& model_;
  const Dataset& dataset_;
  const LoraTrainOptions& options_;
  const LoraPlan plan_;
  const LoraRunControl& control_;
  ProcessGroup* group_;      // nullptr: one process
  CaptionEncoder captions_;  // first: its options are checked before a picture is encoded
  adapter::TrainableLora lora_;
  LatentCache latents_;
  ComputeGuard compute_;
  std::optional<LatentCache> held_out_latents_;
  std::optional<Validation> validation_;
  std::map<std::string, std::string> metadata_;
  NoiseSchedule noise_;
  std::vector<ExampleBatch> batches_;
  std::int64_t epoch_ = -1;
};

// Before anything is spent on it.
void require_trainable(const pipeline::LoadedModel& model, const LoraTrainOptions& options) {
  const auto refuse = [&](std::string_view why) {
    throw Error(kUnsupported, "{}: {}.", model.path.string(), why);
  };
  if (model.base_model == formats::BaseModel::kSdxlRefiner)
    refuse(
        "LoRAs cannot be trained on the SDXL refiner; train on an SDXL base checkpoint, which draws what the "
        "refiner only finishes");
  if (model.is_inpainting())
    refuse(
        "LoRAs cannot be trained on inpainting checkpoints; train on the checkpoint it was made from, and "
        "use "
        "the LoRA with both");
  if (model.has_guidance_input)
    refuse(
        "LoRAs cannot be trained on a checkpoint that was distilled with the CFG scale as an input; train on "
        "the checkpoint it was made from");
  if (model.prediction == formats::PredictionType::kFlow)
    throw Error(
        kUnsupported,
        "{}: LoRAs cannot be trained on rectified-flow checkpoints; choose one that predicts epsilon or v.",
        model.path.string());
  if (options.zero_terminal_snr && model.prediction != formats::PredictionType::kV)
    throw Error(
        kBadInput,
        "--zero-terminal-snr: needs a checkpoint that predicts v, as pure noise tells one that predicts "
        "epsilon nothing; {} predicts epsilon.",
        model.path.string());
  if (options.text_encoder2_learning_rate && model.text_encoders.size() < 2)
    throw Error(kBadInput,
                "--text-encoder-lr: has two rates, but {} checkpoints have one text encoder; give one rate.",
                model.family().name);
}

// Nothing is left to do, and what lies there stays as it is.
LoraTrainResult finished_result(const LoraTrainOptions& options, const LoraPlan& plan,
                                const RunControl& control) {
  control.say(
      fmt::format("All {} steps of this run are done already: {} stays as it is. A larger --max-train-steps "
                  "trains it further, and --fresh starts over.",
                  plan.steps, options.output_file().string()));
  LoraTrainResult result;
  result.file = options.output_file();
  result.state = options.state_file();
  result.steps = plan.steps;
  if (!fs::exists(result.file)) return result;  // it lies on the writer's machine
  const auto file = weights::TensorFile::open(result.file);
  for (const auto& view : file->tensors())
    if (view.name.ends_with(".alpha")) ++result.modules;
  return result;
}

RunLogOptions log_options(const LoraTrainOptions& options, const LoraPlan& plan, std::int64_t started_at,
                          std::int64_t done) {
  RunLogOptions log{.folder = log_folder(options.logging_dir, options.log_prefix, started_at),
                    .done = done,
                    .steps_per_epoch = plan.steps_per_epoch};
  if (options.train_text_encoder) log.rates.push_back({"lr/textencoder", options.text_encoder_rate()});
  if (options.train_text_encoder && options.text_encoder2_learning_rate)
    log.rates.push_back({"lr/textencoder2", options.text_encoder2_rate()});
  if (options.train_unet) log.rates.push_back({"lr/unet", options.unet_rate()});
  return log;
}

}  // namespace

LoraTrainResult train_lora(pipeline::LoadedModel& model, const Dataset& dataset,
                           const LoraTrainOptions& options, const LoraRunControl& given) {
  request::check_options({.options = options});
  require_trainable(model, options);
  const DatasetSplit data = split_dataset(dataset, options.validation, options.seed);
  ProcessGroup* group = given.group.get();
  LoraPlan plan = plan_run(options, data.training);
  plan.processes = group == nullptr ? 1 : group->processes();
  const bool is_writer = group == nullptr || group->is_writer();
  LoraRunStart start = is_writer ? begin_lora_run(model, dataset, options, plan)
                                 : join_lora_run(model, dataset, options, plan, *group);
  if (group != nullptr && is_writer) announce_lora_run(start, *group);
  if (start.is_finished) return finished_result(options, plan, given);
  const std::int64_t done = start.run.saved ? start.run.saved->step : 0;
  LoraRunControl control = given;
  std::optional<RunLog> log;
  if (!options.logging_dir.empty() && is_writer) {
    log.emplace(log_options(options, plan, start.started_at, done));
    control.report = [&](const TrainEvent& event) {
      log->note(event);
      given.report(event);
    };
  }
  LoraObjective objective(model, data.training, options, plan, start.started_at, control, data.held_out,
                          done);
  for (const auto& note : start.notes) control.say("Note: " + note);
  if (request::finds_its_rate(request::optimiser(options.optimiser)) && objective.learning_rate() < 0.1)
    control.say(
        fmt::format("Note: {} estimates the size of its steps, and multiplies it by the learning rate, now "
                    "{}; take 1 (--learning-rate 1) if in doubt.",
                    options.optimiser, objective.learning_rate()));
  const auto optimiser =
      make_optimiser(options.optimiser, objective.parameters(),
                     {options.weight_decay, options.optimiser_arguments, options.ema_decay});
  request::ScheduleShape shape = options.schedule_shape;
  shape.peak = objective.learning_rate();
  std::function<double(const std::vector<TrainedParameter>&, double)> exchange;
  if (group != nullptr)
    exchange = [group](const auto& parameters, double loss) {
      return group->sum_gradients(parameters, loss);
    };
  LoraTrainResult result;
  static_cast<RunResult&>(result) =
      run_training(objective, *optimiser,
                   {.schedule = {options.scheduler, plan.steps, options.warmup_steps, shape},
                    .max_gradient_norm = options.max_gradient_norm,
                    .keeps_state = !options.delete_state,
                    .exchange = exchange,
                    .is_writer = is_writer},
                   start.run, control);
  result.file = options.output_file();
  result.steps = plan.steps;
  result.modules = objective.modules();
  result.validation = objective.validation_losses();
  if (!options.delete_state) result.state = options.state_file();
  return result;
}

}  // namespace lowrank::training
