// `lowrank lora list`, `lora find` and `lora scan`: the collection at a glance, searched, and brought up to
// date.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/light/progress_line.h"
#include "cli/stop_signal.h"
#include "cli/text_table.h"
#include "library/index/state_dir.h"
#include "library/index/watch.h"
#include "library/lora_words.h"
#include "library/misplaced_models.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::cli {
namespace {

using library::Library;
using library::Record;
using nlohmann::ordered_json;

// Why a file cannot be used, without its path, which would leave no room for the reason.
std::string reason_of(const Library& library, const Record& record) {
  const std::string path = library.path_of(record).string() + ": ";
  return record.problem.starts_with(path) ? record.problem.substr(path.size()) : record.problem;
}

void print_table(const Library& library, const std::vector<Record>& records) {
  std::vector<std::vector<std::string>> rows;
  for (const Record& record : records) {
    const std::string relative = Library::relative_name(record);
    rows.push_back({record.alias == record.name ? relative : fmt::format("{} ({})", relative, record.alias),
                    record.problem.empty() ? record.kinds : "unusable",
                    library::rank_text(record.rank_low, record.rank_high),
                    record.problem.empty() ? library::base_text(record) : record.architecture,
                    type_text(record), size_text(static_cast<std::uint64_t>(record.size)),
                    stars(record.rating),
                    record.problem.empty() ? library::trigger_text(record) : reason_of(library, record)});
  }
  fmt::print("{}", text_table({"NAME", "KIND", "RANK", "BASE", "TYPE", "SIZE", "RATED", "TRIGGER"},
                              std::move(rows)));
}

bool is_own(const Record& record) {
  return !library::place_named(record.place).is_starter;
}

void warn_of_conflicts(const Library& library) {
  for (const auto& conflict : library.conflicts()) {
    const auto winner = std::ranges::find_if(conflict.claimants, [&](const Record& record) {
      return conflict.winner && record.id == *conflict.winner;
    });
    const std::string taken =
        winner == conflict.claimants.end() ? "none of them" : library.path_of(*winner).string();
    log_line(
        stderr,
        "warning: several files are named '{}'; <lora:{}:1> uses {}. Write folder/name to choose another.\n",
        printable(conflict.name), printable(prompt::network_name(conflict.name)), printable(taken));
  }
}

int print_records(const Invocation& invocation, const Library& library, const std::vector<Record>& records) {
  if (invocation.has("names")) {
    for (const Record& record : records) fmt::print("{}\n", printable(record.name));
    return 0;
  }
  if (invocation.has("json")) {
    auto loras = ordered_json::array();
    for (const Record& record : records) loras.push_back(record_json(library, record));
    auto duplicates = ordered_json::array();
    for (const auto& conflict : library.conflicts()) duplicates.push_back(conflict.name);
    print_json({{"data_dir", library.data().root.string()},
                {"loras", std::move(loras)},
                {"duplicates", duplicates}});
    return 0;
  }
  print_table(library, records);
  return 0;
}

// Hashes what has none yet, with the bytes done shown.
std::int64_t hash_all(const Library& library, const std::stop_token& stop, bool is_quiet) {
  std::vector<Record> records;
  for (const std::string_view kind : {"lora", "checkpoint", "vae", "embedding", "upscaler"})
    for (Record& record : library.unhashed(kind)) records.push_back(std::move(record));
  std::int64_t total = 0, done = 0, hashed = 0;
  for (const Record& record : records) total += record.size;
  ProgressLine line(is_quiet ? nullptr : stderr);
  for (Record& record : records) {
    line.update("hashing", done, total);
    std::string problem;
    if (library.hash(record, problem, stop)) {
      ++hashed;
    } else if (!problem.empty()) {
      line.clear();
      log_line(stderr, "warning: {}\n", printable(problem));
    }
    done += record.size;
  }
  line.clear();
  return hashed;
}

void print_scan(const Invocation& invocation, const library::ScanReport& report, std::int64_t hashed,
                double seconds) {
  if (invocation.has("json")) {
    print_json({{"folders", report.folders},
                {"changed_folders", report.changed_folders},
                {"read", report.read},
                {"gone", report.gone},
                {"renamed", report.renamed},
                {"hashed", hashed},
                {"problems", report.problems},
                {"seconds", seconds}});
    return;
  }
  fmt::print("{} folders, {} changed: {} files read, {} removed, {} renamed, {} hashed, {:.3f} s\n",
             report.folders, report.changed_folders, report.read, report.gone, report.renamed, hashed,
             seconds);
}

}  // namespace

int lora_list(const Invocation& invocation) {
  const Library library = open_library(invocation);
  const auto records = library.find(query_of(invocation, library));
  if (records.empty() && !invocation.has("json") && !invocation.has("names")) {
    if (library.find({.kind = "lora", .limit = 1}).empty()) {
      fmt::print("No LoRAs in {}; put .safetensors files there.\n", library.data().loras().string());
    } else {
      fmt::print("No LoRA matches these filters.\n");
    }
    return 0;
  }
  if (std::ranges::none_of(records, is_own))
    if (const std::string misplaced = library::misplaced_models(library.data()); !misplaced.empty())
      log_line(stderr, "warning: {}.\n", printable(misplaced));
  const int status = print_records(invocation, library, records);
  if (!invocation.has("json") && !invocation.has("names")) warn_of_conflicts(library);
  return status;
}

int lora_find(const Invocation& invocation) {
  const Library library = open_library(invocation);
  library::Query query = query_of(invocation, library);
  query.words = fmt::format("{}", fmt::join(invocation.positionals, " "));
  if (!invocation.has("sort")) query.sort = library::SortBy::kRelevance;
  auto records = library.find(query);
  if (records.empty() && invocation.positionals.size() == 1)
    if (auto found = library.find_lora(invocation.positionals.front()))
      records.push_back(std::move(found->record));
  if (records.empty()) {
    const library::NearWords near = library.near_words(query.words);
    query.match = near.match;
    if (!near.match.empty()) records = library.find(query);
    if (!records.empty())
      log_line(stderr, "Nothing in the collection matches '{}'; showing matches for {}.\n",
               printable(query.words), printable(fmt::format("{}", fmt::join(near.words, ", "))));
  }
  if (records.empty() && !invocation.has("json") && !invocation.has("names")) {
    fmt::print("Nothing in the collection matches '{}'.\n", printable(query.words));
    return 0;
  }
  return print_records(invocation, library, records);
}

int lora_scan(const Invocation& invocation) {
  const auto data = library::find_data_dir(invocation.value("data-dir"));
  const StopSignal signal;
  const auto started = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  const bool is_quiet = invocation.has("json") || invocation.has("quiet");
  ProgressLine line(is_quiet ? nullptr : stderr);
  const library::ScanOptions options{.threads = 0, .progress = &line, .stop = signal.token()};
  // Before the first look, so that nothing falls in between.
  std::optional<library::Watcher> watcher;
  if (invocation.has("watch")) watcher.emplace(data);
  Library library = Library::open(data, options,
                                  invocation.has("rebuild") ? library::Rebuild::kYes : library::Rebuild::kNo);
  line.clear();
  for (const auto& problem : library.last_scan().problems)
    log_line(stderr, "warning: {}\n", printable(problem));
  const std::int64_t hashed = invocation.has("hash") ? hash_all(library, signal.token(), is_quiet) : 0;
  print_scan(invocation, library.last_scan(), hashed, seconds());
  if (!watcher) return 0;
  std::fflush(stdout);
  while (watcher->wait(signal.token())) {
    const auto report = library.rescan({.threads = 0, .progress = nullptr, .stop = signal.token()});
    if (report.read == 0 && report.gone == 0 && report.renamed == 0) continue;
    const std::int64_t more = invocation.has("hash") ? hash_all(library, signal.token(), true) : 0;
    print_scan(invocation, report, more, seconds());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace lowrank::cli
