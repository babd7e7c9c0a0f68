#include "server/requests/generation_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <type_traits>
#include <variant>

#include "base/error.h"
#include "base/text/text.h"
#include "library/misplaced_models.h"
#include "library/near_names.h"
#include "prompt/generators/generators.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/styles.h"
#include "request/field_table.h"
#include "request/metadata.h"
#include "sampling/sampler_table.h"
#include "sampling/schedules.h"
#include "server/fields/generation_parameters.h"
#include "server/options/option_table.h"
#include "server/requests/always_on_scripts.h"
#include "server/requests/request_names.h"
#include "server/requests/request_picture.h"

namespace lowrank::server {
namespace {

using request::FieldRow;
using request::GenerationRequest;

bool given(const RequestJson& body, std::string_view name) {
  const auto found = body.find(name);
  return found != body.end() && !found->is_null();
}

std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return prompt::number_text(value.get<double>());
  return value.dump();
}

// The server's words for fields whose names here are not those of the field table, or whose meaning is wider.
bool is_read_apart(std::string_view name) {
  constexpr std::array<std::string_view, 14> kApart = {"styles",
                                                       "sampler_name",
                                                       "sampler_index",
                                                       "scheduler",
                                                       "width",
                                                       "height",
                                                       "sd_model_checkpoint",
                                                       "sd_vae",
                                                       "refiner_checkpoint",
                                                       "hr_checkpoint_name",
                                                       "hr_sampler_name",
                                                       "hr_scheduler",
                                                       "init_images",
                                                       "eta"};
  return std::ranges::find(kApart, name) != kApart.end();
}

// Fills the pipeline's request from a request's JSON, gathering faults.
class Reader {
 public:
  Reader(GenerationTask& task, const RequestJson& body, ModelCatalog& catalog,
         const UseLocalNames& use_local_names)
      : task_(task),
        request_(task.request),
        body_(body),
        catalog_(catalog),
        use_local_names_(use_local_names) {}

  void read() {
    apply_options();
    for (const auto& [name, value] : task_.parameters.items())
      if (!value.is_null() && !given(body_, name)) apply(name, value);
    apply_infotext();
    for (const auto& [name, value] : task_.parameters.items())
      if (!value.is_null() && given(body_, name)) apply(name, value);
    apply_sampler();
    apply_size();
    apply_files();
    apply_eta();
    apply_styles();
    apply_loras();
    faults_.throw_if_any();
  }

  // A script makes many requests of the one read so far.
  void apply_script(std::size_t most) {
    const bool is_img2img = task_.kind == GenerationKind::kImage;
    task_.script = read_script(task_.parameters, is_img2img, request_, most);
    if (task_.script) {
      resolve_names(catalog_, task_.script->series.requests, request_, task_.script->faults);
      for (const std::string& warning : task_.script->warnings) task_.warnings.push_back(warning);
      task_.compares = task_.script->series.grid && !given(body_, "allow_missing_loras");
      for (GenerationRequest& each : task_.script->series.requests) each.prompt += lora_tags_;
    }
    request_.prompt += lora_tags_;
  }

  void apply_pictures() {
    if (task_.kind == GenerationKind::kText) {
      if (const std::string first = parameter_text("firstpass_image"); !first.empty() && request_.enable_hr)
        request_.firstpass_image = request_picture(first, "firstpass_image");
      return;
    }
    const Json& images = parameter("init_images");
    if (!images.is_array() || images.empty()) throw Refusal(404, "Init image not found");
    for (const Json& image : images)
      request_.init_images.push_back(request_picture(image.get<std::string>(), "init_images"));
    if (const std::string mask = parameter_text("mask"); !mask.empty())
      request_.mask = request_mask(mask, "mask");
    if (const std::string mask = parameter_text("latent_mask"); !mask.empty())
      request_.latent_mask = request_mask(mask, "latent_mask");
  }

 private:
  const Json& parameter(const char* name) const { return task_.parameters.at(name); }
  std::string parameter_text(const char* name) const {
    const auto found = task_.parameters.find(name);
    return found != task_.parameters.end() && found->is_string() ? found->get<std::string>() : "";
  }

  void apply(const std::string& name, const Json& value) {
    const FieldRow* row = request::field_by_api(name);
    if (row == nullptr || is_read_apart(name)) return;
    try {
      request::set_field(request_, *row, text_of(value), name);
    } catch (const Error& error) {
      faults_.add("body", name, error.what(), "value_error");
    }
  }

  void apply_options() {
    for (const OptionRow& row : option_table()) {
      const std::string name(row.parameter.name);
      apply(name, task_.options.at(name));
    }
    if (task_.options.at("enable_emphasis") == false) request_.emphasis = "None";
  }

  void apply_infotext() {
    if (!given(body_, "infotext")) return;
    const prompt::PictureSettings settings =
        prompt::settings_of_text(parameter("infotext").get<std::string>());
    prompt::Infotext infotext = settings.infotext;
    if (!settings.is_understood) {
      faults_.add("body", "infotext", settings.notes.back(), "value_error");
      return;
    }
    if (use_local_names_) use_local_names_(infotext);
    for (const std::string& note : settings.notes)
      task_.warnings.push_back(fmt::format("the infotext: {}", note));
    if (settings.generator != "A1111")
      task_.warnings.push_back(fmt::format(
          "the infotext is from {}, whose pictures differ even with the same settings.", settings.generator));
    if (infotext.find("Seed") == nullptr && !given(body_, "seed"))
      task_.warnings.push_back("the infotext has no seed, so a random one is used.");
    GenerationRequest from = request_;
    try {
      for (const auto& label : request::apply_metadata(from, infotext))
        task_.warnings.push_back(
            fmt::format("the infotext's '{}' is not supported and has no effect.", label));
    } catch (const Error& error) {
      faults_.add("body", "infotext", error.what(), "value_error");
      return;
    }
    infotext_sampler_ = from.sampler;
    infotext_scheduler_ = from.scheduler;
    infotext_size_ = from.width > 0 && from.height > 0 && infotext.find("Size-1") != nullptr;
    if (infotext.find("Model") != nullptr && !task_.overrides.contains("sd_model_checkpoint"))
      infotext_model_ = from.checkpoint;
    const auto checkpoint = request_.checkpoint, vae = request_.vae;
    request_ = std::move(from);
    request_.checkpoint = checkpoint;
    request_.vae = vae;
  }

  void apply_sampler() {
    std::string name = parameter_text("sampler_name");
    if (name.empty() && given(body_, "sampler_index")) name = parameter_text("sampler_index");
    if (name.empty()) name = infotext_sampler_.empty() ? parameter_text("sampler_index") : infotext_sampler_;
    std::string schedule = parameter_text("scheduler");
    if (schedule.empty() || schedule == "automatic") schedule = "Automatic";
    if (!given(body_, "scheduler") && !infotext_scheduler_.empty()) schedule = infotext_scheduler_;
    check_sampler(name, schedule);
    request_.sampler = name;
    request_.scheduler = schedule;
    if (task_.kind == GenerationKind::kText) {
      request_.hr_sampler = without_placeholder(text_or("hr_sampler_name", request_.hr_sampler));
      request_.hr_scheduler = without_placeholder(text_or("hr_scheduler", request_.hr_scheduler));
      const std::string unknown = unknown_hr_sampler(request_);
      if (unknown.empty()) return;
      if (request_.enable_hr) throw Refusal(400, unknown);
      pass_over(unknown, "enable_hr");
      request_.hr_sampler.clear();
      request_.hr_scheduler.clear();
    }
  }

  void pass_over(const std::string& what, std::string_view needed) {
    task_.warnings.push_back(
        fmt::format("{}; the field was ignored, as it has no effect without {}.", what, needed));
  }

  void apply_size() {
    if (infotext_size_ && !given(body_, "width") && !given(body_, "height")) return;
    request_.width = parameter("width").get<int>() / 8 * 8;
    request_.height = parameter("height").get<int>() / 8 * 8;
  }

  // A field of the request, or what the infotext says where the field is not given.
  std::string text_or(const char* name, const std::string& infotext) const {
    return given(body_, name) || !given(body_, "infotext") ? parameter_text(name) : infotext;
  }

  void apply_files() {
    const std::string model = !infotext_model_.empty()
                                  ? infotext_model_
                                  : task_.options.at("sd_model_checkpoint").get<std::string>();
    // What was chosen once and has gone since keeps nobody from drawing; what this request asks for must be there.
    const bool is_setting = infotext_model_.empty() && !task_.overrides.contains("sd_model_checkpoint");
    const auto default_checkpoint = model.empty() || (is_setting && !catalog_.find_checkpoint(model))
                                        ? catalog_.default_checkpoint()
                                        : std::nullopt;
    if (!model.empty() && default_checkpoint) {
      request_.checkpoint = default_checkpoint->path.string();
      task_.warnings.push_back(fmt::format("the selected checkpoint '{}' no longer exists: {} was used.",
                                           model.substr(0, 200), default_checkpoint->model_name));
    } else if (!model.empty()) {
      request_.checkpoint = checkpoint_path(catalog_, model, "sd_model_checkpoint", Match::kExact, faults_);
    } else if (default_checkpoint) {
      request_.checkpoint = default_checkpoint->path.string();
      if (std::string notice = library::default_checkpoint_notice(catalog_.data(), default_checkpoint->path);
          !notice.empty())
        task_.warnings.push_back(std::move(notice));
    } else {
      throw Refusal(
          422, fmt::format("no checkpoint in {}; put one there.", catalog_.data().checkpoints().string()));
    }
    std::string vae = task_.options.at("sd_vae").get<std::string>();
    Faults gone;
    if (vae_path(catalog_, vae, "sd_vae", gone).empty() && !task_.overrides.contains("sd_vae")) {
      task_.warnings.push_back(fmt::format(
          "the selected VAE '{}' no longer exists: the checkpoint's own was used.", vae.substr(0, 200)));
      vae = "Automatic";
    }
    request_.vae = vae_path(catalog_, vae, "override_settings", faults_);
    const auto other_model = [&](const char* name, const std::string& infotext, bool is_used,
                                 const char* needed) -> std::string {
      const std::string asked = without_placeholder(text_or(name, infotext));
      if (asked.empty()) return "";
      if (is_used) return checkpoint_path(catalog_, asked, name, Match::kPart, faults_);
      if (const auto found = catalog_.find_checkpoint(asked, Match::kPart)) return found->path.string();
      pass_over(fmt::format("{}: model '{}' not found", name, asked.substr(0, 200)), needed);
      return "";
    };
    const double switch_at = request_.refiner_switch_at.value;
    request_.refiner_checkpoint = other_model("refiner_checkpoint", request_.refiner_checkpoint,
                                              switch_at > 0 && switch_at < 1, "refiner_switch_at");
    if (task_.kind == GenerationKind::kText)
      request_.hr_checkpoint =
          other_model("hr_checkpoint_name", request_.hr_checkpoint, request_.enable_hr, "enable_hr");
  }

  // null: the option eta_ancestral, or eta_ddim for the DDIM family, which the pipeline takes by itself.
  void apply_eta() {
    const auto* sampler = sampling::resolve_sampler(request_.sampler, request_.scheduler,
                                                    sampling::AutomaticSchedule::kKeepNamed)
                              .sampler;
    if (!parameter("eta").is_null()) {
      request_.eta = request::Decimal(parameter("eta").get<double>());
    } else if (const double eta = task_.options.at("eta_ancestral").get<double>();
               eta != 1 && !sampler->is_timestep) {
      request_.eta = request::Decimal(eta);
    }
  }

  void apply_styles() {
    if (!parameter("styles").is_array()) return;
    const auto known = prompt::read_styles(catalog_.data().styles());
    for (const Json& style : parameter("styles")) {
      const std::string name = style.get<std::string>();
      if (std::ranges::find(known, name, &prompt::Style::name) != known.end()) {
        request_.styles.push_back(name);
      } else if (!name.empty() && name != "None") {
        task_.warnings.push_back(fmt::format("no style '{}' in {}; it was ignored.", name.substr(0, 200),
                                             catalog_.data().styles().filename().string()));
      }
    }
  }

  void apply_loras() {
    if (!parameter("clip_skip").is_null()) request_.clip_skip = parameter("clip_skip").get<int>();
    for (const Json& lora : parameter("lora")) {
      if (!lora.is_object()) {
        task_.warnings.push_back(
            "lora: an item is not an object with name or path; it was ignored (put tags in the prompt).");
        continue;
      }
      const auto text = [&](const char* name) {
        return lora.contains(name) && lora[name].is_string() ? lora[name].get<std::string>() : "";
      };
      const std::string name = text("name").empty() ? without_extension(text("path")) : text("name");
      if (name.empty() || name.size() > 1024 || name.find('\n') != std::string::npos) {
        faults_.add("body", "lora", "each LoRA needs a name, or a path relative to the LoRA folder",
                    "value_error");
        continue;
      }
      const auto number = [&](const char* key, double otherwise) {
        if (!lora.contains(key) || lora[key].is_null()) return otherwise;
        if (lora[key].is_number()) return lora[key].get<double>();
        faults_.add("body", "lora", fmt::format("{} is not a valid float", key), "type_error.float");
        return otherwise;
      };
      const double weight = number("weight", number("multiplier", 1));
      const double te = number("te", weight), unet = number("unet", weight);
      const std::string written = prompt::network_name(name);
      lora_tags_ += te == unet ? fmt::format("<lora:{}:{}>", written, te)
                               : fmt::format("<lora:{}:{}:{}>", written, te, unet);
    }
    const std::string always = task_.options.at("sd_lora").get<std::string>();
    if (!always.empty() && always != "None" && always.find('\n') == std::string::npos)
      lora_tags_ += fmt::format("<lora:{}:{}>", prompt::network_name(always),
                                task_.options.at("extra_networks_default_multiplier").get<double>());
    request_.allow_missing_loras = parameter("allow_missing_loras").get<bool>();
  }

  static std::string without_extension(const std::string& path) {
    for (const std::string_view ending : {".safetensors", ".ckpt", ".pt"})
      if (path.ends_with(ending)) return path.substr(0, path.size() - ending.size());
    return path;
  }

  GenerationTask& task_;
  GenerationRequest& request_;
  const RequestJson& body_;
  ModelCatalog& catalog_;
  const UseLocalNames& use_local_names_;
  Faults faults_;
  std::string infotext_sampler_, infotext_scheduler_, infotext_model_;
  std::string lora_tags_;  // of the field `lora` and the option sd_lora: behind every prompt
  bool infotext_size_ = false;
};

// A1111 ignores unknown fields, and clients send fields of extensions that they use elsewhere; one that differs from a
// known one by a slip of the finger is told.
void tell_misspelt_fields(const RequestJson& body, ParameterRows rows, std::vector<std::string>& warnings) {
  for (const auto& [name, value] : body.items()) {
    if (name.size() < 4 || name.size() > 64 ||
        std::ranges::find(rows, name, &ParameterRow::name) != rows.end())
      continue;
    const auto near = std::ranges::find_if(
        rows, [&](const ParameterRow& row) { return library::edit_distance(name, row.name) <= 2; });
    if (near != rows.end())
      warnings.push_back(fmt::format("unknown field '{}' was ignored; did you mean '{}'?", name, near->name));
  }
}

}  // namespace

GenerationTask read_generation(GenerationKind kind, const RequestJson& body, const OptionStore& options,
                               ModelCatalog& catalog, const GenerationLimits& limits,
                               const UseLocalNames& use_local_names) {
  GenerationTask task;
  task.kind = kind;
  Faults faults;
  const ParameterRows rows = kind == GenerationKind::kText ? txt2img_parameters() : img2img_parameters();
  task.parameters = read_parameters(rows, body, faults, &task.warnings);
  faults.throw_if_any();
  tell_misspelt_fields(body, rows, task.warnings);
  check_always_on_scripts(body);
  // As in A1111's echo: saving is decided by save_images alone.
  const bool saves = task.flag("save_images");
  task.parameters["do_not_save_samples"] = task.parameters["do_not_save_grid"] = !saves;
  if (task.parameters["override_settings"].is_object()) task.overrides = task.parameters["override_settings"];
  task.keeps_overrides = !task.flag("override_settings_restore_afterwards");
  // Nothing is asked for, not the default one.
  if (task.overrides.value("sd_model_checkpoint", Json()) == "") task.overrides.erase("sd_model_checkpoint");
  RequestJson known = RequestJson::object();
  for (const auto& [name, value] : task.overrides.items()) {
    if (find_option(name) != nullptr) {
      known[name] = value;
    } else {
      task.warnings.push_back(
          fmt::format("unknown option '{}' in override_settings was ignored.", name.substr(0, 100)));
    }
  }
  task.options = options.with(known);
  Reader reader(task, body, catalog, use_local_names);
  reader.read();
  check_limits(task.request, limits);
  try {
    request::check_request(task.request);
    reader.apply_script(static_cast<std::size_t>(limits.max_pictures));
    if (task.script) check_limits(task.script->series, limits);
  } catch (const Error& error) {
    throw Refusal(422, error.what());
  }
  reader.apply_pictures();
  if (task.parameters["restore_faces"] == true)
    task.warnings.push_back("face restoration is not supported: restore_faces was ignored.");
  return task;
}

}  // namespace lowrank::server
