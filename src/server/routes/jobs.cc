#include <fmt/format.h>

#include <algorithm>

#include "base/text/base64.h"
#include "image/codec/codec.h"
#include "server/http/json_body.h"
#include "server/http/refusal.h"
#include "server/imports/import_task.h"
#include "server/requests/job_failure.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr int kMostListed = 500;
constexpr ParameterRow kJobList[] = {
    {.name = "state",
     .type = kString,
     .default_value = "\"\"",
     .help = "queued, running, completed, failed or cancelled",
     .max_length = 16},
    {.name = "limit", .type = kInteger, .default_value = "50", .min = 1, .max = kMostListed},
    {.name = "before",
     .type = kString,
     .default_value = "\"\"",
     .help = "list jobs after this id",
     .max_length = 64},
    {.name = "previews",
     .type = kBoolean,
     .default_value = "false",
     .help = "whether the running picture is being watched, so that previews are generated"},
};
constexpr ParameterRow kResultQuery[] = {
    {.name = "images", .type = kBoolean, .default_value = "true", .help = "false: without the pictures"},
};
constexpr ParameterRow kCancelAll[] = {
    {.name = "kinds", .type = kStrings, .help = "only jobs of these kinds (default: all)", .max_length = 32},
};

Json job_json(Services& services, const JobView& job) {
  Json out = {
      {"id", job.id},
      {"kind", job.kind},
      {"state", job_state_name(job.state)},
      {"task_id", job.task_id},
      {"attached", job.is_attached},
      {"position", job.position > 0 ? Json(job.position) : Json()},
      {"created", job.created},
      {"started", job.started > 0 ? Json(job.started) : Json()},
      {"finished", job.finished > 0 ? Json(job.finished) : Json()},
      {"attempts", job.attempts},
      {"pictures", job.pictures},
      {"has_result", job.has_result},
      {"error", job.state == JobState::kFailed || job.state == JobState::kCancelled ? job.detail : Json()},
      {"links",
       {{"self", "/v1/jobs/" + job.id},
        {"result", "/v1/jobs/" + job.id + "/result"},
        {"events", "/v1/jobs/" + job.id + "/events"},
        {"preview", "/v1/jobs/" + job.id + "/preview"}}}};
  if (job.state == JobState::kRunning && job.kind == job_kind_name(JobKind::kImport)) {
    out["progress"] = services.imports.board().find(job.id).value_or(ImportProgress()).json();
  } else if (job.state == JobState::kRunning) {
    const ProgressSnapshot now = services.engine.board().snapshot();
    if (now.job_id != job.id) return out;
    out["progress"] = {{"progress", now.progress()}, {"eta", now.eta()},
                       {"batch", now.job_no},        {"batches", now.job_count},
                       {"step", now.sampling_step},  {"steps", now.sampling_steps},
                       {"preview", now.preview_id},  {"text", now.text}};
    if (!now.phase.empty()) out["progress"].update({{"phase", now.phase}, {"loss", now.loss}});
  }
  return out;
}

JobView job_of(Services& services, const Call& call) {
  auto view = services.queue.view(call.at("id"));
  if (!view) throw Refusal(404, "no such job.");
  return *view;
}

std::string event_text(const Event& event) {
  return fmt::format("id: {}\nevent: {}\ndata: {}\n\n", event.number, event.name, json_text(event.data));
}

Reply event_reply(Services& services, const Call& call, const std::string& job,
                  std::optional<std::string> first) {
  Reply reply{.content_type = "text/event-stream"};
  reply.headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
  auto number = std::make_shared<std::uint64_t>(services.events.newest());
  if (const std::string last = call.header("last-event-id"); !last.empty())
    *number = std::min<std::uint64_t>(*number, std::strtoull(last.c_str(), nullptr, 10));
  struct Follow {
    std::optional<std::string> first;
    bool ends = false;
    int silent = 0;
  };
  auto follow = std::make_shared<Follow>(Follow{.first = std::move(first)});
  reply.stream = [&services, job, number, follow]() -> std::optional<std::string> {
    if (follow->ends) return std::nullopt;
    if (follow->first) return *std::exchange(follow->first, std::nullopt);
    services.engine.board().want_preview();
    const auto event = services.events.next(*number, job, std::chrono::milliseconds(500));
    if (event) {
      follow->silent = 0;
      const auto state = job_state_from_name(event->name);
      follow->ends = !job.empty() && state && is_end(*state);
      return event_text(*event);
    }
    // A comment now and then finds out whether the client is still there.
    if (++follow->silent % 20 == 0) return ": \n\n";
    if (!job.empty() && follow->silent % 4 == 0) {
      const auto view = services.queue.view(job);
      if (!view || is_end(view->state)) return std::nullopt;
    }
    return "";
  };
  return reply;
}

}  // namespace

ParameterRows job_parameters() {
  static const std::string kinds = job_kind_choices();
  static const ParameterRow kSubmit[] = {
      {.name = "kind", .type = kString, .default_value = "\"txt2img\"", .help = kinds, .max_length = 32},
      {.name = "request",
       .type = kObject,
       .help = "as for /sdapi/v1/txt2img or img2img; for train: kohya's option names; for import: source, "
               "type, kind, name, preview, force",
       .is_required = true,
       .schema = "Txt2imgRequest|Img2imgRequest|ExtrasRequest|TrainingRequest|ImportRequest"},
      {.name = "idempotency_key",
       .type = kString,
       .help =
           "resubmitting the same key and request returns the existing job; also as header Idempotency-Key",
       .max_length = 256},
  };
  return kSubmit;
}
ParameterRows cancel_jobs_parameters() {
  return kCancelAll;
}
ParameterRows job_list_query() {
  return kJobList;
}
ParameterRows job_result_query() {
  return kResultQuery;
}

Reply submit_job(Services& services, const Call& call) {
  if (call.body.empty()) refuse_field("request", "field required", "value_error.missing");
  const RequestJson whole = parse_json(call.body);
  Faults faults;
  const Json body = read_parameters(job_parameters(), whole, faults);
  faults.throw_if_any();
  const auto kind = job_kind_named(body["kind"].get<std::string>());
  if (!kind) refuse_field("kind", "must be " + job_kind_choices(), "value_error.const");
  const RequestJson& request = whole["request"];
  JobRequest job_request{.kind = *kind,
                         .body = kind == JobKind::kImport ? import_request(request) : request.dump(),
                         .task_id = "",
                         .is_attached = false,
                         .idempotency_key = ""};
  job_request.idempotency_key = body["idempotency_key"].is_string()
                                    ? body["idempotency_key"].get<std::string>()
                                    : call.header("idempotency-key").substr(0, 256);
  job_request.task_id = check_job_request(services, *kind, request);
  const auto ticket = submit_request(services, job_request);
  const auto view = services.queue.view(ticket.id);
  if (!view) throw Refusal(410, "the job has been deleted already.");
  Reply reply =
      json_reply(job_json(services, *view), ticket.admission == JobQueue::Admission::kNew ? 202 : 200);
  reply.headers.emplace_back("Location", "/v1/jobs/" + ticket.id);
  return reply;
}

Reply list_jobs(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kJobList, call.query, faults);
  const std::string name = query["state"].is_string() ? query["state"].get<std::string>() : "";
  const auto state = job_state_from_name(name);
  if (!name.empty() && !state)
    faults.add("query", "state", "must be queued, running, completed, failed or cancelled",
               "value_error.const");
  faults.throw_if_any();
  if (query["previews"] == true) services.engine.board().want_preview();
  Json list = Json::array();
  for (const auto& view :
       services.queue.list(state, query["limit"].get<int>(), query["before"].get<std::string>()))
    list.push_back(job_json(services, view));
  return json_reply({{"jobs", list}, {"waiting", services.queue.waiting()}});
}

Reply show_job(Services& services, const Call& call) {
  return json_reply(job_json(services, job_of(services, call)));
}

Reply job_result(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kResultQuery, call.query, faults);
  faults.throw_if_any();
  const JobView job = job_of(services, call);
  if (!is_end(job.state))
    throw Refusal(409, fmt::format("the job is {}; it has no result yet.", job_state_name(job.state)));
  // A cancelled picture's job may hold what was drawn.
  if (job.state != JobState::kCompleted && !job.has_result)
    return error_reply(http_status(job.cause), job.detail);
  const auto answer = services.queue.answer(job.id);
  if (!answer) throw Refusal(410, "the result is no longer kept.");
  Json images = Json::array();
  if (query["images"] == true)
    for (int i = 0; i < job.pictures; ++i)
      if (const auto picture = services.queue.picture(job.id, i)) images.push_back(base64(picture->bytes));
  Json whole = {{"images", std::move(images)}};
  whole.update(*answer);
  return json_reply(whole);
}

Reply job_picture(Services& services, const Call& call) {
  const JobView job = job_of(services, call);
  const std::string& index = call.at("index");
  const bool is_number = index.size() < 7 && index.find_first_not_of("0123456789") == std::string::npos;
  const auto picture = is_number ? services.queue.picture(job.id, std::stoi(index)) : std::nullopt;
  if (!picture) throw Refusal(404, "no such picture.");
  Reply reply = bytes_reply(picture->bytes, picture->mime);
  reply.headers.emplace_back("Cache-Control", "private, max-age=3600");
  return reply;
}

Reply job_preview(Services& services, const Call& call) {
  const JobView job = job_of(services, call);
  services.engine.board().want_preview();
  const auto preview = services.engine.board().preview();
  if (!preview || services.engine.board().snapshot().job_id != job.id)
    throw Refusal(404, "there is no preview at the moment.");
  const auto bytes =
      image::encode_picture(*preview, {.format = image::PictureFormat::kPng, .parameters = ""});
  Reply reply = bytes_reply(std::string(bytes.begin(), bytes.end()), "image/png");
  reply.headers.emplace_back("Cache-Control", "no-store");
  return reply;
}

// First the job as it is, then what becomes of it; ends with the job.
Reply job_events(Services& services, const Call& call) {
  const JobView job = job_of(services, call);
  const std::string first =
      fmt::format("event: {}\ndata: {}\n\n", job_state_name(job.state), json_text(job_json(services, job)));
  if (is_end(job.state)) {
    auto sent = std::make_shared<bool>(false);
    Reply reply{.content_type = "text/event-stream"};
    reply.stream = [sent, first]() -> std::optional<std::string> {
      if (std::exchange(*sent, true)) return std::nullopt;
      return first;
    };
    return reply;
  }
  return event_reply(services, call, job.id, first);
}

Reply all_events(Services& services, const Call& call) {
  return event_reply(
      services, call, "",
      fmt::format("event: hello\ndata: {}\n\n", json_text({{"waiting", services.queue.waiting()}})));
}

Reply cancel_job(Services& services, const Call& call) {
  switch (services.queue.cancel(call.at("id"))) {
    case Cancelled::kUnknown:
      throw Refusal(404, "no such job.");
    case Cancelled::kHadEnded:
      throw Refusal(409, "the job has ended already.");
    case Cancelled::kSoon:
    case Cancelled::kAtOnce:
      break;
  }
  return json_reply(job_json(services, job_of(services, call)));
}

// The newest first, so that none begins only to be ended.
Reply cancel_jobs(Services& services, const Call& call) {
  const Json body = read_body(kCancelAll, call.body.empty() ? "{}" : call.body);
  const Json& kinds = body["kinds"];
  Json cancelled = Json::array();
  for (const JobState state : {JobState::kQueued, JobState::kRunning})
    for (const JobView& job : services.queue.list(state, kMostListed, "")) {
      if (kinds.is_array() && std::ranges::find(kinds, Json(job.kind)) == kinds.end()) continue;
      const Cancelled how = services.queue.cancel(job.id);
      if (how == Cancelled::kSoon || how == Cancelled::kAtOnce) cancelled.push_back(job.id);
    }
  return json_reply({{"cancelled", std::move(cancelled)}});
}

Reply delete_job(Services& services, const Call& call) {
  const JobView job = job_of(services, call);
  if (!services.queue.remove(job.id)) throw Refusal(409, "the job has not ended; cancel it first.");
  return json_reply({{"deleted", job.id}});
}

}  // namespace lowrank::server
