// One LoRA: everything known of it, what its user says of it, its picture.
#include <fmt/format.h>

#include <filesystem>

#include "base/error.h"
#include "formats/lora/lora_file.h"
#include "library/index/metadata_text.h"
#include "library/lora_words.h"
#include "library/sidecar/card_edit.h"
#include "library/sidecar/preview.h"
#include "server/catalog/lora_json.h"
#include "server/http/refusal.h"
#include "server/requests/request_picture.h"
#include "server/routes/named_lora.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using library::Library;
using library::Record;
using enum ParameterType;

constexpr std::size_t kMaxTagsShown = 100;

constexpr ParameterRow kEdit[] = {
    {.name = "note", .type = kString, .max_length = 65536},
    {.name = "description", .type = kString, .max_length = 65536},
    {.name = "type",
     .type = kString,
     .help = "character, style, concept, pose, clothing or object; \"\" detects it from the files",
     .max_length = 64},
    {.name = "subfamily",
     .type = kString,
     .help = "Pony, Illustrious, NoobAI …; none: plainly its family; \"\" detects it from the files",
     .max_length = 64},
    {.name = "tags", .type = kStrings, .help = "replaces the whole list", .max_length = 200},
    {.name = "rating", .type = kInteger, .help = "0 removes it", .min = 0, .max = 5},
    {.name = "activation_text", .type = kString, .max_length = 65536},
    {.name = "negative_text", .type = kString, .max_length = 65536},
    {.name = "preferred_weight", .type = kNumber, .min = -10, .max = 10},
};
constexpr ParameterRow kPreview[] = {
    {.name = "image",
     .type = kPicture,
     .help = "base64; alternatively, send the picture as the request body",
     .is_required = true},
};

fs::path path_of(Services& services, const Record& record) {
  return services.library_service.with([&](const Library& library) { return library.path_of(record); });
}

// The file of a LoRA whose card may be changed. Throws Refusal 409 for the others.
fs::path own_path(Services& services, const Record& record) {
  if (library::place_named(record.place).is_starter)
    throw Refusal(409, "this LoRA is part of the starter model; copy it to models/Lora to change its card.");
  return path_of(services, record);
}

Json card_of(Services& services, const Record& record) {
  const library::Fitting fitting = fitting_now(services);
  return services.library_service.with([&](const Library& library) {
    library::FittingCheckpoints others(library);
    return lora_card(record, fitting, others);
  });
}

// The card after a change of what lies beside the file.
Reply changed_card(Services& services, const Record& record) {
  const auto after = services.library_service.with([&](Library& library) {
    library.reread(record);
    return library.find_id(record.id);
  });
  if (!after) throw Refusal(404, "the LoRA has been removed.");
  return json_reply(card_of(services, *after));
}

// Where the preview is, also when it still bears a former name of the LoRA.
fs::path preview_path(Services& services, const Record& record) {
  if (record.preview.empty()) throw Refusal(404, "File not found");
  fs::path path = path_of(services, record).parent_path() / record.preview;
  std::error_code failure;
  if (fs::exists(path, failure)) return path;
  return services.library_service.with([&](const Library& library) {
    return library::read_lora_card(library.path_of(record), {}, library.card_sources(record)).preview;
  });
}

Json skipped_json(const formats::LoraFile& file) {
  Json skipped = Json::array();
  for (const auto& entry : file.skipped)
    skipped.push_back({{"module", entry.module}, {"keys", entry.keys}, {"reason", entry.reason}});
  return skipped;
}

}  // namespace

ParameterRows lora_edit_parameters() {
  return kEdit;
}
ParameterRows lora_preview_parameters() {
  return kPreview;
}

Reply lora_detail(Services& services, const Call& call) {
  Record record = named_lora(services, call);
  const fs::path path = path_of(services, record);
  Json detail = card_of(services, record);
  std::map<std::string, std::string> metadata;
  try {
    const auto file = formats::open_lora(path);
    metadata = file.file->metadata();
    services.library_service.hash(record);
    detail["hash"] = library::lora_hash(record);
    detail["modules"] = file.entries.size();
    detail["unknown_keys"] = file.unknown;
    detail["skipped"] = skipped_json(file);
  } catch (const Error& error) {
    detail["error"] = error.what();
  }
  services.library_service.with([&](const Library& library) {
    const auto card = library::read_lora_card(path, metadata, library.card_sources(record));
    detail["description"] = card.description;
    detail["activation_text"] = record.activation;
    detail["negative_text"] = record.negative;
    detail["notes"] = record.notes;
    Json tags = Json::array();
    for (const auto& [tag, count] : card.tags) {
      tags.push_back({{"tag", tag}, {"count", count}});
      if (tags.size() == kMaxTagsShown) break;
    }
    detail["tags"] = tags;
    detail["type_reason"] = record.type_reason;
    detail["sha256"] = record.sha256;
    detail["former_names"] = library.former_names(record);
    detail["prompt"] = library.prompt_line(record);
    detail["remarks"] = card.notes;
  });
  detail["metadata"] = library::listed_metadata(metadata);
  return json_reply(detail);
}

Reply lora_edit(Services& services, const Call& call) {
  const Record record = named_lora(services, call);
  const Json body = read_body(kEdit, call.body);
  const fs::path path = own_path(services, record);
  const auto text = [&](const char* name) -> std::optional<std::string> {
    if (!body.at(name).is_string()) return std::nullopt;
    return body.at(name).get<std::string>();
  };
  library::CardEdit edit;
  edit.notes = text("note");
  edit.description = text("description");
  edit.activation_text = text("activation_text");
  edit.negative_text = text("negative_text");
  if (const auto type = text("type")) {
    edit.type = library::type_meant_by(*type);
    if (!type->empty() && edit.type->empty())
      refuse_field("type", fmt::format("must be {}, or empty", fmt::join(library::lora_types(), ", ")),
                   "value_error.const");
  }
  if (const auto subfamily = text("subfamily")) edit.subfamily = subfamily_in(*subfamily);
  if (body["tags"].is_array()) edit.tags = body["tags"].get<std::vector<std::string>>();
  if (!body["rating"].is_null()) edit.rating = body["rating"].get<int>();
  if (!body["preferred_weight"].is_null()) edit.preferred_weight = body["preferred_weight"].get<double>();
  const fs::path overlay =
      services.library_service.with([&](const Library& library) { return library.overlay_of(record); });
  library::edit_card(path, edit, overlay);
  return changed_card(services, record);
}

Reply lora_preview(Services& services, const Call& call) {
  return picture_reply(preview_path(services, named_lora(services, call)));
}

Reply lora_preview_set(Services& services, const Call& call) {
  const Record record = named_lora(services, call);
  const fs::path path = own_path(services, record);
  std::vector<std::byte> bytes;
  // No picture begins so; what a client says of its body's type is not passed on (listener.cc).
  if (call.body.starts_with('{')) {
    bytes = picture_bytes(read_body(kPreview, call.body)["image"].get<std::string>(), "image");
  } else {
    const auto view = std::as_bytes(std::span(call.body.data(), call.body.size()));
    bytes.assign(view.begin(), view.end());
  }
  library::set_preview(path, bytes, "the image");
  return changed_card(services, record);
}

Reply lora_preview_remove(Services& services, const Call& call) {
  const Record record = named_lora(services, call);
  own_path(services, record);
  const fs::path path = preview_path(services, record);
  std::error_code failure;
  if (!fs::remove(path, failure))
    throw Error(kIo, "{}: cannot be removed ({}).", path.filename().string(), failure.message());
  return changed_card(services, record);
}

}  // namespace lowrank::server
