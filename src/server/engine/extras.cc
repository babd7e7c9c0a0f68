// Engine's smaller work on pictures: A1111's extras.
#include "pipeline/pictures/extras.h"

#include <memory>
#include <string>

#include "server/engine/engine.h"
#include "server/engine/generation_answer.h"
#include "server/http/json_body.h"
#include "server/page/html.h"
#include "server/requests/extras_task.h"

namespace lowrank::server {

std::shared_ptr<Outcome> Engine::extras(const RunningJob& job) {
  const ExtrasTask task =
      read_extras(parse_json(job.request.body), parts_.options, session().upscalers().names(), parts_.limits);
  board_.begin(job.id, job.request.task_id, job_kind_name(job.request.kind),
               static_cast<int>(task.pictures.size()));
  auto outcome = std::make_shared<Outcome>();
  std::string html;
  for (std::size_t i = 0; i < task.pictures.size(); ++i) {
    board_.step({.batch = static_cast<int>(i), .batches = static_cast<int>(task.pictures.size())});
    const auto& [picture, parameters] = task.pictures[i];
    const auto made =
        pipeline::run_extras(task.request, picture, session().upscalers(), job.control->stop.get_token());
    html = "<p>" + escaped(made.info) + "</p>";  // as A1111, of the last picture
    const EncodedPicture file = encode_for_answer(
        made.picture, pipeline::extras_metadata(parameters, made.info), parts_.options.all());
    if (task.saves_images) parts_.outputs.save("extras-images", file, "extras");
    if (task.shows_results) outcome->pictures.push_back(file);
    if (job.control->interrupt) break;
  }
  for (const auto& note : task.notes) html += "<p>" + escaped(note.get<std::string>()) + "</p>";
  outcome->answer = {{"html_info", html}};
  return outcome;
}

}  // namespace lowrank::server
