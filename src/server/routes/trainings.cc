#include <algorithm>

#include "base/atomic_file.h"
#include "base/text/percent.h"
#include "server/http/refusal.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr ParameterRow kTrainingQuery[] = {
    {.name = "points",
     .type = kInteger,
     .default_value = "500",
     .help = "maximum number of losses; neighbours are averaged",
     .min = 1,
     .max = 100'000},
};

bool is_unfinished(Services& services, const TrainingRun& run) {
  const auto job = services.queue.view(run.job);
  return job && !is_end(job->state);
}

Json run_json(Services& services, const TrainingRun& run) {
  const auto job = services.queue.view(run.job);
  const bool is_over = !job || is_end(job->state);
  return {{"name", run.name},
          {"job", run.job},
          {"state", job ? Json(job_state_name(job->state)) : Json()},
          {"error", job && job->state == JobState::kFailed ? job->detail : Json()},
          {"begun", run.begun},
          {"request", run.request},
          {"step", run.losses.empty() ? 0 : run.losses.back().step},
          {"steps", run.steps},
          {"loss", run.losses.empty() ? Json() : Json(run.losses.back().loss)},
          {"resume_step", is_over && run.state ? Json(*run.state) : Json()},
          {"finished_step", is_over && run.finished ? Json(*run.finished) : Json()},
          {"sample_count", run.samples.size()}};
}

TrainingRun run_of(Services& services, const Call& call) {
  auto run = services.trainings.open(call.at("name"));
  if (!run) throw Refusal(404, "no training run of this name exists.");
  return *run;
}

}  // namespace

ParameterRows training_query() {
  return kTrainingQuery;
}

Reply training_list(Services& services, const Call&) {
  std::vector<TrainingRun> runs;
  for (const auto& name : services.trainings.names())
    if (auto run = services.trainings.open(name)) runs.push_back(std::move(*run));
  std::ranges::stable_sort(runs, std::greater(), &TrainingRun::begun);
  Json list = Json::array();
  for (const auto& run : runs) list.push_back(run_json(services, run));
  return json_reply({{"trainings", list}});
}

Reply training_detail(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kTrainingQuery, call.query, faults);
  faults.throw_if_any();
  const TrainingRun run = run_of(services, call);
  Json out = run_json(services, run);
  Json losses = Json::array(), samples = Json::array();
  for (const LossPoint& point : thinned(run.losses, query["points"].get<std::size_t>()))
    losses.push_back({point.step, point.loss});
  for (const SamplePicture& sample : run.samples)
    samples.push_back({{"step", sample.step},
                       {"index", sample.index},
                       {"url", "/v1/trainings/" + percent_encode(run.name, "") + "/samples/" +
                                   percent_encode(sample.file, "")}});
  out["losses"] = std::move(losses);
  out["samples"] = std::move(samples);
  return json_reply(out);
}

Reply training_sample(Services& services, const Call& call) {
  const auto path = services.trainings.sample(call.at("name"), call.at("file"));
  if (!path) throw Refusal(404, "no such sample picture.");
  Reply reply = bytes_reply(read_file(*path), "image/png");
  reply.headers.emplace_back("Cache-Control", "no-cache");
  return reply;
}

Reply training_delete(Services& services, const Call& call) {
  const TrainingRun run = run_of(services, call);
  if (is_unfinished(services, run)) throw Refusal(409, "the training run has not ended; stop it first.");
  services.trainings.forget(run.name);
  return json_reply({{"deleted", run.name}});
}

}  // namespace lowrank::server
