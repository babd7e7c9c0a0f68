#include "training/lora/lora_job.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/prompt.h"
#include "training/data/held_out.h"
#include "training/lora/sample_pictures.h"

namespace lowrank::training {
namespace {

std::string plural(std::int64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

void tell_small_resolution(const pipeline::LoadedModel& model, PixelSize size, const RunControl& control) {
  if (4 * size.width * size.height > std::int64_t{model.native_size} * model.native_size) return;
  control.say(fmt::format(
      "Note: the resolution of {}x{} is far below the {}x{} that this checkpoint is made for, where the LoRA "
      "will draw less well than one trained with --resolution {}.",
      size.width, size.height, model.native_size, model.native_size, model.native_size));
}

void tell_plan(const pipeline::LoadedModel& model, const DatasetSplit& split, const LoraTrainOptions& o,
               const RunControl& control) {
  const Dataset& data = split.training;
  control.say(fmt::format("Model: {} ({}, predicts {}{})", model.path.string(), model.family().name,
                          formats::prediction_name(model.prediction),
                          has_zero_terminal_snr(model, o) ? ", zero terminal SNR" : ""));
  for (const auto& subset : data.subsets())
    control.say(fmt::format("{}: {}{}, each used {} per epoch, trigger words: {}", subset.folder,
                            plural(subset.pictures, "picture", "pictures"),
                            subset.plan.is_regularisation ? " for regularisation" : "",
                            plural(subset.repeats, "time", "times"),
                            subset.trigger.empty() ? "(none)" : subset.trigger));
  std::string buckets;
  for (const auto& bucket : data.buckets())
    buckets += fmt::format("{}{}x{}: {}", buckets.empty() ? "" : ", ", bucket.size.width, bucket.size.height,
                           bucket.examples.size());
  control.say(fmt::format("Bucket sizes (with repeats): {}", buckets));
  if (split.held_out)
    control.say(fmt::format("{} held out, whose loss is measured and not trained on",
                            plural(std::ssize(split.held_out->examples()), "picture is", "pictures are")));
  for (const auto& note : data.notes()) control.say("Note: " + note);
  for (const auto& set : data.sets()) tell_small_resolution(model, set.buckets.resolution, control);
  const LoraPlan plan = plan_run(o, data);
  const std::string encoders = model.text_encoders.size() > 1 ? "text encoders" : "text encoder";
  const std::string parts = !o.train_text_encoder ? "U-Net"
                            : !o.train_unet       ? encoders
                                                  : "U-Net and " + encoders;
  control.say(
      fmt::format("Rank {}, alpha {}{}, {}; {} in {} of {}", o.network_rank, o.network_alpha,
                  o.conv_rank > 0 ? fmt::format(", convolutions {}/{}", o.conv_rank, o.conv_alpha) : "",
                  parts, plural(plan.steps, "step", "steps"), plural(plan.epochs, "epoch", "epochs"),
                  plural(plan.steps_per_epoch, "step", "steps")));
}

// A sample prompt is drawn only after hours, and a caption is encoded again and again: both are looked at before.
void check_texts(const std::vector<request::GenerationRequest>& samples, const Dataset& data,
                 const prompt::PromptLimits& limits) {
  const prompt::Tokenizer tokenizer;
  for (const auto& sample : samples)
    prompt::parse({.prompt = sample.prompt,
                   .negative_prompt = sample.negative_prompt,
                   .steps = sample.steps,
                   .settings = {.limits = limits}},
                  tokenizer);
  for (const auto& example : data.examples()) {
    const auto tokens = static_cast<std::int64_t>(tokenizer.encode(example.caption).size());
    prompt::check_limit(&prompt::PromptLimits::chunks, limits,
                        (tokens + prompt::kChunkTokens - 1) / prompt::kChunkTokens,
                        fmt::format("{}: the caption", example.picture.string()));
  }
}

bool are_samples_due(const LoraJob& job, const SampleMoment& at) {
  if (at.done == 0) return job.sample_at_first;
  if (at.done == at.steps) return true;
  if (job.sample_every_steps > 0 && at.done % job.sample_every_steps == 0) return true;
  return job.sample_every_epochs > 0 && at.done % (job.sample_every_epochs * at.steps_per_epoch) == 0;
}

}  // namespace

pipeline::Resources with_vae(pipeline::Resources resources, const std::string& vae) {
  if (vae == LoraJob().vae) return resources;
  resources.vae = [find = resources.vae, vae](const std::string&, const std::filesystem::path& checkpoint) {
    return find(vae, checkpoint);
  };
  return resources;
}

LoraJobResult run_lora_job(pipeline::Session& session, const LoraJob& job, const LoraRunControl& control) {
  check_options(job);
  request::GenerationRequest request;
  request.checkpoint = job.checkpoint;
  pipeline::LoadedModel& model = session.use_model(request);
  const pipeline::Residents::Hold hold(session.residents(), model);
  LoraTrainOptions options = job.options;
  auto& resolution = options.data.buckets.resolution;
  if (resolution.width == 0) resolution = {model.native_size, model.native_size};

  std::vector<request::GenerationRequest> sample_requests;
  if (!job.sample_prompts.empty() || !job.sample_lines.empty())
    sample_requests = job.sample_prompts.empty()
                          ? parse_sample_prompts(job.sample_lines, "sample_prompts", resolution)
                          : read_sample_prompts(job.sample_prompts, resolution);
  // Another checkpoint may be the usual one.
  for (auto& sample : sample_requests) sample.checkpoint = model.path.string();
  // Of several processes each computes its part of every batch.
  DatasetOptions opened = options.data;
  if (control.group != nullptr) opened.processes = control.group->processes();
  const Dataset data = Dataset::open(opened);
  check_texts(sample_requests, data, session.prompt_limits());
  std::optional<SamplePictures> samples;
  if (!sample_requests.empty())
    samples.emplace(
        session, std::move(sample_requests),
        SampleOptions{job.sample_folder.empty() ? options.output_dir / "sample" : job.sample_folder,
                      options.state_file().parent_path(), options.output_name});
  const DatasetSplit split = split_dataset(data, options.validation, options.seed);
  tell_plan(model, split, options, control);

  LoraRunControl all = control;
  all.save_every = job.state_every_steps;
  std::string thumbnail;
  all.thumbnail = [&] { return thumbnail; };
  all.samples = [&](const SampleMoment& moment, const auto& save) {
    if (!samples || !are_samples_due(job, moment)) return;
    try {
      const auto drawn =
          samples->draw({.step = moment.done,
                         .again = moment.again,
                         .save = save,
                         .begin =
                             [&](std::int64_t done) {
                               control.report({.phase = "samples", .step = done, .steps = samples->count()});
                             },
                         .stop = control.stop});
      for (const auto& each : drawn) control.say(fmt::format("Step {}: {}", moment.done, each.file.string()));
      if (!drawn.empty()) thumbnail = thumbnail_url(drawn.front().picture);
    } catch (const Error& error) {
      // A stop in the middle of a picture must not pass by the trainer, which saves its state when it sees it. The
      // resumed run draws what is missing.
      if (error.code() != kCancelled) throw;
    }
  };
  LoraJobResult result{train_lora(model, data, options, all), data.trigger_phrase(), ""};
  result.tag = fmt::format("<lora:{}:1>", prompt::network_name(options.output_name));
  return result;
}

}  // namespace lowrank::training
