#include "training/lora/lora_job.h"

#include <fmt/format.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/prompt.h"
#include "training/lora/sample_pictures.h"

namespace lowrank::training {
namespace {

std::string plural(std::int64_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

void tell_plan(const pipeline::LoadedModel& model, const Dataset& data, const LoraTrainOptions& o,
               const RunControl& control) {
  control.say(fmt::format("Model: {} ({}, predicts {}{})", model.path.string(), model.family().name,
                          formats::prediction_name(model.prediction),
                          has_zero_terminal_snr(model, o) ? ", zero terminal SNR" : ""));
  for (const auto& subset : data.subsets())
    control.say(fmt::format("{}: {}, each used {} per epoch, trigger words: {}", subset.folder,
                            plural(subset.pictures, "picture", "pictures"),
                            plural(subset.repeats, "time", "times"),
                            subset.trigger.empty() ? "(none)" : subset.trigger));
  std::string buckets;
  for (const auto& bucket : data.buckets())
    buckets += fmt::format("{}{}x{}: {}", buckets.empty() ? "" : ", ", bucket.size.width, bucket.size.height,
                           bucket.examples.size());
  control.say(fmt::format("Bucket sizes (with repeats): {}", buckets));
  for (const auto& note : data.notes()) control.say("Note: " + note);
  const auto& size = o.data.buckets.resolution;
  if (4 * size.width * size.height <= std::int64_t{model.native_size} * model.native_size)
    control.say(
        fmt::format("Note: the resolution of {}x{} is far below the {}x{} that this checkpoint is made for, "
                    "where the LoRA will draw "
                    "less well than one trained with --resolution {}.",
                    size.width, size.height, model.native_size, model.native_size, model.native_size));
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

}  // namespace

pipeline::Resources with_vae(pipeline::Resources resources, const std::string& vae) {
  if (vae == LoraJob().vae) return resources;
  resources.vae = [find = resources.vae, vae](const std::string&, const std::filesystem::path& checkpoint) {
    return find(vae, checkpoint);
  };
  return resources;
}

LoraJobResult run_lora_job(pipeline::Session& session, const LoraJob& job, const RunControl& control) {
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
  const Dataset data = Dataset::open(options.data);
  check_texts(sample_requests, data, session.prompt_limits());
  std::optional<SamplePictures> samples;
  if (!sample_requests.empty())
    samples.emplace(session, std::move(sample_requests),
                    job.sample_folder.empty() ? options.output_dir / "sample" : job.sample_folder,
                    options.output_name);
  tell_plan(model, data, options, control);

  const std::int64_t last = plan_run(options, data).steps;
  RunControl all = control;
  all.save_every = job.state_every_steps;
  all.after_step = [&](std::int64_t step) {
    control.after_step(step);
    const bool is_due = step == last || (job.sample_every_steps > 0 && step % job.sample_every_steps == 0);
    if (!samples || !is_due) return;
    try {
      const auto begin = [&](std::int64_t done) {
        control.report({.phase = "samples", .step = done, .steps = samples->count()});
      };
      for (const auto& file : samples->draw(step, control.stop, begin))
        control.say(fmt::format("Step {}: {}", step, file.string()));
    } catch (const Error& error) {
      // A stop in the middle of a picture must not pass by the trainer, which saves its state when it sees
      // it.
      if (error.code() != kCancelled) throw;
    }
  };
  LoraJobResult result{train_lora(model, data, options, all), data.trigger_phrase(), ""};
  result.tag = fmt::format("<lora:{}:1>", prompt::network_name(options.output_name));
  return result;
}

}  // namespace lowrank::training
