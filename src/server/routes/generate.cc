#include <fmt/format.h>

#include <random>

#include "base/text/base64.h"
#include "server/http/json_body.h"
#include "server/http/refusal.h"
#include "server/imports/import_task.h"
#include "server/requests/extras_task.h"
#include "server/requests/job_failure.h"
#include "server/requests/training_task.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

// A1111's form: task(txt2img-ab12cd3).
std::string new_task_id(JobKind kind) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string letters;
  for (int i = 0; i < 7; ++i) letters += kLetters[random() % kLetters.size()];
  return fmt::format("task({}-{})", job_kind_name(kind), letters);
}

// Puts the call's body into the queue and waits for the job's end.
std::shared_ptr<const Outcome> run_here(Services& services, const Call& call, JobKind kind) {
  if (call.body.empty()) refuse_field("", "field required", "value_error.missing");
  const RequestJson request = parse_json(call.body);
  JobRequest job_request{.kind = kind,
                         .body = call.body,
                         .task_id = check_job_request(services, kind, request),
                         .is_attached = true,
                         .idempotency_key = ""};
  const auto ticket = submit_request(services, job_request);
  return wait_for_client(services, call, ticket.id);
}

}  // namespace

std::string check_job_request(Services& services, JobKind kind, const RequestJson& request) {
  switch (kind) {
    case JobKind::kTextToImage:
    case JobKind::kImageToImage: {
      const auto task =
          read_generation(kind == JobKind::kImageToImage ? GenerationKind::kImage : GenerationKind::kText,
                          request, services.settings, services.catalog, services.options.limits,
                          local_names_of(services.library_service));
      const Json& forced = task.parameters.at("force_task_id");
      if (forced.is_string() && forced != "") return forced.get<std::string>();
      break;
    }
    case JobKind::kExtras:
      read_extras(request, services.settings, services.catalog.upscaler_names(), services.options.limits);
      break;
    case JobKind::kTrain: {
      const TrainingTask job_request = read_training(request, services.catalog, services.options.limits);
      refuse_finished(job_request, services.trainings.folder(job_request.job.options.output_name));
      break;
    }
    case JobKind::kImport:
      read_import(request);
      break;
  }
  return new_task_id(kind);
}

JobQueue::Ticket submit_request(Services& services, const JobRequest& job_request) {
  const JobQueue::Ticket ticket = services.queue.submit(job_request);
  switch (ticket.admission) {
    case JobQueue::Admission::kNew:
    case JobQueue::Admission::kKnown:
      break;
    case JobQueue::Admission::kKeyTaken:
      throw Refusal(409, "this idempotency key was used for another request; use a new one.");
    case JobQueue::Admission::kFull:
      throw Refusal(503,
                    fmt::format("the queue is full: {} jobs are waiting; try again later.", ticket.waiting));
    case JobQueue::Admission::kStopping:
      throw Refusal(503, "the server is shutting down.");
  }
  return ticket;
}

std::shared_ptr<const Outcome> wait_for_client(Services& services, const Call& call,
                                               const std::string& job_id) {
  struct Forget {
    JobQueue& queue;
    const std::string& id;
    ~Forget() { queue.forget(id); }
  } forget{services.queue, job_id};
  bool was_cancelled = false;
  for (;;) {
    if (auto outcome = services.queue.wait_for_end(job_id, std::chrono::milliseconds(200))) return outcome;
    if (!was_cancelled && call.is_client_gone()) {
      services.queue.cancel(job_id);
      was_cancelled = true;
    }
  }
}

Reply a1111_reply(const Outcome& outcome) {
  if (outcome.state != JobState::kCompleted) return error_reply(http_status(outcome.cause), outcome.detail);
  Json images = Json::array();
  for (const auto& picture : outcome.pictures) images.push_back(base64(picture.bytes));
  Json whole = {{"images", std::move(images)}};
  whole.update(outcome.answer);
  return json_reply(whole);
}

Reply extra_single(Services& services, const Call& call) {
  const auto outcome = run_here(services, call, JobKind::kExtras);
  if (outcome->state != JobState::kCompleted)
    return error_reply(http_status(outcome->cause), outcome->detail);
  const std::string image = outcome->pictures.empty() ? "" : base64(outcome->pictures.front().bytes);
  return json_reply({{"html_info", outcome->answer.at("html_info")}, {"image", image}});
}

Reply extra_batch(Services& services, const Call& call) {
  const auto outcome = run_here(services, call, JobKind::kExtras);
  if (outcome->state != JobState::kCompleted)
    return error_reply(http_status(outcome->cause), outcome->detail);
  Json images = Json::array();
  for (const auto& picture : outcome->pictures) images.push_back(base64(picture.bytes));
  return json_reply({{"html_info", outcome->answer.at("html_info")}, {"images", images}});
}

Reply txt2img(Services& services, const Call& call) {
  return a1111_reply(*run_here(services, call, JobKind::kTextToImage));
}

Reply img2img(Services& services, const Call& call) {
  return a1111_reply(*run_here(services, call, JobKind::kImageToImage));
}

}  // namespace lowrank::server
