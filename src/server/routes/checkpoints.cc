// What pictures are made with: the checkpoints that are there, what their cards say, and which one is taken.
#include <map>

#include "library/sidecar/checkpoint_card.h"
#include "server/http/refusal.h"
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

// Why files cannot be drawn with, by their paths, as the index knows it.
std::map<std::filesystem::path, std::string> problems_of(Services& services) {
  return services.library_service.with([](const Library& library) {
    std::map<std::filesystem::path, std::string> problems;
    for (const Record& record : library.find({.kind = "checkpoint"}))
      if (!record.problem.empty())
        problems[std::filesystem::absolute(library.path_of(record)).lexically_normal()] = record.problem;
    return problems;
  });
}

}  // namespace

Reply checkpoint_list(Services& services, const Call&) {
  const auto problems = problems_of(services);
  const auto& data = services.catalog.data();
  std::error_code failure;
  Json list = Json::array();
  for (const auto& entry : services.catalog.checkpoints()) {
    const auto problem = problems.find(entry.path.lexically_normal());
    list.push_back(
        {{"title", entry.title()},
         {"name", entry.model_name},
         {"is_starter", std::filesystem::equivalent(entry.path, data.starter_checkpoint(), failure)},
         {"problem", problem == problems.end() ? Json() : Json(problem->second)},
         {"card", card_json(entry)}});
  }
  const std::string chosen = services.settings.text("sd_model_checkpoint");
  const auto found = services.catalog.find_checkpoint(chosen);
  const auto taken = found ? found : services.catalog.default_checkpoint();
  return json_reply(
      {{"checkpoints", std::move(list)},
       {"folder", std::filesystem::absolute(data.checkpoints()).lexically_normal().string()},
       // What the settings name; null: nothing, the newest is taken. `taken` differs from it when that file has gone.
       {"chosen", text_or_null(chosen)},
       {"is_chosen_there", chosen.empty() || found.has_value()},
       {"taken", taken ? Json(taken->title()) : Json()},
       // Folders that cannot be read, and links that lead nowhere.
       {"problems", services.library_service.problems()}});
}

}  // namespace lowrank::server
