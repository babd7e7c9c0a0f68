#include "server/engine/extras_order.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "image/codec.h"
#include "server/engine/request_picture.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

// clang-format off
constexpr ParameterRow kSettings[] = {
    {.name = "resize_mode", .type = kInteger, .standard = "0", .help = "0: by a factor, 1: to a size", .min = 0, .max = 1},
    {.name = "show_extras_results", .type = kBoolean, .standard = "true", .help = "false: no pictures in the answer"},
    {.name = "save_images", .type = kBoolean, .standard = "false", .help = "keep them below outputs/extras-images"},
    {.name = "gfpgan_visibility", .type = kNumber, .standard = "0.0", .min = 0, .max = 1},
    {.name = "codeformer_visibility", .type = kNumber, .standard = "0.0", .min = 0, .max = 1},
    {.name = "codeformer_weight", .type = kNumber, .standard = "0.0", .min = 0, .max = 1},
    {.name = "upscaling_resize", .type = kNumber, .standard = "2.0", .min = 0.05, .max = 16},
    {.name = "upscaling_resize_w", .type = kInteger, .standard = "512", .min = 1, .max = 16384},
    {.name = "upscaling_resize_h", .type = kInteger, .standard = "512", .min = 1, .max = 16384},
    {.name = "upscaling_crop", .type = kBoolean, .standard = "true"},
    {.name = "upscaler_1", .type = kString, .standard = "\"None\""},
    {.name = "upscaler_2", .type = kString, .standard = "\"None\""},
    {.name = "extras_upscaler_2_visibility", .type = kNumber, .standard = "0.0", .min = 0, .max = 1},
    {.name = "upscale_first", .type = kBoolean, .standard = "false"},
};
// clang-format on

std::vector<ParameterRow> with(const ParameterRow& row) {
  std::vector<ParameterRow> rows(std::begin(kSettings), std::end(kSettings));
  rows.push_back(row);
  return rows;
}

std::string text_in(const RequestJson& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

void take_picture(ExtrasOrder& order, const std::string& text) {
  order.pictures.push_back(request_picture(text));
  order.infotexts.push_back(image::read_parameters(picture_bytes(text), "the image").value_or(""));
}

void take_pictures(ExtrasOrder& order, const RequestJson& body) {
  const auto single = body.find("image");
  if (single != body.end() && single->is_string()) {
    take_picture(order, single->get<std::string>());
    return;
  }
  const RequestJson list =
      body.contains("imageList") ? body["imageList"] : body.value("image_list", RequestJson());
  if (!list.is_array() || list.empty() || list.size() > 256)
    refuse_field("imageList", "must be a list of 1 to 256 objects with data and name", "value_error.missing");
  for (const auto& entry : list) {
    if (!entry.is_object()) refuse_field("imageList", "value is not a valid dict", "type_error.dict");
    const std::string data = text_in(entry, "data");
    take_picture(order, data.empty() ? text_in(entry, "image") : data);
  }
}

double factor(const pipeline::ExtrasRequest& request, const image::Picture& picture) {
  if (request.resize_mode == 0) return request.upscaling_resize.value;
  return std::max(static_cast<double>(request.upscaling_width) / picture.width,
                  static_cast<double>(request.upscaling_height) / picture.height);
}

}  // namespace

ParameterRows extras_parameters() {
  static const auto rows = with({.name = "image", .type = kPicture, .standard = "\"\"", .is_required = true});
  return rows;
}

ParameterRows extras_batch_parameters() {
  static const auto rows =
      with({.name = "imageList", .type = kList, .standard = "[]", .help = "[{data, name}]"});
  return rows;
}

ExtrasOrder read_extras(const RequestJson& body, const OptionStore& options,
                        const std::vector<std::string>& upscalers, const GenerationLimits& limits) {
  ExtrasOrder order;
  Faults faults;
  const Json values = read_parameters(kSettings, body, faults);
  faults.throw_if_any();
  auto& request = order.request;
  request.resize_mode = values["resize_mode"].get<int>();
  request.upscaling_resize = values["upscaling_resize"].get<double>();
  request.upscaling_width = values["upscaling_resize_w"].get<int>();
  request.upscaling_height = values["upscaling_resize_h"].get<int>();
  request.upscaling_crop = values["upscaling_crop"].get<bool>();
  request.upscaler_1 = values["upscaler_1"].get<std::string>();
  request.upscaler_2 = values["upscaler_2"].get<std::string>();
  request.upscaler_2_visibility = values["extras_upscaler_2_visibility"].get<double>();
  request.esrgan_tile = options.get("ESRGAN_tile").get<int>();
  request.esrgan_tile_overlap = options.get("ESRGAN_tile_overlap").get<int>();
  order.saves_images = values["save_images"].get<bool>();
  order.shows_results = values["show_extras_results"].get<bool>();
  for (auto* name : {&request.upscaler_1, &request.upscaler_2}) {
    if (name->empty()) *name = "None";
    if (std::ranges::find(upscalers, *name) == upscalers.end())
      faults.add("body", name == &request.upscaler_1 ? "upscaler_1" : "upscaler_2",
                 fmt::format("upscaler '{}' not found", name->substr(0, 200)), "value_error");
  }
  faults.throw_if_any();
  for (const char* restorer : {"gfpgan_visibility", "codeformer_visibility"})
    if (values[restorer] != 0.0)
      order.notes.push_back(fmt::format("there is no face restorer: {} was passed over.", restorer));
  take_pictures(order, body);
  for (const auto& picture : order.pictures) {
    const double scale = factor(request, picture);
    const double pixels = picture.width * scale * picture.height * scale;
    if (pixels > static_cast<double>(limits.max_pixels) * 4)
      refuse_field(request.resize_mode == 0 ? "upscaling_resize" : "upscaling_resize_w",
                   fmt::format("the result would have {:.0f} pixels, but this server allows {}", pixels,
                               limits.max_pixels * 4),
                   "value_error.number.not_le");
  }
  return order;
}

image::Picture run_extras(const ExtrasOrder& order, const image::Picture& picture,
                          pipeline::Upscalers& upscalers, const std::stop_token& stop) {
  const auto& request = order.request;
  const pipeline::UpscalerTiles tiles{.size = request.esrgan_tile, .overlap = request.esrgan_tile_overlap};
  const auto upscaled = [&](const std::string& name) {
    if (name == "None") return picture;
    image::Picture larger = upscalers.upscale(name, picture, factor(request, picture), tiles, stop);
    if (request.resize_mode == 0 || !request.upscaling_crop) return larger;
    image::Picture cropped = image::Picture::blank(request.upscaling_width, request.upscaling_height, 0);
    image::paste(cropped, larger, request.upscaling_width / 2 - larger.width / 2,
                 request.upscaling_height / 2 - larger.height / 2);
    return cropped;
  };
  image::Picture first = upscaled(request.upscaler_1);
  if (request.upscaler_2 == "None" || request.upscaler_2_visibility.value == 0) return first;
  const image::Picture second = upscaled(request.upscaler_2);
  if (second.width != first.width || second.height != first.height)
    throw Error(kBadInput, "the two upscalers give pictures of {}x{} and {}x{}, which cannot be mixed.",
                first.width, first.height, second.width, second.height);
  // Pillow's Image.blend: cut off, not rounded.
  const auto share = static_cast<float>(request.upscaler_2_visibility.value);
  for (std::size_t i = 0; i < first.rgb.size(); ++i) {
    const int a = first.rgb[i], b = second.rgb[i];
    first.rgb[i] = static_cast<std::uint8_t>(static_cast<float>(a) + share * static_cast<float>(b - a));
  }
  return first;
}

}  // namespace lowrank::server
