#include "server/engine/training_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <string_view>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/text.h"
#include "server/catalog/model_catalog.h"
#include "training/run/train_state.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;

bool is_run_name(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// Lines "STEP,LOSS". A last line without its end was being written when the process was killed.
std::vector<LossPoint> read_losses(const fs::path& file) {
  std::error_code failure;
  std::vector<LossPoint> losses;
  if (!fs::is_regular_file(file, failure)) return losses;
  const std::string text = read_file(file, 256u << 20);
  for (std::size_t from = 0, end; (end = text.find('\n', from)) != std::string::npos; from = end + 1) {
    const std::string_view line = std::string_view(text).substr(from, end - from);
    const auto comma = line.find(',');
    if (comma == std::string_view::npos) continue;
    const auto step = parse_integer(line.substr(0, comma));
    const auto loss = parse_number(line.substr(comma + 1));
    if (step && loss && std::isfinite(*loss)) losses.push_back({*step, *loss});
  }
  return losses;
}

// NAME_000100_00.png
std::optional<SamplePicture> sample_of(const std::string& file, const std::string& name) {
  if (!file.starts_with(name + "_") || !file.ends_with(".png")) return std::nullopt;
  const std::string rest = file.substr(name.size() + 1, file.size() - name.size() - 5);
  const auto bar = rest.find('_');
  if (bar == std::string::npos) return std::nullopt;
  const auto step = parse_integer(rest.substr(0, bar));
  const auto index = parse_integer(rest.substr(bar + 1));
  if (!step || !index) return std::nullopt;
  return SamplePicture{file, *step, static_cast<int>(*index)};
}

std::vector<SamplePicture> read_samples(const fs::path& folder, const std::string& name) {
  std::vector<SamplePicture> samples;
  std::error_code failure;
  for (fs::directory_iterator it(folder, failure), end; !failure && it != end; it.increment(failure))
    if (auto sample = sample_of(it->path().filename().string(), name)) samples.push_back(std::move(*sample));
  std::ranges::sort(samples, [](const SamplePicture& a, const SamplePicture& b) {
    return a.step != b.step ? a.step < b.step : a.index < b.index;
  });
  return samples;
}

}  // namespace

std::vector<std::string> TrainingRuns::names() const {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator it(root_, failure), end; !failure && it != end; it.increment(failure))
    if (fs::is_regular_file(it->path() / "run.json", failure))
      names.push_back(it->path().filename().string());
  std::ranges::sort(names);
  return names;
}

std::optional<TrainingRun> TrainingRuns::open(const std::string& name) const {
  std::error_code failure;
  if (!is_run_name(name) || !fs::is_regular_file(folder(name) / "run.json", failure)) return std::nullopt;
  const Json about = Json::parse(read_file(folder(name) / "run.json"), nullptr, false);
  if (!about.is_object()) return std::nullopt;
  TrainingRun run{.name = name,
                  .job = about.value("job", ""),
                  .begun = about.value("begun", 0.0),
                  .steps = about.value("steps", std::int64_t{0}),
                  .state = {},
                  .finished = {},
                  .request = about.value("request", Json::object()),
                  .losses = read_losses(folder(name) / "loss.csv"),
                  .samples = read_samples(samples_folder(name), name)};
  if (const auto progress = training::state_progress(folder(name) / (name + "-state.safetensors"))) {
    if (progress->is_finished())
      run.finished = progress->step;
    else
      run.state = run.losses.empty() ? 0 : run.losses.back().step;
  }
  return run;
}

std::optional<fs::path> TrainingRuns::sample(const std::string& name, const std::string& file) const {
  std::error_code failure;
  if (!is_run_name(name) || !is_run_name(file) || !sample_of(file, name)) return std::nullopt;
  fs::path path = samples_folder(name) / file;
  if (!fs::is_regular_file(path, failure) || !is_below(path, root_)) return std::nullopt;
  return path;
}

void TrainingRuns::forget(const std::string& name) const {
  LOWRANK_CHECK(is_run_name(name));
  std::error_code failure;
  fs::remove_all(folder(name), failure);
  if (failure) throw Error(kIo, "{} could not be removed: {}.", folder(name).string(), failure.message());
}

TrainingRuns::Recorder::Recorder(const TrainingRuns& runs, const std::string& name, const std::string& job,
                                 const std::string& request)
    : runs_(runs), name_(name) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  about_ = {{"job", job},
            {"begun", std::chrono::duration<double>(now).count()},
            {"steps", 0},
            {"request", Json::parse(request, nullptr, false)}};
  write_file(runs_.folder(name_) / "run.json", json_text(about_, 1));
}

void TrainingRuns::Recorder::begin(std::int64_t first, std::int64_t steps) {
  about_["steps"] = steps;
  write_file(runs_.folder(name_) / "run.json", json_text(about_, 1));
  const fs::path file = runs_.folder(name_) / "loss.csv";
  std::string kept;
  for (const LossPoint& point : read_losses(file))
    if (point.step < first) kept += fmt::format("{},{}\n", point.step, point.loss);
  write_file(file, kept);
  for (const SamplePicture& sample : read_samples(runs_.samples_folder(name_), name_)) {
    std::error_code ignored;
    if (sample.step >= first) fs::remove(runs_.samples_folder(name_) / sample.file, ignored);
  }
  losses_.open(file, std::ios::app);
}

void TrainingRuns::Recorder::step(std::int64_t step, std::int64_t steps, double loss) {
  if (!losses_.is_open()) begin(step, steps);
  losses_ << fmt::format("{},{}\n", step, loss) << std::flush;
}

std::vector<LossPoint> thinned(const std::vector<LossPoint>& losses, std::size_t most) {
  if (losses.size() <= most || most == 0) return losses;
  std::vector<LossPoint> thin;
  for (std::size_t i = 0; i < most; ++i) {
    const std::size_t from = losses.size() * i / most, to = losses.size() * (i + 1) / most;
    double sum = 0;
    for (std::size_t k = from; k < to; ++k) sum += losses[k].loss;
    thin.push_back({losses[to - 1].step, sum / static_cast<double>(to - from)});
  }
  return thin;
}

}  // namespace lowrank::server
