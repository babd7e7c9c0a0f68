#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/text/text.h"
#include "formats/embedding_file.h"
#include "library/library.h"
#include "pipeline/generate/hires.h"
#include "prompt/styles.h"
#include "sampling/sampler_table.h"
#include "sampling/schedules.h"
#include "server/requests/series_scripts.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

// Schedules that A1111 makes from the model's own noise table.
bool needs_inner_model(std::string_view name) {
  for (const std::string_view known : {"uniform", "sgm_uniform", "simple", "normal", "ddim", "beta"})
    if (name == known) return true;
  return false;
}

}  // namespace

std::optional<formats::TextWidths> text_encoder_widths(Services& services) {
  const auto chosen = services.catalog.find_checkpoint(services.settings.text("sd_model_checkpoint"));
  const auto checkpoint = chosen ? chosen : services.catalog.default_checkpoint();
  if (!checkpoint) return std::nullopt;
  try {
    const auto fit = services.library_service.with(
        [&](const library::Library& library) { return library.fit_of(checkpoint->path); });
    return fit.text_widths.empty() ? std::nullopt : std::optional(fit.text_widths);
  } catch (const Error&) {
    return std::nullopt;  // whoever draws with it is told why
  }
}

Reply sd_models(Services& services, const Call&) {
  Json list = Json::array();
  for (const auto& entry : services.catalog.checkpoints())
    list.push_back({{"title", entry.title()},
                    {"model_name", entry.model_name},
                    {"hash", entry.sha256.empty() ? Json() : Json(entry.short_hash())},
                    {"sha256", entry.sha256.empty() ? Json() : Json(entry.sha256)},
                    {"filename", entry.path.string()},
                    {"config", nullptr},
                    {"name", entry.model_name}});
  return json_reply(list);
}

Reply sd_vaes(Services& services, const Call&) {
  Json list = Json::array();
  for (const auto& file : services.catalog.vaes())
    list.push_back({{"model_name", file.filename().string()}, {"filename", file.string()}});
  return json_reply(list);
}

Reply samplers(Services&, const Call&) {
  Json list = Json::array();
  for (const auto& row : sampling::sampler_table()) {
    Json aliases = Json::array(), options = Json::object();
    for (const auto alias : row.aliases)
      if (!alias.empty()) aliases.push_back(alias);
    if (!row.schedule.empty()) options["scheduler"] = row.schedule;
    if (row.discard_next_to_last_sigma) options["discard_next_to_last_sigma"] = "True";
    if (row.uses_ensd) options["uses_ensd"] = "True";
    if (row.second_order) options["second_order"] = "True";
    if (row.brownian) options["brownian_noise"] = "True";
    if (row.label == "DPM++ 2M SDE Heun") options["solver_type"] = "heun";
    list.push_back({{"name", row.label}, {"aliases", aliases}, {"options", options}});
  }
  return json_reply(list);
}

Reply schedulers(Services&, const Call&) {
  Json list = Json::array();
  for (const auto& row : sampling::schedule_table()) {
    Json aliases = nullptr;
    if (!row.alias.empty()) aliases = Json::array({row.alias});
    list.push_back({{"name", row.name},
                    {"label", row.label},
                    {"aliases", aliases},
                    {"default_rho", row.default_rho == 0 ? -1.0 : row.default_rho},
                    {"need_inner_model", needs_inner_model(row.name)}});
  }
  return json_reply(list);
}

Reply upscalers(Services& services, const Call&) {
  Json list = Json::array();
  for (const char* name : {"None", "Lanczos", "Nearest"})
    list.push_back({{"name", name},
                    {"model_name", nullptr},
                    {"model_path", nullptr},
                    {"model_url", nullptr},
                    {"scale", 4.0}});
  for (const auto& file : services.catalog.upscaler_files())
    list.push_back({{"name", file.stem().string()},
                    {"model_name", file.stem().string()},
                    {"model_path", file.string()},
                    {"model_url", nullptr},
                    {"scale", 4.0}});
  return json_reply(list);
}

Reply latent_upscale_modes(Services&, const Call&) {
  Json list = Json::array();
  for (const auto& row : pipeline::latent_upscale_modes()) list.push_back({{"name", row.name}});
  return json_reply(list);
}

Reply empty_list(Services&, const Call&) {
  return json_reply(Json::array());
}

Reply prompt_styles(Services& services, const Call&) {
  Json list = Json::array();
  for (const auto& style : prompt::read_styles(services.catalog.data().styles()))
    list.push_back(
        {{"name", style.name}, {"prompt", style.prompt}, {"negative_prompt", style.negative_prompt}});
  return json_reply(list);
}

// Those that fit the chosen checkpoint's text encoder, and the others with the reason.
Reply embeddings(Services& services, const Call&) {
  const auto entry = [](std::int64_t width, std::int64_t vectors) {
    return Json{{"step", nullptr},
                {"sd_checkpoint", nullptr},
                {"sd_checkpoint_name", nullptr},
                {"shape", width},
                {"vectors", vectors}};
  };
  Json loaded = Json::object(), skipped = Json::object();
  const auto folder = services.embeddings.fitting(text_encoder_widths(services));
  for (const auto& file : folder->usable) {
    std::int64_t width = 0;  // of SDXL's both, as A1111 counts
    for (const auto& [component, view] : file.vectors.of) width += view.shape.at(1);
    loaded[file.name] = entry(width, file.vectors.count());
  }
  for (const auto& [name, reason] : folder->unusable) {
    skipped[name] = entry(0, 0);
    skipped[name]["reason"] = reason;
  }
  return json_reply({{"loaded", loaded}, {"skipped", skipped}});
}

Reply scripts(Services&, const Call&) {
  Json names = Json::array();
  for (const ScriptRow& row : script_table()) names.push_back(lower(row.title));
  return json_reply({{"txt2img", names}, {"img2img", names}});
}

Reply script_infos(Services&, const Call&) {
  Json list = Json::array();
  for (const bool is_img2img : {false, true})
    for (const ScriptRow& row : script_table()) list.push_back(script_info(row, is_img2img));
  return json_reply(list);
}

// The other folders are looked at whenever they are asked about; there is nothing to forget.
Reply refresh(Services& services, const Call&) {
  services.library_service.refresh();
  return json_reply(nullptr);
}

}  // namespace lowrank::server
