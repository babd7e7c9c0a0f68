#include <filesystem>

#include "base/atomic_file.h"
#include "base/error.h"
#include "image/codec/codec.h"
#include "library/picture_settings.h"
#include "server/http/refusal.h"
#include "server/requests/request_picture.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

namespace fs = std::filesystem;
using enum ParameterType;

constexpr ParameterRow kPngInfo[] = {{.name = "image", .type = kPicture, .is_required = true}};
constexpr ParameterRow kInterrogate[] = {
    {.name = "image", .type = kPicture, .default_value = "\"\""},
    {.name = "model", .type = kString, .default_value = "\"clip\""},
};
constexpr ParameterRow kPageQuery[] = {
    {.name = "limit", .type = kInteger, .default_value = "100", .min = 1, .max = 1000},
    {.name = "offset", .type = kInteger, .default_value = "0", .min = 0},
};

constexpr ParameterRow kInfotext[] = {{.name = "text",
                                       .type = kString,
                                       .help = "settings as copied by A1111, civitai.com and LowRank",
                                       .max_length = kMaxPromptBytes,
                                       .is_required = true}};

// What a picture's or a pasted text's settings say, under A1111's labels and with this collection's names of LoRAs.
Json parameters_of(Services& services, const prompt::PictureSettings& settings) {
  prompt::Infotext infotext = settings.infotext;
  local_names_of(services.library_service)(infotext);
  Json parameters = Json::object();
  prompt::add_infotext_defaults(infotext);
  parameters["Prompt"] = infotext.prompt;
  parameters["Negative prompt"] = infotext.negative_prompt;
  for (const auto& [label, value] : infotext.entries) parameters[label] = value;
  return parameters;
}

Json about(const prompt::PictureSettings& settings) {
  return {{"generator", settings.generator}, {"notes", settings.notes}};
}

Reply file_reply(const fs::path& path) {
  Reply reply = bytes_reply(read_file(path), image::picture_mime(path));
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return reply;
}

}  // namespace

ParameterRows png_info_parameters() {
  return kPngInfo;
}
ParameterRows infotext_parameters() {
  return kInfotext;
}
ParameterRows interrogate_parameters() {
  return kInterrogate;
}
ParameterRows page_query() {
  return kPageQuery;
}

Reply png_info(Services& services, const Call& call) {
  const Json body = read_body(kPngInfo, call.body);
  const auto bytes = picture_bytes(body["image"].get<std::string>(), "image");
  std::optional<prompt::PictureSettings> settings;
  std::string info;
  Json items = Json::object();
  try {
    settings = library::settings_of_picture(bytes, "image");
    info = settings ? settings->text : image::read_parameters(bytes, "image").value_or("");
    const image::PictureItems found = image::read_items(bytes, "image");
    for (const auto& [key, text] : found.texts) items[key] = text;
    if (found.gamma) items["gamma"] = *found.gamma;
    if (found.dpi) items["dpi"] = {found.dpi->first, found.dpi->second};
  } catch (const Error& error) {
    refuse_picture(error);
  }
  const Json parameters = settings ? parameters_of(services, *settings) : Json::object();
  Json reply = {{"info", info}, {"items", items}, {"parameters", parameters}};
  if (settings) {
    reply["lowrank"] = about(*settings);
  } else if (const std::string said = library::what_it_says(bytes, "image"); !said.empty()) {
    reply["lowrank"] = {{"generator", ""}, {"notes", {said}}};
  }
  return json_reply(reply);
}

Reply read_infotext(Services& services, const Call& call) {
  const std::string text = read_body(kInfotext, call.body)["text"].get<std::string>();
  const prompt::PictureSettings settings = prompt::settings_of_text(text);
  // A text without settings is all prompt, which the reader has already.
  const bool has_settings = !settings.infotext.entries.empty() || !settings.infotext.negative_prompt.empty();
  return json_reply({{"info", settings.text},
                     {"parameters", has_settings ? parameters_of(services, settings) : Json::object()},
                     {"lowrank", about(settings)}});
}

Reply interrogate(Services&, const Call& call) {
  const Json body = read_body(kInterrogate, call.body);
  if (body["image"] == "") throw Refusal(404, "Image not found");
  throw Refusal(404, "Model not found");
}

Reply absent(Services&, const Call&) {
  throw Refusal(404, "Not Found");
}

Reply output_list(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kPageQuery, call.query, faults);
  faults.throw_if_any();
  std::size_t total = 0;
  Json list = Json::array();
  for (const auto& file :
       services.outputs.list(query["limit"].get<std::size_t>(), query["offset"].get<std::size_t>(), total))
    list.push_back({{"name", file.name},
                    {"url", "/v1/outputs/" + file.name},
                    {"bytes", file.bytes},
                    {"time", file.time}});
  return json_reply({{"outputs", list}, {"total", total}});
}

Reply output_file(Services& services, const Call& call) {
  const auto path = services.outputs.find(call.at("name"));
  if (!path) throw Refusal(404, "File not found");
  return file_reply(*path);
}

Reply output_delete(Services& services, const Call& call) {
  const auto path = services.outputs.find(call.at("name"));
  if (!path) throw Refusal(404, "File not found");
  std::error_code failure;
  fs::remove(*path, failure);
  if (failure) throw Error(kIo, "{} could not be removed: {}.", path->string(), failure.message());
  fs::remove(fs::path(*path).replace_extension(".txt"), failure);
  return json_reply({{"deleted", call.at("name")}});
}

// A1111's /file=PATH: pictures below the output folder and previews below the model folders.
Reply data_file(Services& services, const Call& call) {
  const fs::path path = call.at("path");
  std::error_code failure;
  if (image::picture_mime(path).empty() ||
      !(is_below(path, services.outputs.root()) || services.catalog.is_inside_data(path)))
    throw Refusal(403, "File not allowed");
  if (!fs::is_regular_file(path, failure)) throw Refusal(404, "File not found");
  return file_reply(path);
}

}  // namespace lowrank::server
