#include <fmt/format.h>

#include "base/text/base64.h"
#include "image/codec/codec.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr ParameterRow kProgressQuery[] = {
    {.name = "skip_current_image",
     .type = kBoolean,
     .default_value = "false",
     .help = "leave out the preview"},
    {.name = "skipCurrentImage",
     .type = kBoolean,
     .default_value = "false",
     .help = "alias used by npm clients"},
};
constexpr ParameterRow kInternalProgress[] = {
    {.name = "id_task", .type = kString, .max_length = 256, .is_required = true},
    {.name = "id_live_preview",
     .type = kInteger,
     .default_value = "-1",
     .help = "id of the newest preview that the client has"},
    {.name = "live_preview", .type = kBoolean, .default_value = "true"},
};

EncodedPicture encoded_preview(Services& services, const image::Picture& picture) {
  const std::string name = services.settings.text("live_previews_image_format");
  const auto format = image::picture_format(name.empty() ? "png" : name);
  const auto bytes = image::encode_picture(picture, {.format = format, .parameters = ""});
  const char* mime = format == image::PictureFormat::kPng    ? "image/png"
                     : format == image::PictureFormat::kJpeg ? "image/jpeg"
                                                             : "image/webp";
  return {.mime = mime, .bytes = std::string(bytes.begin(), bytes.end())};
}

}  // namespace

ParameterRows progress_query() {
  return kProgressQuery;
}
ParameterRows internal_progress_parameters() {
  return kInternalProgress;
}

Reply progress(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kProgressQuery, call.query, faults);
  faults.throw_if_any();
  const bool wants_image = query["skip_current_image"] == false && query["skipCurrentImage"] == false;
  // Read before the board: between two jobs the server must not look idle while one waits.
  const int unfinished = services.queue.unfinished();
  const ProgressSnapshot now = services.engine.board().snapshot();
  const bool runs = !now.job_id.empty();
  Json image = nullptr;
  if (wants_image && services.settings.flag("live_previews_enable")) {
    services.engine.board().want_preview();
    if (const auto preview = services.engine.board().preview(); preview && runs)
      image = base64(encoded_preview(services, *preview).bytes);
  }
  const int waiting = std::max(0, unfinished - (runs ? 1 : 0));
  return json_reply({{"progress", now.progress()},
                     {"eta_relative", now.eta()},
                     {"state",
                      {{"skipped", now.skipped},
                       {"interrupted", now.interrupted},
                       {"stopping_generation", false},
                       {"job", now.job},
                       {"job_count", now.job_count + waiting},
                       {"job_timestamp", now.job_timestamp.empty() ? "0" : now.job_timestamp},
                       {"job_no", runs ? now.job_no : 0},
                       {"sampling_step", now.sampling_step},
                       {"sampling_steps", now.sampling_steps}}},
                     {"current_image", image},
                     {"textinfo", now.text.empty() ? Json() : Json(now.text)},
                     {"current_task", runs && !now.task_id.empty() ? Json(now.task_id) : Json()}});
}

Reply internal_progress(Services& services, const Call& call) {
  const Json body = read_body(kInternalProgress, call.body);
  const std::string id = body["id_task"].get<std::string>();
  const auto pending = services.queue.pending();
  const ProgressSnapshot now = services.engine.board().snapshot();
  const bool active = !now.task_id.empty() && now.task_id == id;
  std::size_t place = 0;
  for (std::size_t i = 0; i < pending.size(); ++i)
    if (pending[i].task_id == id) place = i + 1;
  Json reply = {
      {"active", active},
      {"queued", place > 0},
      {"completed", services.engine.board().is_finished_task(id)},
      {"progress", nullptr},
      {"eta", nullptr},
      {"live_preview", nullptr},
      {"id_live_preview", -1},
      {"textinfo", place > 0 ? fmt::format("In queue: {}/{}", place, pending.size()) : "Waiting..."}};
  if (!active) return json_reply(reply);
  reply["progress"] = now.progress();
  reply["eta"] = now.eta();
  reply["textinfo"] = now.text.empty() ? Json() : Json(now.text);
  const auto known = body["id_live_preview"].get<std::int64_t>();
  reply["id_live_preview"] = known;
  if (body["live_preview"] == true && services.settings.flag("live_previews_enable")) {
    services.engine.board().want_preview();
    const auto preview = services.engine.board().preview();
    if (preview && static_cast<std::int64_t>(now.preview_id) != known) {
      const EncodedPicture picture = encoded_preview(services, *preview);
      reply["live_preview"] = "data:" + picture.mime + ";base64," + base64(picture.bytes);
      reply["id_live_preview"] = now.preview_id;
    }
  }
  return json_reply(reply);
}

Reply pending_tasks(Services& services, const Call&) {
  Json tasks = Json::array();
  for (const auto& pending : services.queue.pending()) tasks.push_back(pending.task_id);
  return json_reply({{"size", tasks.size()}, {"tasks", tasks}});
}

Reply interrupt(Services& services, const Call&) {
  services.queue.interrupt();
  return json_reply(Json::object());
}

Reply skip(Services& services, const Call&) {
  services.queue.skip();
  return json_reply(nullptr);
}

}  // namespace lowrank::server
