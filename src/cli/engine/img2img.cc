// `lowrank img2img`: pictures become other pictures, whole or under a mask; a folder of them one after the
// other.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/log_line.h"
#include "cli/engine/cli_generator.h"
#include "cli/engine/commands.h"
#include "cli/engine/generation_arguments.h"
#include "image/codec/codec.h"
#include "library/picture_files.h"
#include "pipeline/pictures/init_pictures.h"
#include "request/fault_list.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

// The mask of a picture: --mask itself, or the file of the same stem in the folder that it names. A folder
// without one leaves the picture unmasked only when that is said; here it is an error.
std::optional<image::Mask> mask_for(const fs::path& mask, const fs::path& picture) {
  if (mask.empty()) return std::nullopt;
  if (!fs::is_directory(mask)) return image::load_mask(mask);
  for (const auto& file : library::picture_files(mask))
    if (file.stem() == picture.stem()) return image::load_mask(file);
  throw Error(kNotFound, "no mask for {} in {}; give the mask the same file name.", picture.string(),
              mask.string());
}

// Opens every picture of a folder and its mask once, so that a bad one stops the work before it begins.
void check_pictures(const std::vector<fs::path>& pictures, const fs::path& mask) {
  request::FaultList faults;
  for (const fs::path& picture : pictures) {
    faults.add_from([&] { image::load_picture(picture); });
    faults.add_from([&] { mask_for(mask, picture); });
  }
  faults.throw_if_any();
}

// Says so when --from names settings that were made from another picture than the one given.
void compare_hash(const GenerationArguments& arguments, const image::Picture& picture, const fs::path& file) {
  if (arguments.init_hash.empty() || arguments.init_hash == pipeline::init_picture_hash(picture)) return;
  log_line(stderr, "warning: {}: is not the picture that {} was made from, so the result will differ.\n",
           file.string(), arguments.from.string());
}

}  // namespace

int img2img(const CommandCall& call) {
  const GenerationArguments arguments = read_generation(call.arguments, "img2img");
  request::check_request(arguments.request);
  const auto pictures = library::expand_pictures(arguments.init);
  if (pictures.empty())
    throw Error(kBadInput, "img2img needs an input picture: --init FILE, or a folder of pictures.");
  const auto count = static_cast<std::size_t>(arguments.request.picture_count());
  CliGenerator generator(arguments, "img2img-images", pictures.size() * count, call.stop);
  generator.check(std::span(&arguments.request, 1));
  if (pictures.size() > 1) check_pictures(pictures, arguments.mask);
  std::vector<SavedGeneration> series;
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    request::GenerationRequest request = arguments.request;
    request.init_images = {image::load_picture(pictures[i])};
    request.mask = mask_for(arguments.mask, pictures[i]);
    compare_hash(arguments, request.init_images.front(), pictures[i]);
    if (pictures.size() > 1) generator.announce(i + 1, pictures.size());
    series.push_back(generator.make(request, pictures[i].stem().string()));
    if (pictures.size() > 1)
      for (auto& picture : series.back().result.pictures)
        picture.picture.rgb.clear();  // saved; a folder may be large
  }
  if (series.size() == 1) {
    generator.print(series.front());
  } else {
    generator.print(series, "");
  }
  return 0;
}

}  // namespace lowrank::cli
