#include "server/engine/job_generator.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/engine/generation_answer.h"

namespace lowrank::server {

int job_count(const request::GenerationRequest& request) {
  return request.batch_count * (request.enable_hr ? 2 : 1);
}

void JobGenerator::announce(std::size_t number, std::size_t count, int jobs_before) {
  announced_ = fmt::format("{} out of {}", number, count);
  jobs_before_ = jobs_before;
}

pipeline::GenerationResult JobGenerator::make(pipeline::Session& session,
                                              const request::GenerationRequest& request) {
  pipeline::Listener listener;
  const bool previews = task_.options.at("live_previews_enable").get<bool>();
  const int every = std::max(1, task_.options.at("show_progress_every_n_steps").get<int>());
  listener.preview = previews ? pipeline::Preview::kOnDemand : pipeline::Preview::kNone;
  listener.preview_type =
      request::find_preview_type(task_.options.at("show_progress_type").get<std::string>())
          .value_or(request::PreviewType::kBest);
  listener.wants_preview = [&](int step) {
    return watchers_.board.is_preview_wanted() && (step % every == 0 || watchers_.board.preview() == nullptr);
  };
  listener.on_step = [&](const pipeline::StepEvent& event) { report(request, event); };
  listener.on_picture = [&](const pipeline::GeneratedPicture& picture) {
    if (task_.flag("save_images")) save(picture);
  };
  listener.decide = [&] {
    const bool finish = job_.control->interrupt, skip = job_.control->skip.exchange(false);
    if (finish || skip) watchers_.board.mark(skip, finish);
    return finish ? pipeline::StepDecision::kFinish
           : skip ? pipeline::StepDecision::kSkip
                  : pipeline::StepDecision::kContinue;
  };
  return session.generate(request, listener, job_.control->stop.get_token());
}

void JobGenerator::report(const request::GenerationRequest& request, const pipeline::StepEvent& event) {
  job_.control->has_drawn = true;
  const int steps = event.steps > 0 ? event.steps : request.steps;
  watchers_.board.step({.batch = event.batch,
                        .batches = event.batches,
                        .pass = event.pass,
                        .passes = event.passes,
                        .step = event.step,
                        .steps = steps,
                        .done = jobs_before_,
                        .job = announced_});
  if (event.preview) watchers_.board.show(*event.preview);
  const ProgressSnapshot now = watchers_.board.snapshot();
  watchers_.events.add("progress", job_.id,
                       {{"id", job_.id},
                        {"progress", now.progress()},
                        {"eta", now.eta()},
                        {"step", event.step},
                        {"steps", steps},
                        {"batch", event.batch},
                        {"batches", event.batches},
                        {"preview", now.preview_id}});
}

void JobGenerator::save(const pipeline::GeneratedPicture& picture) {
  const EncodedPicture file = encode_for_answer(picture.picture, picture.metadata, task_.options);
  const char* folder = task_.kind == GenerationKind::kText ? "txt2img-images" : "img2img-images";
  const auto path = watchers_.outputs.save(folder, file, std::to_string(picture.seed));
  if (task_.options.at("save_txt").get<bool>()) watchers_.outputs.save_text(path, picture.metadata);
}

}  // namespace lowrank::server
