#include "server/requests/extras_task.h"

#include <fmt/format.h>

#include <algorithm>

#include "pipeline/pictures/extras.h"
#include "request/field_table.h"
#include "server/fields/field_parameter.h"
#include "server/requests/request_picture.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

// clang-format off
std::vector<ParameterRow> settings() {
  return {
      extras_parameter("resize_mode"),
      {.name = "show_extras_results", .type = kBoolean, .default_value = "true", .help = "false: no pictures in the response"},
      {.name = "save_images", .type = kBoolean, .default_value = "false", .help = "save them to outputs/extras-images"},
      {.name = "gfpgan_visibility", .type = kNumber, .default_value = "0.0", .min = 0, .max = 1},
      {.name = "codeformer_visibility", .type = kNumber, .default_value = "0.0", .min = 0, .max = 1},
      {.name = "codeformer_weight", .type = kNumber, .default_value = "0.0", .min = 0, .max = 1},
      extras_parameter("upscaling_resize"),
      extras_parameter("upscaling_resize_w"),
      extras_parameter("upscaling_resize_h"),
      extras_parameter("upscaling_crop"),
      extras_parameter("upscaler_1"),
      extras_parameter("upscaler_2"),
      extras_parameter("extras_upscaler_2_visibility"),
      {.name = "upscale_first", .type = kBoolean, .default_value = "false"},
  };
}
// clang-format on

std::vector<ParameterRow> with(const ParameterRow& row) {
  std::vector<ParameterRow> rows = settings();
  rows.push_back(row);
  return rows;
}

std::string text_in(const RequestJson& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

ExtrasTask::Given given_picture(const std::string& text, const std::string& field) {
  return {.picture = request_picture(text, field), .parameters = request_parameters(text, field)};
}

void read_pictures(ExtrasTask& task, const RequestJson& body) {
  const auto single = body.find("image");
  if (single != body.end() && single->is_string()) {
    task.pictures.push_back(given_picture(single->get<std::string>(), "image"));
    return;
  }
  const RequestJson list =
      body.contains("imageList") ? body["imageList"] : body.value("image_list", RequestJson());
  if (!list.is_array() || list.empty() || list.size() > 256)
    refuse_field("imageList", "must be a list of 1 to 256 objects with data and name", "value_error.missing");
  for (const auto& entry : list) {
    if (!entry.is_object()) refuse_field("imageList", "value is not a valid dict", "type_error.dict");
    const std::string data = text_in(entry, "data");
    task.pictures.push_back(given_picture(data.empty() ? text_in(entry, "image") : data, "imageList"));
  }
}

}  // namespace

ParameterRows extras_parameters() {
  static const auto rows =
      with({.name = "image", .type = kPicture, .default_value = "\"\"", .is_required = true});
  return rows;
}

ParameterRows extras_batch_parameters() {
  static const auto rows =
      with({.name = "imageList", .type = kList, .default_value = "[]", .help = "[{data, name}]"});
  return rows;
}

ExtrasTask read_extras(const RequestJson& body, const OptionStore& options,
                       const std::vector<std::string>& upscalers, const GenerationLimits& limits) {
  ExtrasTask task;
  Faults faults;
  const Json values = read_parameters(settings(), body, faults);
  faults.throw_if_any();
  auto& request = task.request;
  for (const auto& row : request::extras_field_table())
    if (const auto value = values.find(std::string(row.api)); value != values.end())
      request::set_field(request, row, value->is_string() ? value->get<std::string>() : value->dump(),
                         row.api);
  request.esrgan_tile = options.get("ESRGAN_tile").get<int>();
  request.esrgan_tile_overlap = options.get("ESRGAN_tile_overlap").get<int>();
  task.saves_images = values["save_images"].get<bool>();
  task.shows_results = values["show_extras_results"].get<bool>();
  for (auto* name : {&request.upscaler_1, &request.upscaler_2}) {
    if (name->empty()) *name = "None";
    if (std::ranges::find(upscalers, *name) == upscalers.end())
      faults.add("body", name == &request.upscaler_1 ? "upscaler_1" : "upscaler_2",
                 fmt::format("upscaler '{}' not found", name->substr(0, 200)), "value_error");
  }
  faults.throw_if_any();
  for (const char* restorer : {"gfpgan_visibility", "codeformer_visibility"})
    if (values[restorer] != 0.0)
      task.notes.push_back(fmt::format("face restoration is not supported: {} was ignored.", restorer));
  read_pictures(task, body);
  for (const auto& [picture, parameters] : task.pictures) {
    const double scale = pipeline::extras_scale(request, picture);
    const double pixels = picture.width * scale * picture.height * scale;
    if (pixels > static_cast<double>(limits.max_pixels) * 4)
      refuse_field(request.resize_mode == 0 ? "upscaling_resize" : "upscaling_resize_w",
                   fmt::format("the result would have {:.0f} pixels, but this server allows {}", pixels,
                               limits.max_pixels * 4),
                   "value_error.number.not_le");
  }
  return task;
}

}  // namespace lowrank::server
