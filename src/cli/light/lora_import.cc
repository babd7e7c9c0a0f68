// `lowrank lora import` and `lora check-updates`: LoRAs from Civitai, Hugging Face and this machine.
#include <fmt/format.h>

#include <atomic>
#include <cstdio>

#include "base/error.h"
#include "base/log_line.h"
#include "base/parallel.h"
#include "base/text/text.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/download_board.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/stop_signal.h"
#include "cli/text_table.h"
#include "library/import/importer.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using library::Imported;
using library::Importer;
using library::ImportItem;
using library::ImportState;
using library::Library;
using library::Record;
using nlohmann::ordered_json;

library::ImportOptions options_of(const Invocation& invocation) {
  library::ImportOptions options{
      .to = invocation.value("to"), .name = invocation.value("name"), .kind = invocation.value("kind")};
  options.takes_pickles = invocation.has("allow-pickle");
  options.with_preview = !invocation.has("no-preview");
  options.is_flat = invocation.has("flat");
  if (invocation.has("max-size"))
    options.max_bytes = static_cast<std::uint64_t>(bytes_of(invocation.value("max-size"), "max-size"));
  return options;
}

// What came of one of the things asked for.
struct Outcome {
  std::string label;
  std::optional<Imported> imported;
  std::string error;
  ErrorCode code = kInternal;
  std::optional<Record> record = {};  // of what was imported, when it is a part of the collection
};

Outcome failed(const std::string& label, const Error& error) {
  return {.label = label, .imported = std::nullopt, .error = error.what(), .code = error.code()};
}

// Fetches several at once; one that fails does not stop the others.
void fetch_all(const Importer& importer, const std::vector<ImportItem>& items, int jobs, bool is_quiet,
               std::vector<Outcome>& outcomes) {
  DownloadBoard board(is_quiet ? nullptr : stderr, items.size());
  std::vector<Outcome> own(items.size());
  parallel_for(static_cast<std::int64_t>(items.size()), jobs, [&](std::int64_t i) {
    const auto place = static_cast<std::size_t>(i);
    const ImportItem& item = items[place];
    own[place].label = item.label;
    try {
      own[place].imported = importer.fetch(item, [&](std::uint64_t done, std::uint64_t total) {
        board.update(place, item.label, done, total);
      });
      board.finish(place);
    } catch (const Error& error) {
      own[place] = failed(item.label, error);
      board.finish(place);
    }
  });
  board.clear();
  for (Outcome& outcome : own) outcomes.push_back(std::move(outcome));
}

// Fills in the LoRAs that the imports became.
void find_records(Library& library, std::vector<Outcome>& outcomes) {
  std::vector<Imported> imports;
  for (const Outcome& outcome : outcomes)
    if (outcome.imported) imports.push_back(*outcome.imported);
  const auto records = library::index_imports(library, imports);
  auto record = records.begin();
  for (Outcome& outcome : outcomes)
    if (outcome.imported && (outcome.record = *record++) &&
        library::place_named(outcome.record->place).kind != "lora")
      outcome.record.reset();
}

ordered_json outcome_json(const Outcome& outcome, const Library& library) {
  ordered_json json = {{"source", outcome.label}};
  if (!outcome.imported) {
    json["state"] = "failed";
    json["error"] = outcome.error;
    return json;
  }
  const Imported& imported = *outcome.imported;
  json["state"] = imported.state == ImportState::kImported ? "imported" : "already here";
  json["path"] = imported.path.string();
  json["bytes"] = imported.bytes;
  json["resumed"] = imported.was_resumed;
  json["remarks"] = imported.remarks;
  if (outcome.record) json["lora"] = record_json(library, *outcome.record);
  return json;
}

void print_outcome(const Outcome& outcome, const Library& library) {
  if (!outcome.imported) {
    log_line(stderr, "error: {}\n", printable(outcome.error));
    return;
  }
  const Imported& imported = *outcome.imported;
  fmt::print("{}: {}{}\n", imported.state == ImportState::kImported ? "imported" : "already here",
             printable(imported.path.string()), imported.was_resumed ? " (resumed an earlier download)" : "");
  if (outcome.record && outcome.record->problem.empty())
    fmt::print("  in a prompt: {}\n", printable(library.prompt_line(*outcome.record)));
  for (const std::string& remark : imported.remarks) log_line(stderr, "warning: {}\n", printable(remark));
}

library::Http make_http(const StopSignal& signal) {
  return library::Http(fmt::format("LowRank/{}", LOWRANK_VERSION), {}, signal.token());
}

// Asks about LoRAs that are here already.
Outcome enrich(const Importer& importer, const Library& library, const std::string& name) {
  Outcome outcome{.label = name, .imported = std::nullopt, .error = {}};
  try {
    const Record record = library.resolve(name).record;
    Imported imported{.state = ImportState::kAlreadyHere, .path = library.path_of(record)};
    if (!importer.enrich_from_civitai(record, imported.remarks))
      imported.remarks.push_back(fmt::format("Civitai has no entry for {}.", record.name));
    outcome.imported = std::move(imported);
  } catch (const Error& error) {
    if (error.code() == kCancelled) throw;
    return failed(name, error);
  }
  return outcome;
}

// A file of this machine, or a LoRA by name when only its metadata are wanted.
std::optional<fs::path> local_file(const Library& library, const std::string& text, bool by_name) {
  std::error_code failure;
  if (fs::is_regular_file(text, failure)) return text;
  if (by_name)
    if (const auto found = library.find_lora(text)) return library.path_of(found->record);
  return std::nullopt;
}

int exit_status_of(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes)
    if (!outcome.imported) return exit_status(outcome.code);
  return 0;
}

}  // namespace

int lora_import(const Invocation& invocation) {
  Library library = open_library(invocation);
  const StopSignal signal;
  const Importer importer(library, make_http(signal), options_of(invocation));
  const bool is_json = invocation.has("json");
  std::vector<Outcome> outcomes;
  std::vector<ImportItem> items;
  for (const std::string& text : invocation.positionals) {
    if (invocation.has("metadata-only")) {
      outcomes.push_back(enrich(importer, library, text));
      continue;
    }
    try {
      if (const auto file = local_file(library, text, invocation.has("from-metadata"))) {
        outcomes.push_back({.label = text,
                            .imported = importer.import_file(*file, invocation.has("from-metadata")),
                            .error = {}});
        continue;
      }
      for (ImportItem& item : importer.plan(library::recognise_source(text)))
        items.push_back(std::move(item));
    } catch (const Error& error) {
      if (error.code() == kCancelled) throw;
      outcomes.push_back(failed(text, error));
    }
  }
  if (invocation.has("dry-run")) {
    for (const ImportItem& item : items)
      fmt::print("{}: {} from {}{}\n", printable(item.label), printable(item.file_name),
                 printable(item.url.shown()), item.size ? ", " + size_text(*item.size) : "");
  } else {
    const int jobs = invocation.whole_number("jobs");
    fetch_all(importer, items, jobs, is_json || invocation.has("quiet"), outcomes);
  }
  find_records(library, outcomes);
  if (is_json) {
    auto list = ordered_json::array();
    for (const Outcome& outcome : outcomes) list.push_back(outcome_json(outcome, library));
    print_json({{"imports", list}});
  } else {
    for (const Outcome& outcome : outcomes) print_outcome(outcome, library);
  }
  return exit_status_of(outcomes);
}

int lora_check_updates(const Invocation& invocation) {
  const Library library = open_library(invocation);
  const StopSignal signal;
  const Importer importer(library, make_http(signal), {});
  std::vector<Record> records;
  if (invocation.positionals.empty()) {
    for (Record& record : library.find({.kind = "lora"}))
      if (record.civitai_model != 0 || record.source.find("huggingface.co") != std::string::npos)
        records.push_back(std::move(record));
  } else {
    for (const std::string& name : invocation.positionals) records.push_back(library.resolve(name).record);
  }
  std::vector<std::vector<std::string>> rows;
  auto list = ordered_json::array();
  int failures = 0;
  for (const Record& record : records) {
    ordered_json json = {{"name", Library::relative_name(record)}};
    try {
      if (const auto update = importer.newer_version(record)) {
        rows.push_back({Library::relative_name(record), update->name, update->published, update->url});
        json["update"] = {{"name", update->name}, {"published", update->published}, {"url", update->url}};
      } else {
        json["update"] = nullptr;
      }
    } catch (const Error& error) {
      if (error.code() == kCancelled) throw;
      ++failures;
      json["error"] = error.what();
      log_line(stderr, "warning: {}: {}\n", printable(record.name), printable(error.what()));
    }
    list.push_back(std::move(json));
  }
  if (invocation.has("json")) {
    print_json({{"checked", records.size()}, {"loras", list}});
  } else if (rows.empty()) {
    fmt::print("{} LoRAs checked, none has a newer version{}.\n", records.size(),
               failures > 0 ? fmt::format("; {} could not be checked", failures) : "");
  } else {
    fmt::print("{}", text_table({"NAME", "NEWER VERSION", "DATE", "PAGE"}, std::move(rows)));
  }
  return !records.empty() && failures == static_cast<int>(records.size()) ? 1 : 0;
}

}  // namespace lowrank::cli
