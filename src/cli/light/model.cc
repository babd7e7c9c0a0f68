// `lowrank model list`, `model inspect` and `model subfamily`: what checkpoints are there, what one holds, and whose offspring it
// is.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/invocation.h"
#include "cli/light/commands.h"
#include "cli/light/json_text.h"
#include "cli/light/library_command.h"
#include "cli/text_table.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/partial_checkpoint.h"
#include "formats/lora/lora_family.h"
#include "formats/native_size.h"
#include "formats/subfamily.h"
#include "library/data_dir.h"
#include "library/library.h"
#include "library/misplaced_models.h"
#include "library/sidecar/card_edit.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

std::uint64_t bytes_of(const formats::Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const auto& file : checkpoint.files) bytes += file->file_bytes().size();
  return bytes;
}

std::vector<std::string> notes_of(const formats::Checkpoint& checkpoint) {
  std::vector<std::string> notes;
  for (const auto& file : checkpoint.files)
    notes.insert(notes.end(), file->notes().begin(), file->notes().end());
  return notes;
}

std::string file_date(const fs::path& path) {
  std::error_code failure;
  const auto time = fs::last_write_time(path, failure);
  if (failure) return "";
  return date_text(std::chrono::system_clock::to_time_t(std::chrono::file_clock::to_sys(time)));
}

struct Part {
  std::string_view name;
  const formats::ParameterViews* views;
};

std::vector<Part> parts_of(const formats::Checkpoint& checkpoint) {
  std::vector<Part> parts;
  for (const auto& [component, views] : checkpoint.parts)
    if (!views.empty()) parts.push_back({formats::component_name(component), &views});
  return parts;
}

std::uint64_t parameters_of(const formats::ParameterViews& views) {
  std::uint64_t count = 0;
  for (const auto& [name, view] : views) count += static_cast<std::uint64_t>(view.elements());
  return count;
}

std::string types_of(const formats::ParameterViews& views) {
  std::set<std::string_view> types;
  for (const auto& [name, view] : views) types.insert(weights::dtype_name(view.dtype));
  return fmt::format("{}", fmt::join(types, ", "));
}

std::vector<std::string> names_of(std::span<const formats::Component> components) {
  std::vector<std::string> names;
  for (const auto component : components) names.emplace_back(formats::component_name(component));
  return names;
}

std::string million(std::uint64_t count) {
  return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
}

std::int64_t width_of(const formats::ParameterViews& views, std::string_view name, std::size_t dimension) {
  const auto found = views.find(name);
  return found == views.end() || found->second.shape.size() <= dimension ? 0 : found->second.shape[dimension];
}

// What the collection knows of its checkpoints; the starter and files from elsewhere are none of it. What stands in the files
// themselves is shown without an index too.
std::map<fs::path, library::Record> records_of(const Invocation& invocation) {
  try {
    return open_library(invocation).checkpoint_records();
  } catch (const Error& error) {
    log_line(stderr, "warning: subfamilies are not shown: {}\n", printable(error.what()));
    return {};
  }
}

}  // namespace

int model_list(const Invocation& invocation) {
  const auto data = library::find_data_dir(invocation.value("data-dir"));
  if (invocation.has("names")) {
    for (const auto& file : library::all_checkpoints(data))
      fmt::print("{}\n", printable(library::checkpoint_name(file)));
    return 0;
  }
  for (const std::string& problem : library::unreadable_folders(data))
    log_line(stderr, "warning: {}\n", printable(problem));
  const auto chosen = library::default_checkpoint(data);
  const auto records = records_of(invocation);
  std::vector<std::vector<std::string>> rows;
  auto list = nlohmann::ordered_json::array();
  for (const auto& file : library::all_checkpoints(data)) {
    const std::string is_default = file == chosen ? "*" : "";
    nlohmann::ordered_json entry = {
        {"name", library::checkpoint_name(file)}, {"path", file.string()}, {"default", file == chosen}};
    try {
      const auto checkpoint = formats::open_checkpoint(file);
      const std::string layout =
          checkpoint.layout == formats::Layout::kSingleFile ? "single file" : "diffusers folder";
      const auto record = records.find(library::where_is(file));
      const std::string subfamily = record == records.end() ? "" : record->second.subfamily;
      entry.update({{"base_model", formats::family_name(checkpoint.base_model)},
                    {"subfamily", subfamily},
                    {"native_size", formats::native_size(checkpoint)},
                    {"layout", layout},
                    {"bytes", bytes_of(checkpoint)}});
      const std::string_view family = formats::family_name(checkpoint.base_model);
      rows.push_back({is_default, library::checkpoint_name(file),
                      subfamily.empty() ? std::string(family) : fmt::format("{} ({})", family, subfamily),
                      size_text(bytes_of(checkpoint)), types_of(checkpoint[formats::Component::kUnet]),
                      file_date(file), file.string()});
    } catch (const Error& error) {
      entry["error"] = error.what();
      rows.push_back(
          {is_default, library::checkpoint_name(file), "unusable", "", "", file_date(file), error.what()});
    }
    list.push_back(std::move(entry));
  }
  const std::string notice = library::default_checkpoint_notice(data, chosen);
  if (!notice.empty()) log_line(stderr, "warning: {}\n", printable(notice));
  if (invocation.has("json")) {
    print_json({{"data_dir", data.root.string()}, {"models", list}});
  } else if (rows.empty()) {
    fmt::print("No checkpoint in {}; put a Stable Diffusion checkpoint there.\n",
               data.checkpoints().string());
  } else {
    fmt::print("{}", text_table({"", "NAME", "BASE", "SIZE", "TYPE", "DATE", "FILE"}, std::move(rows)));
  }
  return 0;
}

int model_inspect(const Invocation& invocation) {
  const auto data = library::find_data_dir(invocation.value("data-dir"));
  const fs::path file = find_model(data, invocation.positionals.front());
  const auto checkpoint = formats::open_parts(file);
  const std::vector<formats::Component> missing = formats::missing_components(checkpoint);
  const std::int64_t width = width_of(checkpoint[formats::Component::kUnet], "input_blocks.0.0.weight", 0);
  const std::int64_t text_width =
      width_of(checkpoint[formats::Component::kTextEncoder], "embeddings.token_embedding.weight", 1);
  const auto& [zero_terminal_snr, flow_shift, rule] = checkpoint.prediction_details;
  const std::string_view prediction = formats::prediction_name(checkpoint.prediction);
  const std::string layout =
      checkpoint.layout == formats::Layout::kSingleFile ? "single file" : "diffusers folder";
  const auto records = records_of(invocation);
  const auto found = records.find(library::where_is(file));
  const library::Record record = found == records.end() ? library::Record{} : found->second;
  if (invocation.has("json")) {
    auto parts = nlohmann::ordered_json::object();
    for (const auto& part : parts_of(checkpoint))
      parts[std::string(part.name)] = {{"tensors", part.views->size()},
                                       {"parameters", parameters_of(*part.views)},
                                       {"types", types_of(*part.views)}};
    print_json({{"path", file.string()},
                {"base_model", formats::family_name(checkpoint.base_model)},
                {"subfamily", record.subfamily},
                {"subfamily_reason", record.subfamily_reason},
                {"subfamily_conflict", record.subfamily_conflict},
                {"native_size", formats::native_size(checkpoint)},
                {"layout", layout},
                {"bytes", bytes_of(checkpoint)},
                {"prediction", prediction},
                {"prediction_rule", rule},
                {"zero_terminal_snr", zero_terminal_snr},
                {"unet_width", width},
                {"text_width", text_width},
                {"parts", parts},
                {"missing", names_of(missing)},
                {"unused", checkpoint.unused},
                {"notes", notes_of(checkpoint)},
                {"metadata", checkpoint.metadata}});
    return 0;
  }
  fmt::print("{}\n{}, {}, {}, {} prediction{}{}\n", file.string(),
             formats::family_name(checkpoint.base_model), layout, size_text(bytes_of(checkpoint)), prediction,
             zero_terminal_snr ? " with zero terminal SNR" : "",
             rule.empty() ? "" : fmt::format(" (by {})", printable(rule)));
  if (const std::string words = subfamily_words(record); !words.empty())
    fmt::print("subfamily: {}\n", printable(words));
  if (const auto* row = formats::subfamily_named(record.subfamily); row != nullptr && !row->usual.empty())
    fmt::print("usual: {}\n", row->usual);
  fmt::print("draws {0} x {0} pixels\n", formats::native_size(checkpoint));
  if (width > 0 && text_width > 0)
    fmt::print("U-Net width {} at the top level, text encoder width {}\n", width, text_width);
  std::vector<std::vector<std::string>> rows;
  for (const auto& part : parts_of(checkpoint))
    rows.push_back({std::string(part.name), std::to_string(part.views->size()),
                    million(parameters_of(*part.views)), types_of(*part.views)});
  fmt::print("\n{}", text_table({"PART", "TENSORS", "PARAMETERS", "TYPE"}, std::move(rows)));
  if (!missing.empty())
    fmt::print("\nMissing: {}; {}\n", fmt::join(names_of(missing), ", "),
               missing == std::vector{formats::Component::kVae}
                   ? "it draws with another VAE of its family (--vae)."
                   : "it cannot draw without, choose the whole checkpoint.");
  if (!checkpoint.unused.empty())
    fmt::print("\n{} keys are unused: {}{}\n", checkpoint.unused.size(), printable(checkpoint.unused.front()),
               checkpoint.unused.size() > 1 ? " ..." : "");
  for (const auto& note : notes_of(checkpoint)) fmt::print("note: {}\n", printable(note));
  if (!checkpoint.metadata.empty()) fmt::print("\nMetadata:\n");
  for (const auto& [key, value] : checkpoint.metadata)
    fmt::print("  {}: {}\n", printable(key), printable(value.substr(0, 300)));
  return 0;
}

int model_subfamily(const Invocation& invocation) {
  auto library = open_library(invocation);
  const fs::path file = find_model(library.data(), invocation.positionals.front());
  const auto record = library.checkpoint_record(file);
  if (!record)
    throw Error(kBadInput, "{}: is not in the collection; copy it to {} to say what it is.", file.string(),
                library.data().checkpoints().string());
  const fs::path written =
      library::edit_card(library.path_of(*record), {.subfamily = asked_subfamily(invocation.positionals[1])},
                         library.overlay_of(*record));
  library.reread(*record);
  const auto after = library.find_id(record->id).value_or(*record);
  if (invocation.has("json")) {
    print_json({{"path", file.string()},
                {"subfamily", after.subfamily},
                {"subfamily_reason", after.subfamily_reason},
                {"subfamily_conflict", after.subfamily_conflict},
                {"written", written.string()}});
    return 0;
  }
  const std::string words = subfamily_words(after);
  fmt::print("{}: written to {}\n  subfamily      {}\n", printable(library::checkpoint_name(file)),
             written.string(), words.empty() ? "none" : printable(words));
  return 0;
}

}  // namespace lowrank::cli
