#include "cli/light/library_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "base/error.h"
#include "base/log_line.h"
#include "base/text/text.h"
#include "cli/text_table.h"
#include "formats/subfamily.h"
#include "library/index/place_table.h"
#include "library/lora_words.h"
#include "library/misplaced_models.h"
#include "library/model_names.h"
#include "library/sidecar/lora_type.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using library::Record;
using nlohmann::ordered_json;

// The first second of a day, local time.
std::int64_t seconds_of(const std::string& text, std::string_view label) {
  std::tm day{};
  char rest = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%c", &day.tm_year, &day.tm_mon, &day.tm_mday, &rest) != 3 ||
      day.tm_mon < 1 || day.tm_mon > 12 || day.tm_mday < 1 || day.tm_mday > 31)
    throw Error(kBadInput, "--{} is '{}', but must be a date such as 2026-01-31.", label, text);
  day.tm_year -= 1900;
  day.tm_mon -= 1;
  day.tm_isdst = -1;
  return std::mktime(&day);
}

library::SortBy sort_of(const std::string& text) {
  if (text == "added") return library::SortBy::kAdded;
  if (text == "date") return library::SortBy::kChanged;
  if (text == "size") return library::SortBy::kSize;
  if (text == "rating") return library::SortBy::kRating;
  return library::SortBy::kName;
}

}  // namespace

library::Library open_library(const Invocation& invocation) {
  auto library = library::Library::open(library::find_data_dir(invocation.value("data-dir")));
  for (const auto& problem : library.last_scan().problems)
    log_line(stderr, "warning: {}\n", printable(problem));
  return library;
}

library::Query query_of(const Invocation& invocation, const library::Library& library) {
  library::Query query{.kind = "lora"};
  if (invocation.has("type")) {
    const std::string type = invocation.value("type");
    query.type = type == "none" ? type : std::string(library::type_meant_by(type));
    if (query.type.empty())
      throw Error(kBadInput, "--type is '{}', but must be one of {} or none.", type,
                  fmt::join(library::lora_types(), ", "));
  }
  query.base_model = invocation.value("base");
  query.subfamily = invocation.value("subfamily");
  query.tag = invocation.value("tag");
  query.trigger = invocation.value("trigger");
  query.folder = invocation.value("folder");
  if (invocation.has("rating")) query.min_rating = std::stoi(invocation.value("rating"));
  if (invocation.has("since")) query.since = seconds_of(invocation.value("since"), "since");
  if (invocation.has("until")) query.until = seconds_of(invocation.value("until"), "until") + 86'399;
  if (invocation.has("min-size")) query.min_bytes = bytes_of(invocation.value("min-size"), "min-size");
  if (invocation.has("max-size")) query.max_bytes = bytes_of(invocation.value("max-size"), "max-size");
  if (invocation.has("fits"))
    query.fits = library.fit_of(find_model(library.data(), invocation.value("fits")));
  if (invocation.has("limit")) query.limit = std::stoll(invocation.value("limit"));
  query.sort = sort_of(invocation.value("sort"));
  return query;
}

fs::path find_model(const library::DataDir& data, const std::string& name) {
  if (name.empty() || name == "default") {
    const fs::path file = library::default_checkpoint(data);
    if (const std::string notice = library::default_checkpoint_notice(data, file); !notice.empty())
      log_line(stderr, "warning: {}\n", printable(notice));
    if (!file.empty()) return file;
    throw Error(kNotFound, "no checkpoint in {}; put one there, or give a file.",
                data.checkpoints().string());
  }
  return library::resolve_checkpoint(data, name, library::remembered_hashes());
}

std::string type_text(const Record& record) {
  return record.type_origin == "guess" ? record.type + "?" : record.type;
}

std::string stars(std::int64_t rating) {
  std::string text;
  for (std::int64_t i = 0; i < rating; ++i) text += "★";
  return text;
}

std::string date_text(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm local{};
  char text[32];
  localtime_r(&time, &local);
  return std::string(text, std::strftime(text, sizeof(text), "%Y-%m-%d", &local));
}

ordered_json record_json(const library::Library& library, const Record& record) {
  const fs::path path = library.path_of(record);
  ordered_json json = {
      {"name", record.name},   {"alias", record.alias}, {"relative", library::Library::relative_name(record)},
      {"path", path.string()}, {"bytes", record.size},  {"modified", record.mtime_ns / 1'000'000'000},
      {"added", record.added}};
  if (!record.problem.empty()) json["error"] = record.problem;
  if (!record.title.empty()) json["title"] = record.title;
  json.update({{"kind", record.kinds},
               {"rank", library::rank_text(record.rank_low, record.rank_high)},
               {"base_model", library::base_text(record)},
               {"architecture", record.architecture},
               {"subfamily", record.subfamily},
               {"subfamily_origin", record.subfamily_origin},
               {"subfamily_conflict", record.subfamily_conflict},
               {"type", record.type},
               {"type_origin", record.type_origin},
               {"trigger", library::trigger_text(record)},
               {"trigger_words", library::list_of(record.triggers)},
               {"tags", library::list_of(record.tags)},
               {"preferred_weight", record.weight},
               {"rating", record.rating},
               {"notes", record.notes},
               {"preview", record.preview.empty() ? "" : (path.parent_path() / record.preview).string()},
               {"source", record.source}});
  auto hashes = ordered_json::object();
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) hashes[name] = value;
  };
  add("sha256", record.sha256);
  add("autov1", record.autov1);
  add("autov2", record.sha256.substr(0, 10));
  add("autov3", record.addnet.substr(0, 12));
  add("lora_hash", library::lora_hash(record));
  add("sshs_legacy", record.sshs_legacy);
  json["hashes"] = std::move(hashes);
  return json;
}

std::string asked_subfamily(const std::string& asked) {
  if (asked == "auto") return "";
  if (const auto meant = formats::subfamily_meant(asked)) return *meant;
  throw Error(kBadInput,
              "'{}' is not a subfamily; it must be one of {}, none, or auto to detect it from the files.",
              asked, formats::subfamily_names());
}

std::string subfamily_words(const Record& record) {
  std::vector<std::string> reasons;
  if (!record.subfamily.empty()) reasons.push_back(record.subfamily_reason);
  if (!record.subfamily_conflict.empty()) reasons.push_back(record.subfamily_conflict);
  if (reasons.empty()) return "";
  return fmt::format("{} ({})", record.subfamily.empty() ? "none" : record.subfamily,
                     fmt::join(reasons, "; "));
}

std::int64_t bytes_of(const std::string& text, std::string_view label) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  static constexpr Unit kUnits[] = {{"", 1},    {"b", 1},    {"k", 1e3}, {"kb", 1e3},
                                    {"m", 1e6}, {"mb", 1e6}, {"g", 1e9}, {"gb", 1e9}};
  const auto split = std::min(text.find_first_not_of("0123456789. "), text.size());
  const auto number = parse_number(text.substr(0, split));
  const std::string unit = lower(trim(std::string_view(text).substr(split)));
  const auto found = std::ranges::find(kUnits, unit, &Unit::name);
  if (!number || *number < 0 || *number > 1e15 || found == std::end(kUnits))
    throw Error(kBadInput, "--{} is '{}', but must be a size such as 200MB.", label, text);
  return static_cast<std::int64_t>(std::llround(*number * found->bytes));
}

}  // namespace lowrank::cli
