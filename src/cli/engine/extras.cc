// `lowrank extras`: finished pictures are made larger.
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/log_line.h"
#include "base/progress.h"
#include "base/text/text.h"
#include "cli/engine/commands.h"
#include "cli/engine/output_options.h"
#include "cli/engine/resources.h"
#include "image/codec/codec.h"
#include "library/picture_files.h"
#include "library/picture_settings.h"
#include "pipeline/pictures/extras.h"
#include "request/fault_list.h"
#include "request/field_table.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

struct ExtrasArguments : OutputOptions {
  request::ExtrasRequest request = {};
  std::vector<fs::path> pictures = {};
};

std::optional<std::string> settings_text(const fs::path& picture) {
  const auto settings = library::settings_beside(picture);
  return settings ? std::optional(settings->text) : std::nullopt;
}

ExtrasArguments read_extras(const Arguments& given) {
  ExtrasArguments a;
  static_cast<OutputOptions&>(a) = read_output_options(given);
  a.pictures = {given.positionals.begin(), given.positionals.end()};
  for (const auto& row : request::extras_field_table())
    for (const std::string& value : given.values(row.flag))
      request::set_field(a.request, row, value, fmt::format("--{}", row.flag));
  if (given.has("width") || given.has("height")) a.request.resize_mode = 1;
  return a;
}

// The pictures in the form of --output: a file, a folder ('/' at the end, or one that is there), or none.
fs::path asked_file(const ExtrasArguments& a, const fs::path& picture) {
  const std::string extension = a.format.empty() ? ".png" : "." + lower(a.format);
  const bool is_folder = !a.output.empty() && (a.output.ends_with('/') || fs::is_directory(a.output));
  if (!a.output.empty() && !is_folder) {
    if (a.pictures.size() > 1)
      throw Error(kBadInput, "--output names a single file for {} pictures; give a folder, ending in '/'.",
                  a.pictures.size());
    const fs::path file = a.output;
    return file.has_extension() ? file : fs::path(file.string() + extension);
  }
  const fs::path folder = is_folder ? fs::path(a.output) : a.data_dir / "outputs/extras-images";
  return folder / (picture.stem().string() + extension);
}

// As OutputFiles: nothing is overwritten but, by the only picture with a name of its own, an older picture of LowRank.
fs::path save_enlarged(const ExtrasArguments& a, const fs::path& picture, const image::Picture& enlarged,
                       const std::string& parameters) {
  const fs::path asked = asked_file(a, picture);
  const image::EncodeOptions options{.format = image::picture_format(asked.extension().string().substr(1)),
                                     .quality = a.quality,
                                     .parameters = parameters};
  std::error_code failure;
  const bool is_named = !a.output.empty() && asked.filename() == fs::path(a.output).filename();
  if (is_named && fs::is_regular_file(asked, failure) && !fs::equivalent(asked, picture, failure) &&
      library::is_own_picture(asked)) {
    log_line(stderr, "warning: {}: an older LowRank picture was replaced.\n", asked.string());
    image::save_picture(asked, enlarged, options);
    return asked;
  }
  fs::path file = image::save_new_picture(asked, enlarged, options);
  if (file != asked)
    log_line(stderr, "warning: {} already exists and was kept; the picture was saved as {}.\n",
             asked.string(), file.string());
  return file;
}

}  // namespace

int extras(const CommandCall& call) {
  ExtrasArguments a = read_extras(call.arguments);
  a.pictures = library::expand_pictures(a.pictures);
  if (a.pictures.empty()) throw Error(kBadInput, "extras needs a picture or a folder of pictures.");
  request::check_request(a.request);
  if (a.request.upscaler_1 == "None")
    throw Error(kBadInput, "nothing to do: choose an upscaler with --upscaler, for example Lanczos.");
  // A name that does not fit is told before the first picture.
  image::picture_format(asked_file(a, a.pictures.front()).extension().string().substr(1));
  if (a.threads > 0) at::set_num_threads(a.threads);
  warn_unreadable_folders(a.data_dir);
  pipeline::Upscalers upscalers(resources(a.data_dir).upscalers);
  request::FaultList faults;
  for (const std::string& name : {a.request.upscaler_1, a.request.upscaler_2})
    if (!name.empty()) faults.add_from([&] { upscalers.check(name); });
  if (a.pictures.size() > 1)
    for (const fs::path& picture : a.pictures) faults.add_from([&] { image::load_picture(picture); });
  faults.throw_if_any();
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < a.pictures.size(); ++i) {
    throw_if_stopped(call.stop);
    const fs::path& picture = a.pictures[i];
    if (!a.quiet && a.pictures.size() > 1)
      log_line(stderr, "picture {}/{} {}\n", i + 1, a.pictures.size(), picture.string());
    const auto result = pipeline::run_extras(a.request, image::load_picture(picture), upscalers, call.stop);
    const fs::path file = save_enlarged(a, picture, result.picture,
                                        pipeline::extras_metadata(settings_text(picture), result.info));
    if (!a.json) fmt::print("{}  {}x{}\n", file.string(), result.picture.width, result.picture.height);
    all.push_back({{"file", file.string()},
                   {"from", picture.string()},
                   {"width", result.picture.width},
                   {"height", result.picture.height},
                   {"info", result.info}});
  }
  if (a.json)
    fmt::print("{}\n", nlohmann::ordered_json{{"pictures", all}}.dump(
                           2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  return 0;
}

}  // namespace lowrank::cli
