// Engine's other work: a LoRA is trained between two pictures, by the same thread and from the same queue.
#include <filesystem>
#include <memory>
#include <utility>

#include "server/engine/engine.h"
#include "server/http/json_body.h"
#include "server/requests/training_task.h"
#include "training/lora/lora_job.h"

namespace lowrank::server {

namespace {

// From the saved state of its name, if there is one: "fresh" alone would forget it.
void resume_state(training::LoraTrainOptions& options) {
  std::error_code failure;
  if (options.fresh && std::filesystem::exists(options.state_file(), failure))
    options.resume = options.state_file();
}

}  // namespace

std::shared_ptr<Outcome> Engine::train(const RunningJob& job) {
  TrainingTask task = read_training(parse_json(job.request.body), parts_.catalog, parts_.limits);
  const std::string name = task.job.options.output_name;
  task.job.options.state_dir = parts_.trainings.folder(name);
  task.job.sample_folder = parts_.trainings.samples_folder(name);
  // A run that replaces what is there goes on like any other once it has begun: when asked to, and after a restart.
  const auto earlier = parts_.trainings.open(name);
  if (task.resumes || (earlier && earlier->job == job.id)) {
    resume_state(task.job.options);
  } else if (task.job.options.fresh) {
    // Before the run is noted as this job's: else a restart would take an earlier run's state for its own.
    std::error_code ignored;
    std::filesystem::remove(task.job.options.state_file(), ignored);
  }
  TrainingRuns::Recorder recorder(parts_.trainings, name, job.id, job.request.body);
  board_.begin(job.id, job.request.task_id, job_kind_name(job.request.kind), 1);
  // Training leaves its marks on the model: it gets one of its own, and memory holds only one at a time.
  session_.reset();
  {
    const std::lock_guard lock(mutex_);
    resident_.clear();
  }
  Json notes = Json::array();
  training::RunControl control;
  control.stop = job.control->stop.get_token();
  control.report = [&](const training::TrainEvent& event) {
    // Samples are drawn on the way: step and progress stay those of the training.
    const bool is_on_the_way = event.phase == "samples" || event.phase == "validation";
    board_.learn(event.phase, is_on_the_way ? board_.snapshot().loss : event.loss);
    if (event.phase == "lora") recorder.step(event.step, event.steps, event.step_loss);
    if (!is_on_the_way)
      board_.step({.step = static_cast<int>(event.step), .steps = static_cast<int>(event.steps)});
    const ProgressSnapshot now = board_.snapshot();
    Json told = {{"id", job.id},         {"progress", now.progress()}, {"eta", now.eta()},
                 {"phase", event.phase}, {"step", now.sampling_step},  {"steps", now.sampling_steps},
                 {"loss", now.loss}};
    if (!is_on_the_way) told["step_loss"] = event.step_loss;
    parts_.events.add("progress", job.id, std::move(told));
  };
  control.say = [&](const std::string& text) {
    notes.push_back(text);
    board_.say(text);
  };
  pipeline::Session session(training::with_vae(parts_.resources, task.job.vae), parts_.session);
  const auto result = training::run_lora_job(session, task.job, control);
  auto outcome = std::make_shared<Outcome>();
  outcome->answer = {{"parameters", Json::parse(job.request.body, nullptr, false)},
                     {"file", result.file.filename().string()},
                     {"tag", result.tag},
                     {"trigger", result.trigger},
                     {"steps", result.steps},
                     {"modules", result.modules},
                     {"loss", result.loss},
                     {"notes", notes}};
  return outcome;
}

}  // namespace lowrank::server
