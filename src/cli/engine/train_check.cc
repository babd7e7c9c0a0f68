// `lowrank train check`: looks at a training set and measures a few steps, before a night is spent on it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/engine/commands.h"
#include "cli/engine/resources.h"
#include "cli/engine/train_lora.h"
#include "cli/engine/training_bar.h"
#include "cli/light/json_text.h"
#include "cli/printable.h"
#include "training/data/set_report.h"
#include "training/lora/step_measure.h"

namespace lowrank::cli {
namespace {

using training::Dataset;
using training::SetReport;
using Json = nlohmann::ordered_json;

// What was found, and what it would cost.
struct Check {
  request::LoraTrainOptions options;
  std::vector<std::string> faults;
  Dataset data;
  SetReport report;
  std::optional<training::StepCost> cost;
  std::string not_measured;  // why there is no cost
  training::LoraPlan plan;
};

constexpr std::size_t kMostListed = 10;

std::string name_of(const Check& check, std::size_t example) {
  const auto& e = check.data.examples()[example];
  return printable(check.data.subsets()[e.subset].folder + "/" + e.picture.filename().string());
}

double encode_seconds(const Check& check) {
  return check.cost->picture_seconds * static_cast<double>(check.data.examples().size());
}

double train_seconds(const Check& check) {
  return check.cost->batch_seconds * static_cast<double>(check.options.gradient_accumulation) *
         static_cast<double>(check.plan.steps);
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole < 60) return fmt::format("{:.1f} s", seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

template <typename Items, typename Line>
void list(const char* title, const Items& items, const Line& line) {
  if (items.empty()) return;
  fmt::print("\n{}\n", title);
  std::size_t count = 0;
  for (const auto& item : items) {
    if (count++ == kMostListed) {
      fmt::print("  and {} more (--json lists all)\n", items.size() - kMostListed);
      break;
    }
    fmt::print("  {}\n", line(item));
  }
}

std::string pair_text(const Check& check, const SetReport::Pair& pair) {
  return fmt::format("{} and {}{}", name_of(check, pair.first), name_of(check, pair.second),
                     pair.is_same       ? ": the same file"
                     : pair.is_mirrored ? ": mirrored"
                                        : "");
}

void print_set(const Check& check) {
  const Dataset& data = check.data;
  fmt::print("{} pictures in {}, {} shown per epoch\n", data.examples().size(),
             data.subsets().size() == 1 ? "1 folder" : fmt::format("{} folders", data.subsets().size()),
             data.pictures_per_epoch());
  for (const auto& subset : data.subsets())
    fmt::print("  {}: {} pictures{}, {} per epoch, trigger words: {}\n", printable(subset.folder),
               subset.pictures, subset.plan.is_regularisation ? " for regularisation" : "", subset.repeats,
               subset.trigger.empty() ? "(none)" : printable(subset.trigger));
  fmt::print("\nBuckets\n");
  for (const auto& bucket : data.buckets())
    fmt::print("  {}x{}: {} pictures per epoch in batches of {}\n", bucket.size.width, bucket.size.height,
               bucket.examples.size(), bucket.batch_size);
  const SetReport& r = check.report;
  fmt::print(
      "\nCaptions\n  {} of their own, {} from trigger words, {} empty; the longest has {} tokens of {}\n",
      r.own_captions, r.trigger_captions, r.empty_captions, r.longest_tokens, check.options.max_token_length);
  if (!r.common_tags.empty())
    fmt::print("  in every caption: {}\n", printable(fmt::format("{}", fmt::join(r.common_tags, ", "))));
}

void print_cost(const Check& check) {
  fmt::print("\nCost\n");
  if (!check.cost) {
    fmt::print("  not measured: {}\n", check.not_measured);
    return;
  }
  fmt::print("  {:.2f} s per batch, {:.2f} s to encode a picture, {} of memory at most\n",
             check.cost->batch_seconds, check.cost->picture_seconds,
             size_text(static_cast<std::uint64_t>(check.cost->peak_bytes)));
  fmt::print("  {} steps in {} epochs: about {}\n", check.plan.steps, check.plan.epochs,
             duration_text(encode_seconds(check) + train_seconds(check)));
}

void print_text(const Check& check) {
  if (!check.data.examples().empty()) {
    print_set(check);
    const SetReport& r = check.report;
    list("Captions that are cut", r.too_long, [&](const training::TooLong& one) {
      return fmt::format("{}: {} tokens", name_of(check, one.example), one.tokens);
    });
    list("Tags", r.tags,
         [](const auto& tag) { return fmt::format("{:>5}  {}", tag.second, printable(tag.first)); });
    list("Pictures that look alike", r.alike,
         [&](const SetReport::Pair& pair) { return pair_text(check, pair); });
    list("Pictures that are too small and will be enlarged", r.enlarged, [&](const auto& one) {
      return fmt::format("{}: {:.2f} times", name_of(check, one.first), one.second);
    });
    list("Pictures that look blurred", r.blurred, [&](const auto& one) {
      return fmt::format("{}: sharpness {:.0f}, usual is {:.0f} and more", name_of(check, one.first),
                         one.second, training::kBlurred);
    });
    list("Notes", check.data.notes(), [](const std::string& note) { return printable(note); });
  }
  if (!check.faults.empty()) {
    fmt::print("\nFaults: training does not start until they are mended\n");
    for (const auto& fault : check.faults) fmt::print("  {}\n", printable(fault));
    return;
  }
  print_cost(check);
}

Json named(const Check& check, const std::vector<std::pair<std::size_t, double>>& items, const char* key) {
  Json all = Json::array();
  for (const auto& [example, value] : items)
    all.push_back({{"picture", check.data.examples()[example].picture.string()}, {key, value}});
  return all;
}

Json set_json(const Check& check) {
  Json folders = Json::array(), buckets = Json::array(), tags = Json::object(), alike = Json::array(),
       too_long = Json::array();
  const auto path = [&](std::size_t i) { return check.data.examples()[i].picture.string(); };
  for (const auto& s : check.data.subsets())
    folders.push_back({{"folder", s.folder},
                       {"pictures", s.pictures},
                       {"repeats", s.repeats},
                       {"trigger", s.trigger},
                       {"is_regularisation", s.plan.is_regularisation}});
  for (const auto& b : check.data.buckets())
    buckets.push_back({{"width", b.size.width},
                       {"height", b.size.height},
                       {"pictures", b.examples.size()},
                       {"batch_size", b.batch_size}});
  for (const auto& [tag, count] : check.report.tags) tags[tag] = count;
  for (const auto& pair : check.report.alike)
    alike.push_back({{"first", path(pair.first)},
                     {"second", path(pair.second)},
                     {"bits", pair.bits},
                     {"is_same", pair.is_same},
                     {"is_mirrored", pair.is_mirrored}});
  for (const auto& one : check.report.too_long)
    too_long.push_back({{"picture", path(one.example)}, {"tokens", one.tokens}});
  return {{"pictures", check.data.examples().size()},
          {"pictures_per_epoch", check.data.pictures_per_epoch()},
          {"folders", folders},
          {"buckets", buckets},
          {"captions",
           {{"own", check.report.own_captions},
            {"trigger", check.report.trigger_captions},
            {"empty", check.report.empty_captions},
            {"longest_tokens", check.report.longest_tokens},
            {"too_long", too_long}}},
          {"tags", tags},
          {"common_tags", check.report.common_tags},
          {"alike", alike},
          {"enlarged", named(check, check.report.enlarged, "factor")},
          {"blurred", named(check, check.report.blurred, "sharpness")},
          {"notes", check.data.notes()}};
}

Json cost_json(const Check& check) {
  if (!check.cost) return {{"not_measured", check.not_measured}};
  return {{"batch_seconds", check.cost->batch_seconds},
          {"picture_seconds", check.cost->picture_seconds},
          {"peak_bytes", check.cost->peak_bytes},
          {"steps", check.plan.steps},
          {"epochs", check.plan.epochs},
          {"expected_seconds", encode_seconds(check) + train_seconds(check)}};
}

void look(Check& check, const CommandCall& call, TrainingBar& bar) {
  request::FaultList faults;
  check.data = Dataset::look_at(check.options.data, faults);
  if (check.data.buckets().empty() && faults.empty()) faults.add("the set holds no picture that is shown.");
  check.faults = faults.all();
  const auto progress = [&](std::int64_t done, std::int64_t total) {
    bar.show({.phase = "pictures", .step = done, .steps = total});
  };
  check.report = report_on(check.data, check.options.max_token_length, progress, call.stop);
  bar.clear();
}

}  // namespace

int train_check(const CommandCall& call) {
  TrainLoraCommand command = read_train_lora(call.arguments);
  auto& data = command.job.options.data;
  if (!call.arguments.positionals.empty()) {
    if (!data.folder.empty() || !data.config.empty())
      throw Error(kBadInput, "give the training set once: as {}, or with an option.",
                  call.arguments.positionals.front());
    data.folder = call.arguments.positionals.front();
  }
  TrainingBar bar(stderr);
  Check check;
  pipeline::Session session(training::with_vae(resources(command.data_dir), command.job.vae),
                            {.threads = command.job.options.threads,
                             .version = version_text(),
                             .prompt_limits = command.prompt_limits});
  pipeline::LoadedModel* model = nullptr;
  const bool is_measured = !call.arguments.has("no-measure");
  check.not_measured = "left out with --no-measure";
  try {
    request::GenerationRequest request;
    request.checkpoint = command.job.checkpoint;
    if (is_measured || data.buckets.resolution.width == 0) model = &session.use_model(request);
  } catch (const Error& error) {
    if (error.code() == kCancelled || !command.job.checkpoint.empty()) throw;
    check.not_measured = error.what();
  }
  auto& resolution = data.buckets.resolution;
  const int native = model == nullptr ? 512 : model->native_size;
  if (resolution.width == 0) resolution = {native, native};
  check.options = command.job.options;
  look(check, call, bar);
  if (check.faults.empty()) {
    check.plan = training::plan_run(check.options, check.data);
    if (model != nullptr && is_measured) {
      training::RunControl control;
      control.stop = call.stop;
      const pipeline::Residents::Hold hold(session.residents(), *model);
      check.cost = training::measure_step(*model, check.data, check.options, control);
    }
  }
  if (call.arguments.has("json")) {
    Json all = set_json(check);
    all["faults"] = check.faults;
    all["cost"] = check.faults.empty() ? cost_json(check) : Json();
    print_json(all);
  } else {
    print_text(check);
  }
  return check.faults.empty() ? 0 : exit_status(kBadInput);
}

}  // namespace lowrank::cli
