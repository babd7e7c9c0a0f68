#include <algorithm>

#include "base/error.h"
#include "formats/embedding_file.h"
#include "prompt/styles.h"
#include "sampling/sampler_table.h"
#include "sampling/schedules.h"
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
  for (const char* name : {"Latent", "Latent (antialiased)", "Latent (bicubic)",
                           "Latent (bicubic antialiased)", "Latent (nearest)", "Latent (nearest-exact)"})
    list.push_back({{"name", name}});
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

Reply embeddings(Services& services, const Call&) {
  namespace fs = std::filesystem;
  Json loaded = Json::object(), skipped = Json::object();
  std::error_code failure;
  for (fs::recursive_directory_iterator
           it(services.catalog.data().embeddings(), fs::directory_options::follow_directory_symlink, failure),
       end;
       !failure && it != end; it.increment(failure)) {
    std::error_code ignored;
    if (it.depth() > 32) it.disable_recursion_pending();
    const std::string ending = it->path().extension().string();
    if (!it->is_regular_file(ignored) ||
        (ending != ".safetensors" && ending != ".pt" && ending != ".bin" && ending != ".ckpt"))
      continue;
    const std::string name = it->path().stem().string();
    Json entry = {{"step", nullptr},
                  {"sd_checkpoint", nullptr},
                  {"sd_checkpoint_name", nullptr},
                  {"shape", 0},
                  {"vectors", 0}};
    try {
      const auto file = formats::open_embedding(it->path());
      entry["vectors"] = file.vectors.shape.at(0);
      entry["shape"] = file.vectors.shape.at(1);
      // SD 1's text encoder is 768 wide; wider vectors belong to other families.
      (file.vectors.shape.at(1) <= 768 ? loaded : skipped)[name] = entry;
    } catch (const std::exception&) {
      skipped[name] = entry;
    }
  }
  return json_reply({{"loaded", loaded}, {"skipped", skipped}});
}

Reply scripts(Services&, const Call&) {
  return json_reply({{"txt2img", Json::array()}, {"img2img", Json::array()}});
}

// The other folders are looked at whenever they are asked about; there is nothing to forget.
Reply refresh(Services& services, const Call&) {
  services.collection.refresh();
  return json_reply(nullptr);
}

Reply controlnet_models(Services&, const Call&) {
  return json_reply({{"model_list", Json::array()}});
}

Reply controlnet_modules(Services&, const Call&) {
  return json_reply({{"module_list", Json::array({"none"})}, {"module_detail", Json::object()}});
}

}  // namespace lowrank::server
