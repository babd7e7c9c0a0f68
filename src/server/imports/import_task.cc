#include "server/imports/import_task.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "library/import/file_name.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr std::array<std::string_view, 5> kKinds = {"lora", "checkpoint", "vae", "embedding", "upscaler"};

constexpr ParameterRow kImport[] = {
    {.name = "source",
     .type = kString,
     .help = "a Civitai page, download link or hash, or a Hugging Face page or owner/repo[@revision][:file]",
     .max_length = 2048,
     .is_required = true},
    {.name = "type",
     .type = kString,
     .help = "character, style, concept, pose, clothing or object, overriding what the site says",
     .max_length = 64},
    {.name = "kind",
     .type = kString,
     .help = "lora, checkpoint, vae, embedding or upscaler, if the site does not say",
     .max_length = 16},
    {.name = "name", .type = kString, .help = "file name without extension", .max_length = 200},
    {.name = "preview",
     .type = kBoolean,
     .default_value = "true",
     .help = "download the preview picture too"},
    {.name = "force", .type = kBoolean, .default_value = "false", .help = "download again even if it exists"},
};

std::string text_of(const Json& body, const char* name) {
  return body[name].is_string() ? body[name].get<std::string>() : "";
}

ImportTask task_of(const Json& body) {
  ImportTask task;
  task.options.with_preview = body["preview"].get<bool>();
  task.options.fetches_again = body["force"].get<bool>();
  task.options.kind = text_of(body, "kind");
  if (!task.options.kind.empty() && std::ranges::find(kKinds, task.options.kind) == kKinds.end())
    refuse_field("kind", fmt::format("must be {}", fmt::join(kKinds, ", ")), "value_error.const");
  if (const std::string type = text_of(body, "type"); !type.empty()) {
    task.options.type = library::type_meant_by(type);
    if (task.options.type.empty())
      refuse_field("type", fmt::format("must be {}", fmt::join(library::lora_types(), ", ")),
                   "value_error.const");
  }
  if (const std::string name = text_of(body, "name"); !name.empty()) {
    task.options.name = name;
    if (library::safe_file_name(name) != name) refuse_field("name", "is not a valid file name");
  }
  try {
    task.source = library::recognise_site_source(text_of(body, "source"));
  } catch (const Error& error) {
    refuse_field("source", error.what());
  }
  return task;
}

Json parameters_of(const RequestJson& body) {
  Faults faults;
  Json parameters = read_parameters(kImport, body, faults);
  faults.throw_if_any();
  return parameters;
}

}  // namespace

ParameterRows import_parameters() {
  return kImport;
}

ImportTask read_import(const RequestJson& body) {
  return task_of(parameters_of(body));
}

std::string import_request(const RequestJson& body) {
  Json parameters = parameters_of(body);
  parameters["source"] = library::source_text(task_of(parameters).source);
  return json_text(parameters);
}

}  // namespace lowrank::server
