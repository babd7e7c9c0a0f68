#include "pipeline/session.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "pipeline/generate/active_pass.h"
#include "pipeline/generate/complete_request.h"
#include "pipeline/generate/few_steps.h"
#include "pipeline/generate/finish.h"
#include "pipeline/generate/hires.h"
#include "pipeline/generate/lora_account.h"
#include "pipeline/generate/model_warnings.h"
#include "pipeline/generate/pass.h"
#include "pipeline/generate/starts.h"
#include "request/names.h"
#include "tensor/arena.h"

namespace lowrank::pipeline {
namespace {

// "v by the key v_pred", where the request leaves it to the checkpoint and a rule is known.
std::string rule_of_prediction(const request::GenerationRequest& request, const LoadedModel& model) {
  const std::string& rule = model.prediction_details.rule;
  if (rule.empty() || (!request.prediction.empty() && request.prediction != "Automatic")) return "";
  return fmt::format("{} by {}", formats::prediction_name(model.prediction), rule);
}

prompt::Emphasis emphasis_of(const request::GenerationRequest& request) {
  const auto emphasis = prompt::emphasis_from_label(request.emphasis);
  if (!emphasis)
    throw Error(kBadInput, "unknown emphasis mode '{}'; choose Original, No norm, Ignore or None.",
                request.emphasis);
  return *emphasis;
}

// What sampling takes from the system for its tensors goes back however they end.
struct ArenaRelease {
  ~ArenaRelease() { tensor::release_arena(); }
};

}  // namespace

Session::Session(Resources resources, SessionOptions options)
    : resources_(std::move(resources)),
      options_(std::move(options)),
      residents_(resources_, options_.packed_cache, options_.int8),
      upscalers_(resources_.upscalers),
      tiny_(resources_.tiny_autoencoders) {
  const auto cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  at::set_num_threads(options_.threads > 0 ? options_.threads : cores);
}

LoadedModel& Session::use_model(const request::GenerationRequest& request) {
  ResidentModel& model = residents_.base(request.checkpoint, request.vae);
  const ResidentModel* const kept[] = {&model};
  residents_.keep_only(kept);
  return model.loaded;
}

GenerationResult Session::generate(const request::GenerationRequest& asked, const Listener& listener,
                                   std::stop_token stop) {
  const at::NoGradGuard no_grad;
  request::check_request(asked);
  GenerationResult result;
  const PassModels models = [&] {
    const Stopwatch watch(result.seconds_load);
    return bring_models(residents_, tiny_, asked);
  }();
  result.warnings = residents_.take_notes();
  warn_of_models(models, asked, result.warnings);
  request::GenerationRequest complete =
      complete_request(asked, models.first->loaded, resources_.styles, result.warnings);
  fit_few_steps(complete, *models.first, result.warnings);
  Generation generation{.request = std::move(complete),
                        .seeds = {},
                        .passes = models.second == nullptr ? 1 : 2,
                        .encode_settings = {},
                        .tokenizer = tokenizer_,
                        .limits = options_.prompt_limits,
                        .tiny = tiny_,
                        .listener = listener,
                        .stop = std::move(stop),
                        .available_memory = options_.available_memory};
  const request::GenerationRequest& request = generation.request;
  generation.encode_settings = {.clip_skip = request.clip_skip,
                                .skips_in_first_of_two = request.sdxl_clip_l_skip,
                                .emphasis = emphasis_of(request)};
  result.prediction_rule = rule_of_prediction(request, models.first->loaded);
  const PassPlans passes = plan_passes(request, models);
  if (passes.second) upscalers_.check(request.hr_upscaler, request::latent_upscaler_names());
  generation.seeds = request::picture_seeds(request);

  LoraAccount account;
  std::optional<ActivePass> first, second;
  const auto activate = [&](std::optional<ActivePass>& active, const Pass& pass) {
    active.emplace(pass, generation, result);
    account.note(*active, result);
  };
  bool is_first_measured = false;
  // Only the last batch's LoRAs are measured, while they act.
  const auto sample = [&](ActivePass& pass, int batch, const Start& start) {
    FinishedPass finished{.pass = &pass, .output = pass.sample(batch, start.image, start.extra)};
    result.unet_passes += finished.output.unet_passes;
    if (finished.output.is_last || batch + 1 == request.batch_count) {
      account.report(pass, result);
      is_first_measured = is_first_measured || pass.pass().number == 0;
    }
    return finished;
  };
  activate(first, passes.first);
  const FirstStart start = start_first_pass(passes.first, generation, upscalers_, result);
  const ArenaRelease release;
  bool is_last = false;
  for (int number = 0; number < request.batch_count && !is_last; ++number) {
    Batch batch{.number = number, .first = {.pass = &*first, .output = {.by = &passes.first.model->loaded}}};
    if (!(passes.second && request.firstpass_image)) {
      if (passes.second && number > 0) activate(first, passes.first);  // the second pass had LoRAs of its own
      batch.first = sample(*first, number, start.start);
    }
    if (passes.second && !batch.first.output.ended_early) {
      const Start from = start_second_pass(*passes.second, generation, batch.first.output.latents,
                                           *batch.first.output.by, upscalers_, result);
      activate(second, *passes.second);
      batch.second = sample(*second, number, from);
    }
    finish_batch(batch, passes, generation, start.init, account,
                 {.version = options_.version, .int8 = options_.int8}, result);
    is_last = batch.first.output.is_last || (batch.second && batch.second->output.is_last);
  }
  if (!is_first_measured) {  // the end was asked for in a second pass, or there was no first walk
    result.loras.clear();
    activate(first, passes.first);
    account.report(*first, result);
    if (second) {
      activate(second, *passes.second);
      account.report(*second, result);
    }
  }
  return result;
}

}  // namespace lowrank::pipeline
