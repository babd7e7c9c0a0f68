// Engine's main work: pictures, one request's or those of a script.
#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include "image/grid.h"
#include "pipeline/generate/request_check.h"
#include "server/engine/engine.h"
#include "server/engine/generation_answer.h"
#include "server/engine/job_generator.h"
#include "server/http/json_body.h"

namespace lowrank::server {
namespace {

std::vector<const image::Picture*> pointers(const std::vector<pipeline::GeneratedPicture>& pictures) {
  std::vector<const image::Picture*> all;
  for (const auto& picture : pictures) all.push_back(&picture.picture);
  return all;
}

// Grids stand before the pictures.
class AnswerPictures {
 public:
  AnswerPictures(const GenerationTask& task, OutputFolder& outputs) : task_(task), outputs_(outputs) {}

  void add(const pipeline::GeneratedPicture& picture) {
    pictures.push_back(encode_for_answer(picture.picture, picture.metadata, task_.options));
    infotexts.push_back(picture.metadata);
  }
  void add_grid(const image::Picture& grid, const std::string& infotext, const std::string& name) {
    index_of_first = 1;
    pictures.push_back(encode_for_answer(grid, infotext, task_.options, true));
    infotexts.push_back(infotext);
    if (task_.flag("save_images") && task_.options.at("grid_save").get<bool>())
      outputs_.save(task_.kind == GenerationKind::kText ? "txt2img-grids" : "img2img-grids", pictures.back(),
                    name);
  }

  std::vector<EncodedPicture> pictures;
  std::vector<std::string> infotexts;
  int index_of_first = 0;

 private:
  const GenerationTask& task_;
  OutputFolder& outputs_;
};

template <typename Item>
void add_new(std::vector<Item>& all, const std::vector<Item>& more, const auto& same) {
  for (const Item& item : more)
    if (std::ranges::none_of(all, [&](const Item& known) { return same(known, item); })) all.push_back(item);
}

// What is told of a series as a whole.
void add_account(pipeline::GenerationResult& whole, const pipeline::GenerationResult& part) {
  add_new(whole.loras, part.loras, [](const auto& a, const auto& b) {
    return a.name == b.name && a.unet.weight == b.unet.weight &&
           a.text_encoder.weight == b.text_encoder.weight;
  });
  add_new(whole.missing_loras, part.missing_loras,
          [](const auto& a, const auto& b) { return a.name == b.name; });
  add_new(whole.warnings, part.warnings, std::equal_to<>());
  whole.unet_passes += part.unet_passes;
  if (whole.prediction_rule.empty()) whole.prediction_rule = part.prediction_rule;
  for (double pipeline::GenerationResult::*seconds :
       {&pipeline::GenerationResult::seconds_load, &pipeline::GenerationResult::seconds_loras,
        &pipeline::GenerationResult::seconds_text, &pipeline::GenerationResult::seconds_sample,
        &pipeline::GenerationResult::seconds_decode})
    whole.*seconds += part.*seconds;
}

// A cell of a plot is one picture: of several, their grid under the first one's metadata.
pipeline::GeneratedPicture cell_of(pipeline::GenerationResult& made) {
  if (made.pictures.empty()) return {};
  pipeline::GeneratedPicture cell = std::move(made.pictures.front());
  if (made.pictures.size() == 1) return cell;
  made.pictures.front().picture = std::move(cell.picture);
  cell.picture = image::picture_grid(pointers(made.pictures));
  return cell;
}

void show_series(const ScriptRun& script, std::vector<pipeline::GeneratedPicture>& cells,
                 AnswerPictures& answer) {
  const request::SeriesGrid& grid = *script.series.grid;
  const auto first = std::ranges::find_if(cells, [](const auto& cell) { return !cell.picture.rgb.empty(); });
  const auto sheets = request::draw_sheets(grid, pointers(cells));
  answer.add_grid(sheets.whole, request::grid_metadata(first->metadata, grid.entries),
                  std::string(script.name));
  const std::size_t size = grid.columns.size() * grid.rows.size();
  for (std::size_t i = 0; script.shows_sheets && i < sheets.sheets.size(); ++i) {
    const std::string& metadata =
        cells[i * size].metadata.empty() ? first->metadata : cells[i * size].metadata;
    answer.add_grid(sheets.sheets[i], request::grid_metadata(metadata, grid.sheet_entries),
                    std::string(script.name));
  }
}

using Make = std::function<pipeline::GenerationResult(const request::GenerationRequest&)>;

pipeline::GenerationResult make_single(const GenerationTask& task, const Make& make, AnswerPictures& answer) {
  auto result = make(task.request);
  if (task.flag("save_images") && task.options.at("return_grid").get<bool>() &&
      (result.pictures.size() > 1 || !task.options.at("grid_only_if_multiple").get<bool>()))
    answer.add_grid(image::picture_grid(pointers(result.pictures)), result.pictures.front().metadata, "grid");
  for (const auto& picture : result.pictures) answer.add(picture);
  return result;
}

// An interruption leaves the cells black that have not been made.
pipeline::GenerationResult make_series(const GenerationTask& task, JobGenerator& generator, const Make& make,
                                       AnswerPictures& answer) {
  const request::Series& series = task.script->series;
  std::vector<pipeline::GeneratedPicture> cells(series.requests.size());
  pipeline::GenerationResult whole;
  std::size_t number = 0;
  int jobs = 0;
  for (const std::size_t i : series.order) {
    generator.announce(++number, cells.size(), jobs);
    auto made = make(request::with_pictures(series.requests[i], task.request));
    jobs += job_count(series.requests[i]);
    add_account(whole, made);
    if (series.grid) {
      cells[i] = cell_of(made);
    } else {
      std::ranges::move(made.pictures, std::back_inserter(whole.pictures));
    }
    if (generator.is_interrupted()) break;
  }
  if (series.grid) {
    show_series(*task.script, cells, answer);
    for (auto& cell : cells)
      if (!cell.picture.rgb.empty()) whole.pictures.push_back(std::move(cell));
  }
  if (task.script->shows_pictures)
    for (const auto& picture : whole.pictures) answer.add(picture);
  return whole;
}

int jobs_of(const GenerationTask& task) {
  if (!task.script) return job_count(task.request);
  int jobs = 0;
  for (const auto& request : task.script->series.requests) jobs += job_count(request);
  return jobs;
}

}  // namespace

std::shared_ptr<Outcome> Engine::generate(const RunningJob& job, GenerationKind kind) {
  const GenerationTask task = read_generation(kind, parse_json(job.request.body), parts_.options,
                                              parts_.catalog, parts_.limits, parts_.use_local_names);
  if (task.keeps_overrides) parts_.options.set(RequestJson(task.overrides));
  if (task.script)
    pipeline::check_requests(task.script->series.requests, parts_.resources, {}, task.compares);
  board_.begin(job.id, job.request.task_id, job_kind_name(job.request.kind), jobs_of(task));
  JobGenerator generator({board_, parts_.events, parts_.outputs}, job, task);
  const auto make = [&](const request::GenerationRequest& request) {
    auto made = generator.make(session(), request);
    const std::lock_guard lock(mutex_);
    resident_ = request.checkpoint;
    return made;
  };
  AnswerPictures answer(task, parts_.outputs);
  const auto result =
      task.script ? make_series(task, generator, make, answer) : make_single(task, make, answer);
  auto outcome = std::make_shared<Outcome>();
  outcome->answer = generation_answer(task, result, answer.infotexts, answer.index_of_first,
                                      board_.snapshot().job_timestamp);
  if (task.flag("send_images")) outcome->pictures = std::move(answer.pictures);
  return outcome;
}

}  // namespace lowrank::server
