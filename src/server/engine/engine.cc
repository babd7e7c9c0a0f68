#include "server/engine/engine.h"

#include <fmt/format.h>

#include "base/error.h"
#include "server/engine/extras_order.h"
#include "server/engine/generation_answer.h"
#include "server/http/refusal.h"
#include "server/queue/failure.h"

namespace lowrank::server {

Engine::Engine(EngineParts parts) : parts_(std::move(parts)), thread_([this] { work(); }) {}

Engine::~Engine() {
  parts_.queue.stop();
  thread_.join();
}

pipeline::Session& Engine::session() {
  if (!session_) session_ = std::make_unique<pipeline::Session>(parts_.resources, parts_.session);
  return *session_;
}

std::string Engine::resident() const {
  const std::lock_guard lock(mutex_);
  return resident_;
}

Engine::Totals Engine::totals() const {
  const std::lock_guard lock(mutex_);
  return totals_;
}

void Engine::work() {
  for (;;) {
    try {
      const auto work = parts_.queue.take();
      if (!work) return;
      if (work->task) {
        work->task();
      } else {
        run_job(*work->job);
      }
    } catch (const std::exception& error) {
      fmt::print(stderr, "warning: {}\n", error.what());
      std::this_thread::sleep_for(std::chrono::seconds(1));  // the disk, most likely: try again, slowly
    }
  }
}

void Engine::run_job(const RunningJob& job) {
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<Outcome> outcome;
  try {
    outcome = outcome_of(job);
  } catch (...) {
    outcome = failure(std::current_exception());
  }
  {
    const std::lock_guard lock(mutex_);
    totals_.pictures += outcome->pictures.size();
    totals_.busy_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  board_.end();
  parts_.queue.end(job.id, outcome);
}

std::shared_ptr<Outcome> Engine::outcome_of(const RunningJob& job) {
  if (job.order.kind == "txt2img") return generate(job, GenerationKind::kText);
  if (job.order.kind == "img2img") return generate(job, GenerationKind::kImage);
  if (job.order.kind == "extras") return extras(job);
  if (job.order.kind == "train") return train(job);
  throw Refusal(422, fmt::format("there is no kind of job called '{}'.", job.order.kind));
}

std::shared_ptr<Outcome> Engine::generate(const RunningJob& job, GenerationKind kind) {
  const GenerationOrder order =
      read_generation(kind, parse_json(job.order.request), parts_.options, parts_.catalog, parts_.limits);
  if (order.keeps_overrides) parts_.options.set(RequestJson(order.overrides));
  board_.begin(job.id, job.order.task_id, job.order.kind,
               order.request.batch_count * (order.request.enable_hr ? 2 : 1));

  pipeline::GenerationResult finished;  // what a cancelled generation leaves
  pipeline::Listener listener;
  const bool previews = order.options.at("live_previews_enable").get<bool>();
  const int every = std::max(1, order.options.at("show_progress_every_n_steps").get<int>());
  listener.preview = previews ? pipeline::Preview::kOnDemand : pipeline::Preview::kNone;
  listener.wants_preview = [&](int step) {
    return board_.is_preview_wanted() && (step % every == 0 || board_.preview() == nullptr);
  };
  int sampling_steps = 0;
  listener.on_step = [&](const pipeline::StepEvent& event) {
    sampling_steps = event.steps > 0 ? event.steps : order.request.steps;
    board_.step({.batch = event.batch,
                 .batches = event.batches,
                 .pass = event.pass,
                 .passes = event.passes,
                 .step = event.step,
                 .steps = sampling_steps});
    if (event.preview) board_.show(*event.preview);
    const ProgressSnapshot now = board_.snapshot();
    parts_.events.add("progress", job.id,
                      {{"id", job.id},
                       {"progress", now.progress()},
                       {"eta", now.eta()},
                       {"step", event.step},
                       {"steps", sampling_steps},
                       {"batch", event.batch},
                       {"batches", event.batches},
                       {"preview", now.preview_id}});
  };
  listener.on_picture = [&](const pipeline::GeneratedPicture& picture) {
    if (order.flag("save_images")) save(order, picture);
  };
  listener.wish = [&] {
    const bool finish = job.control->interrupt, skip = job.control->skip.exchange(false);
    if (finish || skip) board_.mark(skip, finish);
    return finish ? pipeline::Wish::kFinish : skip ? pipeline::Wish::kSkip : pipeline::Wish::kGoOn;
  };
  const auto result = session().generate(order.request, listener, job.control->stop.get_token());
  {
    const std::lock_guard lock(mutex_);
    resident_ = order.request.checkpoint;
  }

  auto outcome = std::make_shared<Outcome>();
  const bool wants_grid =
      order.flag("save_images") && order.options.at("return_grid").get<bool>() &&
      (result.pictures.size() > 1 || !order.options.at("grid_only_if_multiple").get<bool>());
  if (wants_grid) {
    const auto grid = encode_for_answer(picture_grid(result.pictures), result.pictures.front().metadata,
                                        order.options, true);
    if (order.options.at("grid_save").get<bool>())
      parts_.outputs.save(kind == GenerationKind::kText ? "txt2img-grids" : "img2img-grids", grid, "grid");
    outcome->pictures.push_back(grid);
  }
  for (const auto& picture : result.pictures)
    outcome->pictures.push_back(encode_for_answer(picture.picture, picture.metadata, order.options));
  outcome->answer = generation_answer(order, result, wants_grid, board_.snapshot().job_timestamp);
  if (!order.flag("send_images")) outcome->pictures.clear();
  return outcome;
}

std::shared_ptr<Outcome> Engine::extras(const RunningJob& job) {
  const ExtrasOrder order = read_extras(parse_json(job.order.request), parts_.options,
                                        session().upscalers().names(), parts_.limits);
  board_.begin(job.id, job.order.task_id, job.order.kind, static_cast<int>(order.pictures.size()));
  auto outcome = std::make_shared<Outcome>();
  for (std::size_t i = 0; i < order.pictures.size(); ++i) {
    board_.step({.batch = static_cast<int>(i), .batches = static_cast<int>(order.pictures.size())});
    const auto larger =
        run_extras(order, order.pictures[i], session().upscalers(), job.control->stop.get_token());
    const EncodedPicture file = encode_for_answer(larger, order.infotexts[i], parts_.options.all());
    if (order.saves_images) parts_.outputs.save("extras-images", file, "extras");
    if (order.shows_results) outcome->pictures.push_back(file);
    if (job.control->interrupt) break;
  }
  std::string html;
  for (const auto& note : order.notes) html += "<p>" + note.get<std::string>() + "</p>";
  outcome->answer = {{"html_info", html}};
  return outcome;
}

void Engine::save(const GenerationOrder& order, const pipeline::GeneratedPicture& picture) {
  const EncodedPicture file = encode_for_answer(picture.picture, picture.metadata, order.options);
  const char* folder = order.kind == GenerationKind::kText ? "txt2img-images" : "img2img-images";
  const auto path = parts_.outputs.save(folder, file, std::to_string(picture.seed));
  if (order.options.at("save_txt").get<bool>()) parts_.outputs.save_text(path, picture.metadata);
}

void Engine::run_task(std::function<void(pipeline::Session&)> task,
                      const std::function<bool()>& is_client_gone) {
  auto promise = std::make_shared<std::promise<void>>();
  auto future = promise->get_future();
  parts_.queue.post([this, promise, task = std::move(task)] {
    try {
      task(session());
      promise->set_value();
    } catch (...) {
      promise->set_exception(std::current_exception());
    }
  });
  promise.reset();
  while (future.wait_for(std::chrono::milliseconds(250)) != std::future_status::ready)
    if (is_client_gone()) return;
  try {
    future.get();
  } catch (const std::future_error&) {
    throw Refusal(503, "the server is stopping.");
  }
}

void Engine::load(const pipeline::GenerationRequest& request, const std::function<bool()>& is_client_gone) {
  run_task(
      [this, request](pipeline::Session& session) {
        session.use_model(request);
        const std::lock_guard lock(mutex_);
        resident_ = request.checkpoint;
      },
      is_client_gone);
}

void Engine::unload(const std::function<bool()>& is_client_gone) {
  run_task(
      [this](pipeline::Session&) {
        session_.reset();
        const std::lock_guard lock(mutex_);
        resident_.clear();
      },
      is_client_gone);
}

}  // namespace lowrank::server
