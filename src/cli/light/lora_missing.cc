// `lowrank lora missing`: what a friend's prompt or picture needs, what of it is here under which name, and
// where to get the rest.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "cli/infotext_source.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/light/progress_line.h"
#include "cli/stop_signal.h"
#include "cli/text_table.h"
#include "library/needed_files.h"
#include "library/picture_files.h"
#include "library/recipe.h"

namespace lowrank::cli {
namespace {

using library::find_needed;
using library::Library;
using library::needed_files;
using library::NeededAnswer;
using library::NeededFile;
using library::Record;
using nlohmann::ordered_json;

// One line: where what is missing was, and how to get it.
std::string where_to_get(const Library& library, const NeededAnswer& answer) {
  if (answer.lost)
    return fmt::format("it was {}, which has been removed{}", library.path_of(*answer.lost).string(),
                       answer.import_source.empty() ? "" : "; lowrank lora import " + answer.import_source);
  if (!answer.import_source.empty()) return "lowrank lora import " + answer.import_source;
  return answer.needed.name.empty()
             ? ""
             : fmt::format("no hash given; search for '{}' on civitai.com", answer.needed.name);
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
  const auto add_settings = [&](const std::string& source) {
    const prompt::PictureSettings settings = settings_of(source);
    print_notes(source, settings);
    add(needed_files(settings.infotext));
  };
  for (const std::string& source : invocation.positionals) {
    if (source == "-") {
      const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
      add(needed_files(text));
    } else if (std::error_code failure; std::filesystem::is_directory(source, failure)) {
      for (const auto& picture : library::expand_pictures({source})) add_settings(picture.string());
    } else {
      add_settings(source);
    }
  }
  if (invocation.positionals.empty())
    for (const auto& recipe : library::all_recipes(library.data()))
      for (const auto& lora : recipe.loras)
        add({{.kind = "lora", .name = lora.name, .hash = lora.hash, .civitai_version = 0}});
  return needed;
}

ordered_json answer_json(const Library& library, const NeededAnswer& answer) {
  ordered_json json = {{"kind", answer.needed.kind},
                       {"name", answer.needed.name},
                       {"hash", answer.needed.hash},
                       {"found", answer.found.has_value()}};
  if (answer.found) {
    json["as"] = Library::relative_name(*answer.found);
    json["path"] = library.path_of(*answer.found).string();
    json["by"] = answer.how;
  } else {
    json["where"] = where_to_get(library, answer);
  }
  return json;
}

}  // namespace

int lora_missing(const Invocation& invocation) {
  const Library library = open_library(invocation);
  const auto needed = asked_files(invocation, library);
  std::vector<NeededAnswer> answers;
  for (const NeededFile& file : needed) answers.push_back(find_needed(library, file));
  const auto is_unanswered = [](const NeededAnswer& answer) {
    return !answer.found && !answer.needed.hash.empty();
  };
  if (invocation.has("hash") && std::ranges::any_of(answers, is_unanswered)) {
    hash_the_rest(library, invocation.has("json"));
    for (NeededAnswer& answer : answers)
      if (is_unanswered(answer)) answer = find_needed(library, answer.needed);
  }
  if (invocation.has("json")) {
    auto list = ordered_json::array();
    for (const NeededAnswer& answer : answers) list.push_back(answer_json(library, answer));
    print_json({{"needed", list}});
    return 0;
  }
  if (answers.empty()) {
    fmt::print("{}\n", invocation.positionals.empty()
                           ? "No recipe names a LoRA."
                           : "Nothing there names a LoRA, checkpoint or embedding.");
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const NeededAnswer& answer : answers) {
    const bool is_here = answer.found.has_value();
    rows.push_back({answer.needed.kind, answer.needed.name, answer.needed.hash, is_here ? "here" : "missing",
                    is_here ? fmt::format("{} (by {})", Library::relative_name(*answer.found), answer.how)
                            : where_to_get(library, answer)});
  }
  fmt::print("{}", text_table({"KIND", "NAME", "HASH", "STATE", "WHERE"}, std::move(rows)));
  const auto unhashed = library.unhashed("lora").size();
  if (std::ranges::any_of(answers, is_unanswered) && unhashed > 0 && !invocation.has("hash"))
    fmt::print("{} LoRAs have no hash yet and might be among the missing ones; --hash checks them.\n",
               unhashed);
  return 0;
}

}  // namespace lowrank::cli
