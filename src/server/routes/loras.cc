#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "formats/lora_file.h"
#include "prompt/text.h"
#include "server/http/base64.h"
#include "server/http/refusal.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using enum ParameterType;

constexpr ParameterRow kLoraQuery[] = {
    {.name = "limit", .type = kInteger, .standard = "0", .help = "0: all", .min = 0},
    {.name = "offset", .type = kInteger, .standard = "0", .min = 0},
    {.name = "q", .type = kString, .standard = "\"\"", .help = "part of the name, alias or trigger words"},
    {.name = "fields", .type = kString, .standard = "\"\"", .help = "comma list: only these keys"},
};
constexpr ParameterRow kEdit[] = {
    {.name = "note", .type = kString, .max_length = 65536},
    {.name = "type",
     .type = kString,
     .help = "character, style, concept, pose, clothing, object …",
     .max_length = 64},
    {.name = "rating", .type = kInteger, .min = 0, .max = 5},
    {.name = "activation_text", .type = kString, .max_length = 65536},
    {.name = "negative_text", .type = kString, .max_length = 65536},
    {.name = "preferred_weight", .type = kNumber, .min = -10, .max = 10},
};
constexpr ParameterRow kThumb[] = {
    {.name = "filename", .type = kString, .standard = "\"\"", .is_required = true}};
constexpr ParameterRow kNetwork[] = {
    {.name = "page", .type = kString, .standard = "\"\""},
    {.name = "item", .type = kString, .standard = "\"\""},
    {.name = "index", .type = kInteger, .standard = "0", .min = 0},
};
constexpr ParameterRow kCard[] = {
    {.name = "page", .type = kString, .standard = "\"\""},
    {.name = "tabname", .type = kString, .standard = "\"\""},
    {.name = "name", .type = kString, .standard = "\"\""},
};

Json query_of(ParameterRows rows, const Call& call) {
  Faults faults;
  Json query = read_query(rows, call.query, faults);
  faults.throw_if_any();
  return query;
}

std::string url_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
        c == '.')
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// A1111's order of keys, JSON inside strings unfolded, the pictures left out.
Json a1111_metadata(const std::map<std::string, std::string>& metadata) {
  Json out = Json::object();
  const auto add = [&](const std::string& key, const std::string& text) {
    const Json inner = text.starts_with('{') ? Json::parse(text, nullptr, false) : Json();
    out[key] = inner.is_object() ? inner : Json(text);
  };
  for (const char* key :
       {"ss_sd_model_name", "ss_resolution", "ss_clip_skip", "ss_num_train_images", "ss_tag_frequency"})
    if (const auto found = metadata.find(key); found != metadata.end()) add(key, found->second);
  for (const auto& [key, text] : metadata)
    if (key != "ssmd_cover_images" && !out.contains(key)) add(key, text);
  return out;
}

Json trigger_words(const LoraFacts& lora) {
  Json words = Json::array();
  for (const auto& word : lora.card.trigger_words) words.push_back(word);
  return words;
}

Json preview_url(const LoraFacts& lora) {
  if (lora.card.preview.empty()) return nullptr;
  return fmt::format("/v1/loras/{}/preview?t={}", url_encoded(lora.place.relative),
                     static_cast<std::int64_t>(lora.time));
}

Json card_of(const LoraFacts& lora) {
  return {{"name", lora.place.name},
          {"alias", lora.place.alias},
          {"relative", lora.place.relative},
          {"type", lora.type.empty() ? Json() : Json(lora.type)},
          {"kind", lora.kind},
          {"rank", lora.rank},
          {"family", lora.family},
          {"base_model", lora.card.base_model},
          {"fits", lora.fits},
          {"fits_reason", lora.error.empty() ? lora.family_reason : lora.error},
          {"trigger_words", trigger_words(lora)},
          {"trigger", library::short_trigger(lora.card)},
          {"preferred_weight", lora.card.preferred_weight},
          {"rating", lora.rating},
          {"preview", preview_url(lora)},
          {"bytes", lora.bytes},
          {"time", lora.time},
          {"error", lora.error.empty() ? Json() : Json(lora.error)}};
}

bool fits_query(const LoraFacts& lora, const std::string& wanted) {
  if (wanted.empty()) return true;
  for (const auto& text : {lora.place.relative, lora.place.alias, lora.card.activation_text, lora.type})
    if (prompt::lower(text).find(wanted) != std::string::npos) return true;
  return std::ranges::any_of(lora.card.trigger_words, [&](const std::string& word) {
    return prompt::lower(word).find(wanted) != std::string::npos;
  });
}

// The LoRAs that the query asks for; `total` without limit and offset.
std::vector<std::shared_ptr<const LoraFacts>> chosen(Services& services, const Json& query,
                                                     std::size_t& total) {
  auto all = services.loras.all();
  const std::string wanted = prompt::lower(query["q"].get<std::string>());
  std::erase_if(all, [&](const auto& lora) { return !fits_query(*lora, wanted); });
  total = all.size();
  const auto offset = std::min(query["offset"].get<std::size_t>(), all.size());
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(offset));
  const auto limit = query["limit"].get<std::size_t>();
  if (limit > 0 && all.size() > limit) all.resize(limit);
  return all;
}

void keep_fields(Json& entry, const std::string& fields) {
  if (fields.empty()) return;
  Json kept = Json::object();
  for (const auto& [key, value] : entry.items())
    if (("," + fields + ",").find("," + key + ",") != std::string::npos) kept[key] = value;
  entry = std::move(kept);
}

std::shared_ptr<const LoraFacts> named(Services& services, const Call& call) {
  auto lora = services.loras.find(call.at("name"));
  if (!lora) throw Refusal(404, fmt::format("there is no LoRA '{}'.", call.at("name").substr(0, 200)));
  return lora;
}

Reply picture_file(const fs::path& path) {
  std::error_code failure;
  if (!fs::is_regular_file(path, failure)) throw Refusal(404, "File not found");
  Reply reply = bytes_reply(read_file(path), picture_mime(path));
  reply.headers.emplace_back("Cache-Control", "private, max-age=300");
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return reply;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

ParameterRows lora_query() {
  return kLoraQuery;
}
ParameterRows lora_edit_parameters() {
  return kEdit;
}
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
  const Json query = query_of(kLoraQuery, call);
  std::size_t total = 0;
  Json list = Json::array();
  for (const auto& lora : chosen(services, query, total)) {
    const auto hash = lora->metadata.find("sshs_model_hash");
    Json entry = {{"name", lora->place.name},
                  {"alias", lora->place.alias},
                  {"path", fs::absolute(lora->place.path).string()},
                  {"metadata", a1111_metadata(lora->metadata)},
                  {"hash", hash == lora->metadata.end() ? Json() : Json(hash->second.substr(0, 12))},
                  {"sd_version", lora->family},
                  {"kind", lora->kind},
                  {"rank", lora->rank},
                  {"trained_words", trigger_words(*lora)},
                  {"preview", preview_url(*lora)},
                  {"size", lora->bytes},
                  {"mtime", lora->time}};
    keep_fields(entry, query["fields"].get<std::string>());
    list.push_back(std::move(entry));
  }
  return json_reply(list);
}

Reply lora_cards(Services& services, const Call& call) {
  const Json query = query_of(kLoraQuery, call);
  std::size_t total = 0;
  Json list = Json::array();
  for (const auto& lora : chosen(services, query, total)) {
    Json card = card_of(*lora);
    keep_fields(card, query["fields"].get<std::string>());
    list.push_back(std::move(card));
  }
  return json_reply({{"loras", list}, {"total", total}});
}

Reply lora_detail(Services& services, const Call& call) {
  const auto lora = named(services, call);
  Json detail = card_of(*lora);
  detail["description"] = lora->card.description;
  detail["activation_text"] = lora->card.activation_text;
  detail["negative_text"] = lora->card.negative_text;
  Json tags = Json::array();
  for (const auto& [tag, count] : lora->card.tags) {
    tags.push_back({{"tag", tag}, {"count", count}});
    if (tags.size() == 100) break;
  }
  detail["tags"] = tags;
  detail["metadata"] = a1111_metadata(lora->metadata);
  detail["notes"] = lora->card.notes;
  if (lora->error.empty()) {
    const auto file = formats::open_lora(lora->place.path);
    detail["hash"] = formats::lora_short_hash(*file.file);
    detail["modules"] = file.entries.size();
    detail["unknown_keys"] = file.unknown;
    Json skipped = Json::array();
    for (const auto& entry : file.skipped)
      skipped.push_back({{"module", entry.module}, {"keys", entry.keys}, {"reason", entry.reason}});
    detail["skipped"] = skipped;
  }
  return json_reply(detail);
}

Reply lora_edit(Services& services, const Call& call) {
  const auto lora = named(services, call);
  const Json body = read_body(kEdit, call.body);
  if (!is_below(lora->place.path.parent_path(), services.catalog.data().loras()))
    throw Refusal(409, "this LoRA came with the program; copy it to models/Lora to change its card.");
  LoraShelf::Edit edit;
  const auto text = [&](const char* name) -> std::optional<std::string> {
    if (!body.at(name).is_string()) return std::nullopt;
    return body.at(name).get<std::string>();
  };
  edit.note = text("note");
  edit.type = text("type");
  edit.activation_text = text("activation_text");
  edit.negative_text = text("negative_text");
  if (!body["rating"].is_null()) edit.rating = body["rating"].get<int>();
  if (!body["preferred_weight"].is_null()) edit.preferred_weight = body["preferred_weight"].get<double>();
  services.loras.edit(*lora, edit);
  return json_reply(card_of(*named(services, call)));
}

Reply lora_preview(Services& services, const Call& call) {
  const auto lora = named(services, call);
  if (lora->card.preview.empty()) throw Refusal(404, "File not found");
  return picture_file(lora->card.preview);
}

Reply network_thumb(Services& services, const Call& call) {
  const fs::path path = query_of(kThumb, call)["filename"].get<std::string>();
  if (picture_mime(path).empty() || !services.catalog.is_inside_data(path))
    throw Refusal(400, "File cannot be fetched: it must be a picture below the model folders.");
  return picture_file(path);
}

Reply network_cover(Services& services, const Call& call) {
  const Json query = query_of(kNetwork, call);
  const auto lora = services.loras.find(query["item"].get<std::string>());
  if (!lora || prompt::lower(query["page"].get<std::string>()) != "lora")
    throw Refusal(404, "File not found");
  const auto covers = lora->metadata.find("ssmd_cover_images");
  const RequestJson list =
      covers == lora->metadata.end() ? RequestJson() : RequestJson::parse(covers->second, nullptr, false);
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
  const Json query = query_of(kNetwork, call);
  if (prompt::lower(query["page"].get<std::string>()) == "lora")
    if (const auto lora = services.loras.find(query["item"].get<std::string>());
        lora && !lora->metadata.empty())
      return json_reply({{"metadata", json_text(a1111_metadata(lora->metadata), 4)}});
  return json_reply(Json::object());
}

Reply network_card(Services& services, const Call& call) {
  const Json query = query_of(kCard, call);
  const auto lora = services.loras.find(query["name"].get<std::string>());
  if (!lora) return json_reply({{"html", ""}});
  return json_reply(
      {{"html", fmt::format("<div class=\"card\" data-name=\"{0}\"><span class=\"name\">{0}</span></div>",
                            escaped(lora->place.name))}});
}

}  // namespace lowrank::server
