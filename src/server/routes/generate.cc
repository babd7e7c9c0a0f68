#include <fmt/format.h>

#include <random>

#include "server/http/base64.h"
#include "server/http/refusal.h"
#include "server/imports/import_task.h"
#include "server/requests/extras_task.h"
#include "server/requests/training_task.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

// A1111's form: task(txt2img-ab12cd3).
std::string new_task_id(const std::string& kind) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  std::string letters;
  for (int i = 0; i < 7; ++i) letters += kLetters[random() % kLetters.size()];
  return fmt::format("task({}-{})", kind, letters);
}

// Puts the call's body into the queue and waits for the job's end.
std::shared_ptr<const Outcome> run_here(Services& services, const Call& call, const std::string& kind) {
  if (call.body.empty()) refuse_field("", "field required", "value_error.missing");
  const RequestJson request = parse_json(call.body);
  JobRequest job_request{.kind = kind,
                         .body = call.body,
                         .task_id = check_job_request(services, kind, request),
                         .is_attached = true,
                         .idempotency_key = ""};
  const auto ticket = services.queue.submit(job_request);
  return wait_for_client(services, call, ticket.id);
}

}  // namespace

std::string check_job_request(Services& services, const std::string& kind, const RequestJson& request) {
  if (kind == "extras") {
    read_extras(request, services.settings, services.catalog.upscaler_names(), services.options.limits);
    return new_task_id(kind);
  }
  if (kind == "import") {
    read_import(request);
    return new_task_id(kind);
  }
  if (kind == "train") {
    refuse_finished(read_training(request, services.catalog, services.options.limits), services.trainings);
    return new_task_id(kind);
  }
  const auto task = read_generation(kind == "img2img" ? GenerationKind::kImage : GenerationKind::kText,
                                    request, services.settings, services.catalog, services.options.limits,
                                    local_names_of(services.library_service));
  const Json& forced = task.parameters.at("force_task_id");
  return forced.is_string() && forced != "" ? forced.get<std::string>() : new_task_id(kind);
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
  if (outcome.state != JobState::kCompleted) return error_reply(outcome.status, outcome.detail);
  Json images = Json::array();
  for (const auto& picture : outcome.pictures) images.push_back(base64(picture.bytes));
  Json whole = {{"images", std::move(images)}};
  whole.update(outcome.answer);
  return json_reply(whole);
}

Reply extra_single(Services& services, const Call& call) {
  const auto outcome = run_here(services, call, "extras");
  if (outcome->state != JobState::kCompleted) return error_reply(outcome->status, outcome->detail);
  const std::string image = outcome->pictures.empty() ? "" : base64(outcome->pictures.front().bytes);
  return json_reply({{"html_info", outcome->answer.at("html_info")}, {"image", image}});
}

Reply extra_batch(Services& services, const Call& call) {
  const auto outcome = run_here(services, call, "extras");
  if (outcome->state != JobState::kCompleted) return error_reply(outcome->status, outcome->detail);
  Json images = Json::array();
  for (const auto& picture : outcome->pictures) images.push_back(base64(picture.bytes));
  return json_reply({{"html_info", outcome->answer.at("html_info")}, {"images", images}});
}

Reply txt2img(Services& services, const Call& call) {
  return a1111_reply(*run_here(services, call, "txt2img"));
}

Reply img2img(Services& services, const Call& call) {
  return a1111_reply(*run_here(services, call, "img2img"));
}

}  // namespace lowrank::server
