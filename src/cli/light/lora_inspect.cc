// `lowrank lora inspect`: what a LoRA's file holds.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/error.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/text_table.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_file.h"
#include "library/lora_words.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// A file is taken as it is; a name is looked up in the collection.
fs::path find_file(const Invocation& invocation) {
  const std::string& name = invocation.positionals.front();
  std::error_code failure;
  const auto library = open_library(invocation);
  if (const auto found = library.find_lora(name)) return library.path_of(found->record);
  if (fs::is_regular_file(name, failure)) return name;
  return library.path_of(library.resolve(name).record);
}

std::string rank_of(const formats::LoraFile& lora) {
  std::int64_t low = 0, high = 0;
  for (const auto& entry : lora.entries) {
    if (entry.rank == 0) continue;
    low = low == 0 ? entry.rank : std::min(low, entry.rank);
    high = std::max(high, entry.rank);
  }
  return library::rank_text(low, high);
}

std::map<std::string, int> kind_counts(const formats::LoraFile& lora) {
  std::map<std::string, int> counts;
  for (const auto& entry : lora.entries) ++counts[std::string(formats::adapter_kind_name(entry.kind))];
  return counts;
}

ordered_json module_json(const formats::LoraEntry& entry) {
  ordered_json parts = ordered_json::object();
  for (const auto& [name, view] : entry.parts)
    parts[name] = {{"type", weights::dtype_name(view.dtype)}, {"shape", view.shape}};
  ordered_json module = {{"module", entry.module},
                         {"component", formats::component_name(entry.component)},
                         {"kind", formats::adapter_kind_name(entry.kind)},
                         {"rank", entry.rank}};
  if (entry.alpha) module["alpha"] = *entry.alpha;
  module["parts"] = std::move(parts);
  return module;
}

ordered_json inspect_json(const formats::LoraFile& lora) {
  auto modules = ordered_json::array(), skipped = ordered_json::array(), embeddings = ordered_json::array();
  for (const auto& embedding : lora.embeddings) {
    auto shapes = ordered_json::object();
    for (const auto& [component, view] : embedding.vectors.of)
      shapes[std::string(formats::component_name(component))] = view.shape;
    embeddings.push_back({{"name", embedding.name},
                          {"shape", embedding.vectors.of.begin()->second.shape},
                          {"shapes", std::move(shapes)}});
  }
  for (const auto& entry : lora.entries) modules.push_back(module_json(entry));
  for (const auto& s : lora.skipped)
    skipped.push_back({{"module", s.module}, {"keys", s.keys}, {"reason", s.reason}});
  return {{"path", lora.path.string()},
          {"name", lora.name},
          {"alias", lora.alias},
          {"base_model", formats::family_name(lora.base_model)},
          {"base_model_reason", lora.base_model_reason},
          {"short_hash", formats::lora_short_hash(*lora.file)},
          {"kinds", kind_counts(lora)},
          {"rank", rank_of(lora)},
          {"modules", modules},
          {"embeddings", embeddings},
          {"skipped", skipped},
          {"unusable", formats::unusable_reason(lora)},
          {"notes", lora.notes},
          {"unknown", lora.unknown},
          {"metadata", lora.file->metadata()}};
}

// How many modules of each kind, rank and alpha.
void print_summary(const formats::LoraFile& lora) {
  std::map<std::vector<std::string>, int> groups;
  for (const auto& entry : lora.entries) {
    const std::string type =
        entry.parts.empty() ? "" : std::string(weights::dtype_name(entry.parts.rbegin()->second.dtype));
    ++groups[{std::string(formats::component_name(entry.component)),
              std::string(formats::adapter_kind_name(entry.kind)),
              entry.rank > 0 ? fmt::format("{}", entry.rank) : "",
              entry.alpha ? fmt::format("{:g}", *entry.alpha) : "= rank", type}];
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [group, count] : groups) {
    rows.push_back(group);
    rows.back().push_back(std::to_string(count));
  }
  fmt::print("{}", text_table({"PART", "KIND", "RANK", "ALPHA", "TYPE", "MODULES"}, std::move(rows)));
}

void print_modules(const formats::LoraFile& lora) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& entry : lora.entries) {
    std::vector<std::string> parts;
    for (const auto& [name, view] : entry.parts)
      parts.push_back(fmt::format("{} {}", name, weights::shape_text(view.shape)));
    rows.push_back({entry.module, std::string(formats::adapter_kind_name(entry.kind)),
                    fmt::format("{}", entry.rank), fmt::format("{}", fmt::join(parts, ", "))});
  }
  fmt::print("{}", text_table({"MODULE", "KIND", "RANK", "TENSORS"}, std::move(rows)));
}

}  // namespace

int lora_inspect(const Invocation& invocation) {
  const auto lora = formats::glimpse_lora(find_file(invocation));
  if (invocation.has("json")) {
    print_json(inspect_json(lora));
    return 0;
  }
  fmt::print("{}\n{}, {} modules, AutoV3 {}\n\n", lora.path.string(),
             size_text(lora.file->file_bytes().size()), lora.entries.size(),
             formats::lora_short_hash(*lora.file));
  fmt::print("base model: {} ({})\n\n", formats::family_name(lora.base_model), lora.base_model_reason);
  if (const auto reason = formats::unusable_reason(lora); !reason.empty())
    fmt::print("unusable: {}\n", printable(reason));
  if (invocation.has("all")) {
    print_modules(lora);
  } else {
    print_summary(lora);
  }
  for (const auto& embedding : lora.embeddings) {
    std::vector<std::string> shapes;
    for (const auto& [component, view] : embedding.vectors.of)
      shapes.push_back(weights::shape_text(view.shape));
    fmt::print("embedding: {} {}, active where a prompt uses it\n", printable(embedding.name),
               fmt::join(shapes, " and "));
  }
  for (const auto& skipped : lora.skipped)
    fmt::print("skipped: {}: {} ({} keys)\n", printable(skipped.module), printable(skipped.reason),
               skipped.keys.size());
  for (const auto& note : lora.notes) fmt::print("note: {}\n", printable(note));
  for (const auto& key : lora.unknown) fmt::print("unknown: {}\n", printable(key));
  if (!lora.file->metadata().empty()) fmt::print("\nMetadata:\n");
  for (const auto& [key, value] : lora.file->metadata())
    fmt::print("  {}: {}{}\n", printable(key), printable(value.substr(0, 200)),
               value.size() > 200 ? " ..." : "");
  return 0;
}

}  // namespace lowrank::cli
