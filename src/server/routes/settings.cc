#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "base/loopback.h"
#include "server/http/json_body.h"
#include "server/http/refusal.h"
#include "server/options/option_table.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

// Loads the checkpoint that the options name, so that a picture asked for next need not wait for it.
void load_chosen(Services& services, const Call& call) {
  const auto entry = services.catalog.find_checkpoint(services.settings.text("sd_model_checkpoint"));
  const auto chosen = entry ? entry : services.catalog.default_checkpoint();
  if (!chosen) throw Refusal(422, "there is no checkpoint to load.");
  request::GenerationRequest request;
  request.checkpoint = chosen->path.string();
  const std::string vae = services.settings.text("sd_vae");
  if (const auto file = services.catalog.find_vae(vae)) request.vae = file->string();
  if (vae == "None") request.vae = vae;
  services.engine.load(request, call.is_client_gone);
}

// The name that an option is to have, if `changes` hold one: numbers and truth values become text, as in every
// text field.
std::optional<std::string> name_in(const RequestJson& changes, const char* option) {
  const auto found = changes.find(option);
  if (found == changes.end()) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  if (found->is_boolean()) return found->get<bool>() ? "True" : "False";
  return found->is_number() ? std::optional(found->dump()) : std::nullopt;
}

}  // namespace

ParameterRows option_parameters() {
  static const std::vector<ParameterRow> rows = [] {
    std::vector<ParameterRow> all;
    for (const OptionRow& row : option_table()) all.push_back(row.parameter);
    return all;
  }();
  return rows;
}

Reply get_options(Services& services, const Call&) {
  Json values = services.settings.all();
  // Until one is chosen, and when that one has gone, clients see the checkpoint that would be taken.
  auto chosen = services.catalog.find_checkpoint(values["sd_model_checkpoint"]);
  if (!chosen) chosen = services.catalog.default_checkpoint();
  if (chosen) {
    values["sd_model_checkpoint"] = chosen->title();
    values["sd_checkpoint_hash"] = chosen->sha256;
  }
  return json_reply(values);
}

Reply set_options(Services& services, const Call& call) {
  if (call.body.empty()) refuse_field("", "field required", "value_error.missing");
  RequestJson changes = parse_json(call.body);
  if (!changes.is_object()) refuse_field("", "value is not a valid dict", "type_error.dict");
  bool loads = false;
  if (const auto model = name_in(changes, "sd_model_checkpoint"); model && !model->empty()) {
    const auto entry = services.catalog.find_checkpoint(*model);
    if (!entry) throw Refusal(422, fmt::format("model '{}' not found", model->substr(0, 500)));
    // The name alone is kept: the title changes when the hash becomes known.
    changes["sd_model_checkpoint"] = entry->model_name;
    loads = services.engine.resident() != entry->path.string();
  }
  const auto vae = name_in(changes, "sd_vae");
  if (vae && *vae != "Automatic" && *vae != "None" && !services.catalog.find_vae(*vae))
    refuse_field("sd_vae", fmt::format("VAE '{}' not found", vae->substr(0, 500)));
  services.settings.set(changes);
  if (loads) load_chosen(services, call);
  return json_reply(nullptr);
}

Reply cmd_flags(Services& services, const Call&) {
  const ServerOptions& options = services.options;
  const request::ServeOptions& o = options.serve;
  const auto& data = services.catalog.data();
  return json_reply(
      {{"api", true},
       {"listen", !is_loopback(o.address)},
       {"server_name", o.address},
       {"port", o.port},
       {"nowebui", o.has_no_page},
       {"api_auth", options.api_logins.empty() ? Json() : Json("set")},
       {"gradio_auth", options.page_logins.empty() ? Json() : Json("set")},
       {"cors_allow_origins", o.cors_origins.empty() ? Json() : Json(o.cors_origins)},
       {"cors_allow_origins_regex", o.cors_expression.empty() ? Json() : Json(o.cors_expression)},
       {"tls_certfile", o.certificate_file.empty() ? Json() : Json("set")},
       {"api_server_stop", o.may_be_stopped},
       {"data_dir", data.root.string()},
       {"ckpt_dir", data.checkpoints().string()},
       {"lora_dir", data.loras().string()},
       {"vae_dir", data.vaes().string()},
       {"embeddings_dir", data.embeddings().string()},
       {"styles_file", data.styles().string()},
       {"threads", options.threads}});
}

Reply unload_checkpoint(Services& services, const Call& call) {
  services.engine.unload(call.is_client_gone);
  return json_reply(Json::object());
}

Reply reload_checkpoint(Services& services, const Call& call) {
  load_chosen(services, call);
  return json_reply(Json::object());
}

}  // namespace lowrank::server
