#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/percent.h"
#include "image/codec/codec.h"
#include "request/training/lora_table.h"
#include "server/engine/output_folder.h"
#include "server/http/json_body.h"
#include "server/http/refusal.h"
#include "server/routes/routes.h"
#include "training/data/buckets.h"

namespace lowrank::server {
namespace {

using enum ParameterType;
using training::PixelSize;

// The trainer's own options, from its own table.
constexpr std::string_view kBucketOptions[] = {"resolution",      "enable_bucket",     "min_bucket_reso",
                                               "max_bucket_reso", "bucket_reso_steps", "bucket_no_upscale"};

const std::vector<ParameterRow>& bucket_rows() {
  static const std::vector<ParameterRow> rows = [] {
    std::vector<ParameterRow> all;
    for (const auto name : kBucketOptions) {
      const auto* option = request::find_lora_option(name);
      LOWRANK_CHECK(option != nullptr);
      const auto type = request::option_type(*option);
      ParameterRow row{.name = name,
                       .type = type == "boolean"   ? kBoolean
                               : type == "integer" ? kInteger
                                                   : kString,
                       .help = option->help};
      if (option->is_switch()) row.default_value = "false";
      if (name == "resolution") row.help = "training size, W or W,H; without it no buckets are given";
      all.push_back(row);
    }
    return all;
  }();
  return rows;
}

constexpr ParameterRow kDatasetCreate[] = {
    {.name = "name",
     .type = kString,
     .help = "name of the folder in train/",
     .max_length = 100,
     .is_required = true},
    {.name = "trigger",
     .type = kString,
     .help = "trigger words, the caption of pictures without their own",
     .max_length = 100,
     .is_required = true},
    {.name = "repeats",
     .type = kInteger,
     .default_value = "10",
     .help = "how often each picture is shown per epoch",
     .min = 1,
     .max = kMaxRepeats},
};
constexpr ParameterRow kDatasetFolder[] = {
    {.name = "folder", .type = kString, .help = "the current N_TRIGGER", .is_required = true},
    {.name = "trigger", .type = kString, .max_length = 100, .is_required = true},
    {.name = "repeats", .type = kInteger, .min = 1, .max = kMaxRepeats, .is_required = true},
};
constexpr ParameterRow kDatasetUpload[] = {
    {.name = "file", .type = kString, .help = "file name; sanitised, and numbered if it exists"},
    {.name = "folder", .type = kString, .help = "an N_TRIGGER folder of the dataset (default: the first)"},
};
constexpr ParameterRow kDatasetPicture[] = {
    {.name = "size",
     .type = kInteger,
     .default_value = "256",
     .help = "longer side in pixels; 0: the original file",
     .min = 0,
     .max = 2048},
};
constexpr ParameterRow kDatasetCaption[] = {
    {.name = "caption", .type = kString, .max_length = 65536},
};

training::BucketOptions bucket_options(const Call& call) {
  request::LoraTraining job;
  for (const auto name : kBucketOptions)
    if (const std::string value = call.argument(name); !value.empty())
      request::set_option(*request::find_lora_option(name), job, value, name);
  return job.options.data.buckets;
}

Json pixel_size_json(const PixelSize& size) {
  return {{"width", size.width}, {"height", size.height}};
}

std::string set_picture_url(const TrainingSet& set, const SetPicture& picture) {
  return fmt::format("/v1/datasets/{}/pictures/{}?t={:.0f}", percent_encode(set.name, ""),
                     percent_encode(picture.file, "/"), picture.time * 1000);
}

Json set_picture_json(const TrainingSet& set, const SetPicture& picture) {
  const auto& folder = set.folders[picture.folder];
  return {{"file", picture.file},
          {"folder", folder.folder},
          {"url", set_picture_url(set, picture)},
          {"caption", picture.caption ? Json(*picture.caption) : Json()},
          {"learned", picture.caption.value_or(folder.trigger)},
          {"repeats", folder.repeats},
          {"width", picture.size.width},
          {"height", picture.size.height},
          {"bytes", picture.bytes},
          {"bucket", nullptr},
          {"cut", nullptr},
          {"error", picture.fault.empty() ? Json() : Json(picture.fault)}};
}

Json folders_json(const TrainingSet& set) {
  Json list = Json::array();
  for (const auto& folder : set.folders)
    list.push_back({{"folder", folder.folder},
                    {"repeats", folder.repeats},
                    {"trigger", folder.trigger},
                    {"pictures", folder.pictures}});
  return list;
}

Json set_json(const TrainingSet& set) {
  std::int64_t per_epoch = 0;
  for (const auto& folder : set.folders) per_epoch += folder.repeats * folder.pictures;
  const auto faulty =
      std::ranges::count_if(set.pictures, [](const SetPicture& p) { return !p.fault.empty(); });
  return {{"name", set.name},
          {"train_data_dir", "train/" + set.name},
          {"folders", folders_json(set)},
          {"count", set.pictures.size()},
          {"pictures_per_epoch", per_epoch},
          {"cover", set.pictures.empty() ? Json() : Json(set_picture_url(set, set.pictures.front()))},
          {"faults", set.faults},
          {"is_ready", set.faults.empty() && faulty == 0 && !set.pictures.empty()}};
}

// Where each picture will be cut to, by the trainer's own rule; in `buckets` how often an epoch shows each size.
void add_buckets(const TrainingSet& set, const training::BucketOptions& options, Json& pictures,
                 Json& buckets) {
  const training::BucketChooser chooser(options);
  std::map<PixelSize, std::int64_t> counts;
  for (std::size_t i = 0; i < set.pictures.size(); ++i) {
    const auto& picture = set.pictures[i];
    if (picture.size.width == 0) continue;
    try {
      const auto place = chooser.choose(picture.size);
      const auto whole = static_cast<double>(place.resized.width * place.resized.height);
      pictures[i]["bucket"] = pixel_size_json(place.bucket);
      pictures[i]["cut"] = 1 - static_cast<double>(place.bucket.width * place.bucket.height) / whole;
      counts[place.bucket] += set.folders[picture.folder].repeats;
    } catch (const Error& error) {
      pictures[i]["error"] = error.what();
    }
  }
  for (const auto& [size, count] : counts) {
    Json bucket = pixel_size_json(size);
    bucket["pictures"] = count;
    buckets.push_back(std::move(bucket));
  }
}

Json detail_json(const TrainingSet& set, const training::BucketOptions& options) {
  Json out = set_json(set);
  Json pictures = Json::array(), buckets = Json::array();
  for (const auto& picture : set.pictures) pictures.push_back(set_picture_json(set, picture));
  if (options.resolution.width != 0) add_buckets(set, options, pictures, buckets);
  out["pictures"] = std::move(pictures);
  out["buckets"] = std::move(buckets);
  return out;
}

Json one_picture(Services& services, const std::string& name, const std::string& file) {
  const TrainingSet set = services.datasets.open(name);
  const auto found = std::ranges::find(set.pictures, file, &SetPicture::file);
  if (found == set.pictures.end()) throw Refusal(404, "the picture has since been deleted.");
  return set_picture_json(set, *found);
}

}  // namespace

ParameterRows dataset_query() {
  return bucket_rows();
}
ParameterRows dataset_create_parameters() {
  return kDatasetCreate;
}
ParameterRows dataset_folder_parameters() {
  return kDatasetFolder;
}
ParameterRows dataset_upload_query() {
  return kDatasetUpload;
}
ParameterRows dataset_picture_query() {
  return kDatasetPicture;
}
ParameterRows dataset_caption_parameters() {
  return kDatasetCaption;
}

Reply dataset_list(Services& services, const Call&) {
  Json list = Json::array();
  for (const auto& name : services.datasets.names()) list.push_back(set_json(services.datasets.open(name)));
  return json_reply({{"datasets", list}});
}

Reply dataset_detail(Services& services, const Call& call) {
  return json_reply(detail_json(services.datasets.open(call.at("name")), bucket_options(call)));
}

Reply dataset_create(Services& services, const Call& call) {
  const Json body = read_body(kDatasetCreate, call.body);
  const std::string name = body["name"].get<std::string>();
  services.datasets.create(name, body["trigger"].get<std::string>(), body["repeats"].get<std::int64_t>());
  return json_reply(detail_json(services.datasets.open(name), {}), 201);
}

Reply dataset_rename_folder(Services& services, const Call& call) {
  const Json body = read_body(kDatasetFolder, call.body);
  services.datasets.rename_folder(call.at("name"), body["folder"].get<std::string>(),
                                  body["trigger"].get<std::string>(), body["repeats"].get<std::int64_t>());
  return json_reply(detail_json(services.datasets.open(call.at("name")), {}));
}

Reply dataset_add_picture(Services& services, const Call& call) {
  if (call.body.empty()) throw Refusal(422, "the body is empty; send the picture file as the body.");
  const std::string& name = call.at("name");
  const std::string file =
      services.datasets.add_picture(name, call.argument("folder"), call.argument("file"), call.body);
  return json_reply(one_picture(services, name, file), 201);
}

Reply dataset_picture(Services& services, const Call& call) {
  Faults faults;
  const Json query = read_query(kDatasetPicture, call.query, faults);
  faults.throw_if_any();
  const auto path = services.datasets.picture(call.at("name"), call.at("file"));
  const int side = query["size"].get<int>();
  Reply reply;
  if (side == 0) {
    reply = bytes_reply(read_file(path, 256u << 20), image::picture_mime(path));
  } else {
    image::Picture picture = image::load_picture(path);
    const double scale = std::min(1.0, static_cast<double>(side) / std::max(picture.width, picture.height));
    const auto scaled = [&](int length) { return std::max(1, static_cast<int>(length * scale + 0.5)); };
    if (scale < 1) picture = image::resize(picture, scaled(picture.width), scaled(picture.height));
    const auto bytes = image::encode_picture(
        picture, {.format = image::PictureFormat::kWebp, .quality = 85, .parameters = ""});
    reply = bytes_reply(std::string(bytes.begin(), bytes.end()), "image/webp");
  }
  // The address changes with the file.
  reply.headers.emplace_back("Cache-Control", "private, max-age=86400");
  reply.headers.emplace_back("X-Content-Type-Options", "nosniff");
  return reply;
}

Reply dataset_delete_picture(Services& services, const Call& call) {
  services.datasets.remove_picture(call.at("name"), call.at("file"));
  return json_reply({{"deleted", call.at("file")}});
}

Reply dataset_caption(Services& services, const Call& call) {
  const Json body = read_body(kDatasetCaption, call.body);
  if (!parse_json(call.body).contains("caption"))
    refuse_field("caption", "field required; null removes the picture's own caption", "value_error.missing");
  std::optional<std::string> caption;
  if (body["caption"].is_string()) caption = body["caption"].get<std::string>();
  services.datasets.write_caption(call.at("name"), call.at("file"), caption);
  return json_reply(one_picture(services, call.at("name"), call.at("file")));
}

}  // namespace lowrank::server
