// `lowrank lora dedupe`: files that are there twice and names that several files claim. It changes nothing.
#include <fmt/format.h>

#include <cstdio>

#include "base/log_line.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/light/progress_line.h"
#include "cli/stop_signal.h"
#include "cli/text_table.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::cli {
namespace {

using library::Library;
using library::Record;
using nlohmann::ordered_json;

// Only files that have the same size and header as another can be the same.
void hash_suspects(const Library& library, bool is_quiet) {
  const StopSignal signal;
  auto suspects = library.suspects();
  std::int64_t total = 0, done = 0;
  for (const Record& record : suspects) total += record.size;
  ProgressLine line(is_quiet ? nullptr : stderr);
  for (Record& record : suspects) {
    line.update("hashing", done, total);
    std::string problem;
    if (!library.hash(record, problem, signal.token()) && !problem.empty())
      log_line(stderr, "warning: {}\n", printable(problem));
    done += record.size;
  }
}

ordered_json paths_json(const Library& library, const std::vector<Record>& records) {
  auto paths = ordered_json::array();
  for (const Record& record : records) paths.push_back(library.path_of(record).string());
  return paths;
}

}  // namespace

int lora_dedupe(const Invocation& invocation) {
  const Library library = open_library(invocation);
  hash_suspects(library, invocation.has("json"));
  const auto groups = library.duplicates();
  const auto conflicts = library.conflicts();
  std::int64_t wasted = 0;
  for (const auto& group : groups) wasted += wasted_bytes(group);
  if (invocation.has("json")) {
    auto duplicates = ordered_json::array(), names = ordered_json::array();
    for (const auto& group : groups)
      duplicates.push_back(
          {{"same", group.is_whole_file ? "file" : "tensors"},
           {"hash", group.is_whole_file ? group.files.front().sha256 : group.files.front().addnet},
           {"wasted_bytes", wasted_bytes(group)},
           {"files", paths_json(library, group.files)}});
    for (const auto& conflict : conflicts) {
      std::string winner;
      for (const Record& record : conflict.claimants)
        if (conflict.winner && record.id == *conflict.winner) winner = library.path_of(record).string();
      names.push_back(
          {{"name", conflict.name}, {"winner", winner}, {"files", paths_json(library, conflict.claimants)}});
    }
    print_json({{"duplicates", duplicates}, {"conflicts", names}, {"wasted_bytes", wasted}});
    return 0;
  }
  for (const auto& group : groups) {
    fmt::print("{} {}:\n", group.is_whole_file ? "the same file" : "the same tensors with different metadata",
               (group.is_whole_file ? group.files.front().sha256 : group.files.front().addnet).substr(0, 12));
    for (const Record& record : group.files)
      fmt::print("  {}  {}  {}\n", printable(library.path_of(record).string()),
                 size_text(static_cast<std::uint64_t>(record.size)),
                 date_text(record.mtime_ns / 1'000'000'000));
  }
  for (const auto& conflict : conflicts) {
    fmt::print("several files are named '{}'; <lora:{}:1> uses {}:\n", printable(conflict.name),
               printable(prompt::network_name(conflict.name)),
               conflict.winner ? "the marked one" : "none of them");
    for (const Record& record : conflict.claimants)
      fmt::print("  {} {}\n", conflict.winner && record.id == *conflict.winner ? '*' : ' ',
                 printable(library.path_of(record).string()));
  }
  if (groups.empty() && conflicts.empty()) fmt::print("No file exists twice, and no name is ambiguous.\n");
  if (wasted > 0)
    fmt::print("Keeping one copy of each would free {}.\n", size_text(static_cast<std::uint64_t>(wasted)));
  return 0;
}

}  // namespace lowrank::cli
