// What pictures are made with: the checkpoints that are there, what their cards say, and which one is taken.
#include <fmt/format.h>

#include <utility>

#include "base/error.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/lora/lora_family.h"
#include "formats/native_size.h"
#include "formats/subfamily.h"
#include "library/sidecar/card_edit.h"
#include "library/sidecar/checkpoint_card.h"
#include "server/http/refusal.h"
#include "server/routes/named_lora.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using library::Library;
using library::Record;

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json card_json(const CheckpointEntry& entry) {
  const auto card = library::read_checkpoint_card(entry.path);
  return {{"description", text_or_null(card.description)},
          {"notes", text_or_null(card.notes)},
          {"settings", card.settings.empty() ? Json() : Json::parse(card.settings)}};
}

constexpr ParameterRow kCheckpointEdit[] = {
    {.name = "subfamily",
     .type = ParameterType::kString,
     .help = "Pony, Illustrious, NoobAI …; none: plainly its family; \"\" detects it from the files",
     .max_length = 64},
};

// The starter and what else is in no index: as its file tells.
Record read_now(const CheckpointEntry& entry) {
  Record record;
  try {
    const auto checkpoint = formats::open_checkpoint(entry.path);
    record.architecture = formats::architecture_name(checkpoint.base_model);
    record.native_size = formats::native_size(checkpoint);
  } catch (const Error& error) {
    record.problem = error.what();
  }
  return record;
}

Json sizes_json(std::int64_t native) {
  Json list = Json::array();
  if (native > 0)
    for (const auto& [width, height] : formats::usual_sizes(static_cast<int>(native)))
      list.push_back({{"width", width}, {"height", height}});
  return list;
}

Json checkpoint_json(const library::DataDir& data, const CheckpointEntry& entry, const Record& record) {
  std::error_code failure;
  const auto* subfamily = formats::subfamily_named(record.subfamily);
  return {{"title", entry.title()},
          {"name", entry.model_name},
          {"is_starter", std::filesystem::equivalent(entry.path, data.starter_checkpoint(), failure)},
          {"problem", text_or_null(record.problem)},
          {"family", record.architecture.empty() ? "" : formats::family_name(record.architecture)},
          {"native_size", record.native_size},
          {"sizes", sizes_json(record.native_size)},
          {"subfamily", text_or_null(record.subfamily)},
          {"subfamily_origin", text_or_null(record.subfamily_origin)},
          {"subfamily_reason", record.subfamily_reason},
          {"subfamily_conflict", record.subfamily_conflict},
          {"usual", subfamily == nullptr ? "" : subfamily->usual},
          {"card", card_json(entry)}};
}

Json subfamilies_json() {
  Json list = Json::array();
  for (const auto& row : formats::subfamily_table())
    list.push_back({{"name", row.name}, {"family", formats::family(row.family)->name}, {"usual", row.usual}});
  return list;
}

}  // namespace

ParameterRows checkpoint_edit_parameters() {
  return kCheckpointEdit;
}

Reply checkpoint_list(Services& services, const Call&) {
  const auto records =
      services.library_service.with([](const Library& library) { return library.checkpoint_records(); });
  const auto& data = services.catalog.data();
  Json list = Json::array();
  for (const auto& entry : services.catalog.checkpoints()) {
    const auto record = records.find(library::where_is(entry.path));
    list.push_back(checkpoint_json(data, entry, record == records.end() ? read_now(entry) : record->second));
  }
  const std::string chosen = services.settings.text("sd_model_checkpoint");
  const auto found = services.catalog.find_checkpoint(chosen);
  const auto taken = found ? found : services.catalog.default_checkpoint();
  return json_reply(
      {{"checkpoints", std::move(list)},
       {"subfamilies", subfamilies_json()},
       {"folder", std::filesystem::absolute(data.checkpoints()).lexically_normal().string()},
       // What the settings name; null: nothing, the newest is taken. `taken` differs from it when that file has gone.
       {"chosen", text_or_null(chosen)},
       {"is_chosen_there", chosen.empty() || found.has_value()},
       {"taken", taken ? Json(taken->title()) : Json()},
       // Folders that cannot be read, and links that lead nowhere.
       {"problems", services.library_service.problems()}});
}

Reply checkpoint_edit(Services& services, const Call& call) {
  const auto entry = services.catalog.find_checkpoint(call.at("name"));
  if (!entry) throw Refusal(404, fmt::format("no checkpoint named '{}'.", call.at("name").substr(0, 200)));
  const Json body = read_body(kCheckpointEdit, call.body);
  const auto& asked = body.at("subfamily");
  library::CardEdit edit;
  if (asked.is_string()) edit.subfamily = subfamily_in(asked.get<std::string>());
  const auto [record, overlay] = services.library_service.with([&](const Library& library) {
    auto found = library.checkpoint_record(entry->path);
    if (!found)
      throw Refusal(409,
                    "this checkpoint is part of the starter model; copy it to models/Stable-diffusion to "
                    "change its card.");
    auto beside = library.overlay_of(*found);
    return std::pair{std::move(*found), std::move(beside)};
  });
  library::edit_card(entry->path, edit, overlay);
  const auto after = services.library_service.with([&, id = record.id](Library& library) {
    if (const auto known = library.find_id(id)) library.reread(*known);
    return library.find_id(id);
  });
  if (!after) throw Refusal(404, "the checkpoint has been removed.");
  return json_reply(checkpoint_json(services.catalog.data(), *entry, *after));
}

}  // namespace lowrank::server
