// `lowrank lora missing`: what a friend's prompt or picture needs, what of it is here under which name, and
// where to get the rest.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/light/collection.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/progress_line.h"
#include "cli/prompt_resources.h"
#include "cli/stop_signal.h"
#include "cli/text_table.h"
#include "library/recipe.h"

namespace lowrank::cli {
namespace {

using library::Library;
using library::Record;
using nlohmann::ordered_json;

struct Answer {
  NeededFile needed;
  std::optional<Record> found;
  std::string how;    // "name", "hash", "former name", "Civitai version"
  std::string where;  // what is missing: the page or command that brings it
};

std::optional<Record> find_other(const Library& library, const NeededFile& needed) {
  for (const Record& record : library.find({.kind = needed.kind}))
    if (record.name == needed.name) return record;
  return std::nullopt;
}

std::string where_to_get(const Library& library, const NeededFile& needed) {
  for (const Record& lost : library.gone())
    if (lost.name == needed.name || (!needed.hash.empty() && lost.addnet.starts_with(needed.hash)))
      return fmt::format("it was {} until {}{}", library.path_of(lost).string(), date_text(lost.added),
                         lost.source.empty() ? "" : "; it came from " + lost.source);
  if (needed.civitai_version != 0)
    return fmt::format("lowrank lora import https://civitai.com/model-versions/{}", needed.civitai_version);
  if (!needed.hash.empty()) return fmt::format("lowrank lora import {}", needed.hash);
  return needed.name.empty() ? ""
                             : fmt::format("no hash is given; search for '{}' on civitai.com", needed.name);
}

std::string doubt(const Record& record) {
  return record.sha256.empty() ? ", its hash is not known yet" : ", but its hash is another";
}

// A hash decides before a name: equal names may mean different files.
Answer answer_for(const Library& library, const NeededFile& needed) {
  Answer answer{.needed = needed, .found = std::nullopt, .how = {}, .where = {}};
  if (auto record = library.find_hash(needed.hash, needed.kind)) {
    answer.how = record->name == needed.name || record->alias == needed.name ? "name" : "hash";
    answer.found = std::move(record);
  } else if (auto version = library.find_civitai_version(needed.civitai_version)) {
    answer.how = "Civitai version";
    answer.found = std::move(version);
  } else if (needed.kind == "lora") {
    if (auto lora = library.find_lora(needed.name)) {
      answer.how = lora->how;
      answer.found = std::move(lora->record);
    }
  } else if (auto other = find_other(library, needed)) {
    answer.how = "name";
    answer.found = std::move(other);
  }
  // The text's hash met no known one, so the name is all there is.
  const bool is_by_name = answer.found && answer.how != "hash" && answer.how != "Civitai version";
  if (is_by_name && !needed.hash.empty() && !library.find_hash(needed.hash, needed.kind))
    answer.how += doubt(*answer.found);
  if (!answer.found) answer.where = where_to_get(library, needed);
  return answer;
}

void hash_the_rest(const Library& library, bool is_quiet) {
  const StopSignal signal;
  auto records = library.unhashed("lora");
  std::int64_t total = 0, done = 0;
  for (const Record& record : records) total += record.size;
  ProgressLine line(is_quiet ? nullptr : stderr);
  for (Record& record : records) {
    line.update("hashing", done, total);
    std::string problem;
    library.hash(record, problem, signal.token());
    done += record.size;
  }
}

std::vector<NeededFile> asked_files(const Invocation& invocation, const Library& library) {
  std::vector<NeededFile> needed;
  const auto add = [&](std::vector<NeededFile> files) {
    for (NeededFile& file : files) needed.push_back(std::move(file));
  };
  for (const std::string& place : invocation.places) {
    if (place == "-") {
      const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
      add(needed_files(text));
    } else {
      add(needed_files(infotext_of(place)));
    }
  }
  if (invocation.places.empty())
    for (const auto& recipe : library::all_recipes(library.data()))
      for (const auto& lora : recipe.loras)
        add({{.kind = "lora", .name = lora.name, .hash = lora.hash, .civitai_version = 0}});
  return needed;
}

ordered_json answer_json(const Library& library, const Answer& answer) {
  ordered_json json = {{"kind", answer.needed.kind},
                       {"name", answer.needed.name},
                       {"hash", answer.needed.hash},
                       {"found", answer.found.has_value()}};
  if (answer.found) {
    json["as"] = Library::relative_name(*answer.found);
    json["path"] = library.path_of(*answer.found).string();
    json["by"] = answer.how;
  } else {
    json["where"] = answer.where;
  }
  return json;
}

}  // namespace

int lora_missing(const Invocation& invocation) {
  const Library library = open_library(invocation);
  const auto needed = asked_files(invocation, library);
  std::vector<Answer> answers;
  for (const NeededFile& file : needed) answers.push_back(answer_for(library, file));
  const auto is_unanswered = [](const Answer& answer) {
    return !answer.found && !answer.needed.hash.empty();
  };
  if (invocation.has("hash") && std::ranges::any_of(answers, is_unanswered)) {
    hash_the_rest(library, invocation.has("json"));
    for (Answer& answer : answers)
      if (is_unanswered(answer)) answer = answer_for(library, answer.needed);
  }
  if (invocation.has("json")) {
    auto list = ordered_json::array();
    for (const Answer& answer : answers) list.push_back(answer_json(library, answer));
    print_json({{"needed", list}});
    return 0;
  }
  if (answers.empty()) {
    fmt::print("{}\n", invocation.places.empty() ? "No recipe names a LoRA."
                                                 : "Nothing there names a LoRA, checkpoint or embedding.");
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Answer& answer : answers) {
    const bool is_here = answer.found.has_value();
    rows.push_back({answer.needed.kind, answer.needed.name, answer.needed.hash, is_here ? "here" : "missing",
                    is_here ? fmt::format("{} (by {})", Library::relative_name(*answer.found), answer.how)
                            : answer.where});
  }
  fmt::print("{}", text_table({"KIND", "NAME", "HASH", "STATE", "WHERE"}, std::move(rows)));
  const auto unhashed = library.unhashed("lora").size();
  if (std::ranges::any_of(answers, is_unanswered) && unhashed > 0 && !invocation.has("hash"))
    fmt::print("{} LoRAs have no hash yet and might be among the missing; --hash looks at them.\n", unhashed);
  return 0;
}

}  // namespace lowrank::cli
