// LoRAs as A1111's API and page ask for them.
#include <fmt/format.h>

#include <filesystem>

#include "base/text/base64.h"
#include "base/text/text.h"
#include "image/codec/codec.h"
#include "library/index/metadata_text.h"
#include "library/lora_folder.h"
#include "server/catalog/lora_json.h"
#include "server/http/refusal.h"
#include "server/page/html.h"
#include "server/routes/lora_query.h"
#include "server/routes/named_lora.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using library::Library;
using library::Record;
using enum ParameterType;

constexpr ParameterRow kThumb[] = {
    {.name = "filename", .type = kString, .default_value = "\"\"", .is_required = true}};
constexpr ParameterRow kNetwork[] = {
    {.name = "page", .type = kString, .default_value = "\"\""},
    {.name = "item", .type = kString, .default_value = "\"\""},
    {.name = "index", .type = kInteger, .default_value = "0", .min = 0},
};
constexpr ParameterRow kCard[] = {
    {.name = "page", .type = kString, .default_value = "\"\""},
    {.name = "tabname", .type = kString, .default_value = "\"\""},
    {.name = "name", .type = kString, .default_value = "\"\""},
};

Json query_of(ParameterRows rows, const Call& call) {
  Faults faults;
  Json query = read_query(rows, call.query, faults);
  faults.throw_if_any();
  return query;
}

// The metadata inside the file of a LoRA; empty when there is no such LoRA.
std::map<std::string, std::string> metadata_of(Services& services, const Json& query) {
  if (lower(query["page"].get<std::string>()) != "lora") return {};
  const auto path = services.library_service.with([&](const Library& library) -> fs::path {
    const auto found = library.find_lora(query["item"].get<std::string>());
    return found ? library.path_of(found->record) : fs::path();
  });
  return path.empty() ? std::map<std::string, std::string>() : library::safetensors_metadata(path);
}

}  // namespace

ParameterRows thumb_query() {
  return kThumb;
}
ParameterRows network_query() {
  return kNetwork;
}
ParameterRows card_query() {
  return kCard;
}

Reply loras(Services& services, const Call& call) {
  Reply reply;
  const Packing packing = call.accepts_gzip ? Packing::kGzip : Packing::kNone;
  if (call.query.empty()) {
    reply.kept = services.lora_listing.whole(packing);
  } else {
    const Json query = query_of(lora_query(), call);
    reply.kept = services.lora_listing.some(lora_query_of(services, query),
                                            query["fields"].get<std::string>(), packing);
  }
  if (call.accepts_gzip) reply.headers.emplace_back("Content-Encoding", "gzip");
  reply.headers.emplace_back("Vary", "Accept-Encoding");
  return reply;
}

Reply network_thumb(Services& services, const Call& call) {
  const fs::path path = query_of(kThumb, call)["filename"].get<std::string>();
  if (image::picture_mime(path).empty() || !services.catalog.is_inside_data(path))
    throw Refusal(400, "File cannot be fetched: it must be a picture in the model folders.");
  return picture_reply(path);
}

Reply network_cover(Services& services, const Call& call) {
  const Json query = query_of(kNetwork, call);
  const auto metadata = metadata_of(services, query);
  const auto covers = metadata.find("ssmd_cover_images");
  const RequestJson list =
      covers == metadata.end() ? RequestJson() : RequestJson::parse(covers->second, nullptr, false);
  const auto index = query["index"].get<std::size_t>();
  if (!list.is_array() || index >= list.size() || !list[index].is_string())
    throw Refusal(404, "File not found");
  const auto bytes = from_base64(list[index].get<std::string>());
  if (!bytes) throw Refusal(404, "File not found");
  const std::string text(bytes->begin(), bytes->end());
  const char* mime = text.starts_with("\x89PNG") ? "image/png"
                     : text.starts_with("RIFF")  ? "image/webp"
                                                 : "image/jpeg";
  Reply reply = bytes_reply(text, mime);
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return reply;
}

Reply network_metadata(Services& services, const Call& call) {
  const auto metadata = metadata_of(services, query_of(kNetwork, call));
  if (metadata.empty()) return json_reply(Json::object());
  return json_reply({{"metadata", json_text(library::listed_metadata(metadata), 4)}});
}

Reply network_card(Services& services, const Call& call) {
  const Json query = query_of(kCard, call);
  const auto found = services.library_service.with(
      [&](const Library& library) { return library.find_lora(query["name"].get<std::string>()); });
  if (!found) return json_reply({{"html", ""}});
  return json_reply(
      {{"html", fmt::format("<div class=\"card\" data-name=\"{0}\"><span class=\"name\">{0}</span></div>",
                            escaped(found->record.name))}});
}

}  // namespace lowrank::server
