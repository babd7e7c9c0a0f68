// `lowrank lora list`, `lora show`, `lora inspect`: the collection, what a LoRA is for, and what its file
// holds.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/parallel.h"
#include "cli/help.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/text_table.h"
#include "formats/lora_file.h"
#include "library/data_dir.h"
#include "library/lora_card.h"
#include "library/lora_folder.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string_view base_name(formats::BaseModel base) {
  switch (base) {
    case formats::BaseModel::kSd1:
      return "SD 1.x";
    case formats::BaseModel::kSd2:
      return "SD 2.x";
    case formats::BaseModel::kSdxl:
      return "SDXL";
    case formats::BaseModel::kOther:
      break;
  }
  return "other";
}

// "4", "4 to 16", or "" for kinds without a rank.
std::string rank_text(const formats::LoraFile& lora) {
  std::int64_t low = 0, high = 0;
  for (const auto& entry : lora.entries) {
    if (entry.rank == 0) continue;
    low = low == 0 ? entry.rank : std::min(low, entry.rank);
    high = std::max(high, entry.rank);
  }
  if (high == 0) return "";
  return low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
}

std::map<std::string, int> kind_counts(const formats::LoraFile& lora) {
  std::map<std::string, int> counts;
  for (const auto& entry : lora.entries) ++counts[std::string(formats::adapter_kind_name(entry.kind))];
  return counts;
}

std::string kinds_text(const formats::LoraFile& lora) {
  std::vector<std::string> kinds;
  for (const auto& [kind, count] : kind_counts(lora)) kinds.push_back(kind);
  return fmt::format("{}", fmt::join(kinds, "+"));
}

int modules_in(const formats::LoraFile& lora, formats::Component component) {
  return static_cast<int>(std::ranges::count(lora.entries, component, &formats::LoraEntry::component));
}

fs::path find_lora(const Invocation& invocation) {
  const std::string& name = invocation.places.front();
  const auto folder = library::LoraFolder::scan(library::find_data_dir(invocation.value("data-dir")));
  if (const auto path = folder.find(name)) return *path;
  std::error_code failure;
  if (fs::is_regular_file(name, failure)) return name;
  return folder.resolve(name);
}

// One line of the list; the file is opened for its keys, not for its tensors.
struct Listed {
  std::string error;
  std::string kinds, rank, base, trigger;
  std::uint64_t bytes = 0;
};

Listed look_at(const fs::path& path) {
  Listed listed;
  std::error_code failure;
  listed.bytes = fs::file_size(path, failure);
  try {
    const auto lora = formats::open_lora(path);
    listed.kinds = kinds_text(lora);
    listed.rank = rank_text(lora);
    listed.base = base_name(lora.base_model);
    listed.trigger = library::short_trigger(library::read_lora_card(path, lora.file->metadata()));
  } catch (const Error& error) {
    listed.error = error.what();
  }
  return listed;
}

void print_list(const library::LoraFolder& folder, const std::vector<Listed>& listed) {
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const auto& place = folder.files()[i];
    const auto& l = listed[i];
    const std::string name =
        place.alias == place.name ? place.relative : fmt::format("{} ({})", place.relative, place.alias);
    rows.push_back({name, l.error.empty() ? l.kinds : "unusable", l.rank, l.base, size_text(l.bytes),
                    l.error.empty() ? l.trigger : l.error});
  }
  fmt::print("{}", text_table({"NAME", "KIND", "RANK", "BASE", "SIZE", "TRIGGER"}, std::move(rows)));
  for (const auto& name : folder.duplicates())
    fmt::print(stderr,
               "warning: several files are called '{}'; <lora:{}:1> takes {}. Write folder/name to choose "
               "another.\n",
               name, name, folder.find(name)->string());
}

ordered_json list_json(const library::LoraFolder& folder, const std::vector<Listed>& listed) {
  auto loras = ordered_json::array();
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const auto& place = folder.files()[i];
    ordered_json entry = {{"name", place.name},
                          {"alias", place.alias},
                          {"relative", place.relative},
                          {"path", place.path.string()},
                          {"bytes", listed[i].bytes}};
    if (listed[i].error.empty()) {
      entry.update({{"kind", listed[i].kinds},
                    {"rank", listed[i].rank},
                    {"base_model", listed[i].base},
                    {"trigger", listed[i].trigger}});
    } else {
      entry["error"] = listed[i].error;
    }
    loras.push_back(std::move(entry));
  }
  return loras;
}

void print_field(std::string_view label, const std::string& value) {
  if (!value.empty()) fmt::print("{:<16} {}\n", label, wrap(printable(value), terminal_width(), 17));
}

std::string joined_tags(const library::LoraCard& card) {
  std::vector<std::string> words;
  for (const auto& [tag, count] : card.tags)
    if (words.size() < 20) words.push_back(fmt::format("{} ({})", tag, count));
  return fmt::format("{}{}", fmt::join(words, ", "), card.tags.size() > words.size() ? " ..." : "");
}

std::string weight_text(double weight) {
  return weight == 0 ? "1" : fmt::format("{}", weight);
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
  auto modules = ordered_json::array(), skipped = ordered_json::array();
  for (const auto& entry : lora.entries) modules.push_back(module_json(entry));
  for (const auto& s : lora.skipped)
    skipped.push_back({{"module", s.module}, {"keys", s.keys}, {"reason", s.reason}});
  return {{"path", lora.path.string()},
          {"name", lora.name},
          {"alias", lora.alias},
          {"base_model", base_name(lora.base_model)},
          {"base_model_reason", lora.base_model_reason},
          {"short_hash", formats::lora_short_hash(*lora.file)},
          {"kinds", kind_counts(lora)},
          {"rank", rank_text(lora)},
          {"modules", modules},
          {"skipped", skipped},
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

int lora_list(const Invocation& invocation) {
  const auto data = library::find_data_dir(invocation.value("data-dir"));
  const auto folder = library::LoraFolder::scan(data);
  if (invocation.has("names")) {
    for (const auto& place : folder.files()) fmt::print("{}\n", printable(place.name));
    return 0;
  }
  std::vector<Listed> listed(folder.files().size());
  parallel_for(static_cast<std::int64_t>(listed.size()), 0, [&](std::int64_t i) {
    listed[static_cast<std::size_t>(i)] = look_at(folder.files()[static_cast<std::size_t>(i)].path);
  });
  if (invocation.has("json")) {
    print_json({{"data_dir", data.root.string()},
                {"loras", list_json(folder, listed)},
                {"duplicates", folder.duplicates()}});
  } else if (listed.empty()) {
    fmt::print("There is no LoRA in {}; put .safetensors files there.\n", data.loras().string());
  } else {
    print_list(folder, listed);
  }
  return 0;
}

int lora_show(const Invocation& invocation) {
  const fs::path path = find_lora(invocation);
  const auto lora = formats::open_lora(path);
  const auto& metadata = lora.file->metadata();
  const auto card = library::read_lora_card(path, metadata);
  const std::string tag = fmt::format("<lora:{}:{}>", lora.name, weight_text(card.preferred_weight));
  const auto fact = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() || found->second == "None" ? std::string() : found->second;
  };
  if (invocation.has("json")) {
    print_json({{"name", lora.name},
                {"alias", lora.alias},
                {"path", path.string()},
                {"tag", tag},
                {"kind", kinds_text(lora)},
                {"rank", rank_text(lora)},
                {"base_model", base_name(lora.base_model)},
                {"base_model_reason", lora.base_model_reason},
                {"activation_text", card.activation_text},
                {"negative_text", card.negative_text},
                {"trigger_words", card.trigger_words},
                {"preferred_weight", card.preferred_weight},
                {"description", card.description},
                {"preview", card.preview.string()},
                {"tags", card.tags},
                {"notes", card.notes},
                {"metadata", metadata}});
    return 0;
  }
  print_field("LoRA",
              lora.alias == lora.name ? lora.name : fmt::format("{} (alias {})", lora.name, lora.alias));
  print_field("in a prompt", card.activation_text.empty() ? tag : tag + " " + card.activation_text);
  print_field("trigger words", fmt::format("{}", fmt::join(card.trigger_words, ", ")));
  print_field("negative text", card.negative_text);
  print_field("description", card.description);
  const std::string rank = rank_text(lora);
  print_field("kind", rank.empty() ? kinds_text(lora) : fmt::format("{}, rank {}", kinds_text(lora), rank));
  print_field("base model", fmt::format("{} ({})", base_name(lora.base_model), lora.base_model_reason));
  print_field("modules", fmt::format("{} of the U-Net, {} of the text encoder",
                                     modules_in(lora, formats::Component::kUnet),
                                     modules_in(lora, formats::Component::kTextEncoder)));
  print_field("trained on", fact("ss_sd_model_name"));
  print_field("training", fmt::format("{}{}", fact("ss_steps").empty() ? "" : fact("ss_steps") + " steps",
                                      fact("ss_num_train_images").empty()
                                          ? ""
                                          : " on " + fact("ss_num_train_images") + " pictures"));
  print_field("caption tags", joined_tags(card));
  print_field("comment", fact("ss_training_comment"));
  print_field("preview", card.preview.string());
  std::error_code failure;
  print_field("file", fmt::format("{}, {}", path.string(), size_text(fs::file_size(path, failure))));
  for (const auto& note : card.notes) fmt::print(stderr, "warning: {}\n", note);
  return 0;
}

int lora_inspect(const Invocation& invocation) {
  const auto lora = formats::open_lora(find_lora(invocation));
  if (invocation.has("json")) {
    print_json(inspect_json(lora));
    return 0;
  }
  fmt::print("{}\n{}, {} modules, AutoV3 {}\n\n", lora.path.string(),
             size_text(lora.file->file_bytes().size()), lora.entries.size(),
             formats::lora_short_hash(*lora.file));
  fmt::print("base model: {} ({})\n\n", base_name(lora.base_model), lora.base_model_reason);
  if (invocation.has("all")) {
    print_modules(lora);
  } else {
    print_summary(lora);
  }
  for (const auto& skipped : lora.skipped)
    fmt::print("skipped: {}: {} ({} keys)\n", printable(skipped.module), printable(skipped.reason),
               skipped.keys.size());
  for (const auto& key : lora.unknown) fmt::print("unknown: {}\n", printable(key));
  if (!lora.file->metadata().empty()) fmt::print("\nMetadata:\n");
  for (const auto& [key, value] : lora.file->metadata())
    fmt::print("  {}: {}{}\n", printable(key), printable(value.substr(0, 200)),
               value.size() > 200 ? " ..." : "");
  return 0;
}

}  // namespace lowrank::cli
