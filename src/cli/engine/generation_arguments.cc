#include "cli/engine/generation_arguments.h"

#include <fmt/format.h>

#include "base/error.h"
#include "library/library.h"
#include "library/picture_settings.h"
#include "prompt/infotext.h"
#include "request/field_table.h"
#include "request/metadata.h"
#include "request/preview_types.h"

namespace lowrank::cli {
namespace {

using request::FieldRow;
using request::GenerationRequest;

void check_device(const std::string& name) {
  if (name != "cpu")
    throw Error(kUnsupported,
                "--device {} is not available in this build, whose libtorch runs on the CPU; use cpu.", name);
}

std::string axis_text(const Arguments& given, const char* flag) {
  const std::vector<std::string> axes = given.values(flag);
  if (axes.size() > 1)
    throw Error(kBadInput,
                "--{} is given twice, '{}' and '{}'; use --y for a second axis and --z for a third.", flag,
                axes[0], axes[1]);
  return axes.empty() ? "" : axes.front();
}

// Options that are no field of the request.
GenerationArguments own_options(const Arguments& given) {
  check_device(given.value("device"));
  const std::vector<std::string> init = given.values("init");
  GenerationArguments arguments;
  static_cast<OutputOptions&>(arguments) = read_output_options(given);
  arguments.int8 = given.has("int8");
  arguments.prompt_limits = prompt::parse_prompt_limits(given.value("prompt-limits"), "--prompt-limits");
  arguments.from = given.value("from");
  arguments.preview = given.value("preview");
  arguments.preview_type =
      request::find_preview_type(given.value("preview-type")).value_or(request::PreviewType::kBest);
  arguments.init = {init.begin(), init.end()};
  arguments.mask = given.value("mask");
  arguments.x_axis = axis_text(given, "x");
  arguments.y_axis = axis_text(given, "y");
  arguments.z_axis = axis_text(given, "z");
  arguments.no_sheet = given.has("no-sheet");
  arguments.prompts_file = given.value("file");
  arguments.iterate_seed = given.has("iterate-seed");
  arguments.same_seed = given.has("same-seed");
  arguments.matrix_at_start = given.has("parts-first");
  arguments.matrix_negative = given.has("vary-negative");
  arguments.matrix_blank = given.has("join-by-blank");
  arguments.different_seeds = given.has("different-seeds");
  return arguments;
}

// What decides the picture and the settings do not say is filled in by this program: that is told.
void note_what_is_missing(GenerationArguments& arguments, const prompt::Infotext& infotext) {
  std::string missing;
  for (const char* label : {"Seed", "Steps", "Sampler", "CFG scale", "Size-1"})
    if (infotext.find(label) == nullptr)
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ",
                             label == std::string_view("Size-1") ? "Size" : label);
  if (!missing.empty())
    arguments.notes.push_back(fmt::format(
        "{}: does not state {}, so LowRank's defaults are used{}.", arguments.from.string(), missing,
        infotext.find("Seed") == nullptr ? ", and a random seed unless --seed is given" : ""));
}

void repeat_picture(GenerationArguments& arguments, std::string_view command) {
  const prompt::PictureSettings settings = library::load_settings(arguments.from);
  prompt::Infotext infotext = settings.infotext;
  if (!settings.is_understood)
    throw Error(kBadInput, "{}: {}", arguments.from.string(), settings.notes.back());
  for (const std::string& note : settings.notes)
    arguments.notes.push_back(fmt::format("{}: {}", arguments.from.string(), note));
  if (settings.generator != "A1111")
    arguments.notes.push_back(
        fmt::format("{}: was made by {}, whose pictures differ even with the same settings.",
                    arguments.from.string(), settings.generator));
  if (infotext.prompt.find("<lora:") != std::string::npos || infotext.find("AddNet Model 1") != nullptr)
    library::use_local_names(infotext,
                             library::Library::open(library::find_data_dir(arguments.data_dir.string())));
  note_what_is_missing(arguments, infotext);
  for (const auto& label : request::apply_metadata(arguments.request, infotext))
    arguments.notes.push_back(fmt::format("{}: '{}' is not supported by LowRank, so the picture may differ.",
                                          arguments.from.string(), label));
  if (const std::string* weights = infotext.find("U-Net weights")) arguments.int8 = *weights == "int8";
  if (const std::string* hash = infotext.find("Init image hash")) arguments.init_hash = *hash;
  if (request::is_img2img(infotext) && arguments.init.empty())
    arguments.notes.push_back(fmt::format(
        "{}: was made from an input picture that is not stored in {}; pass it with 'lowrank img2img --init'.",
        arguments.from.string(), command));
}

}  // namespace

GenerationArguments read_generation(const Arguments& given, std::string_view command) {
  GenerationArguments arguments = own_options(given);
  if (!arguments.from.empty()) repeat_picture(arguments, command);
  if (given.has("size")) {
    const auto [width, height] = request::parse_size(given.value("size"), "--size");
    arguments.request.width = static_cast<int>(width);
    arguments.request.height = static_cast<int>(height);
  }
  for (const FieldRow& row : request::field_table())
    for (const std::string& value : given.values(row.flag))
      request::set_field(arguments.request, row, value, fmt::format("--{}", row.flag));
  // A refiner that is named is meant to act: as on the page, it does from A1111's usual place on.
  const FieldRow& switch_at = *request::field_by_api("refiner_switch_at");
  if (given.has("refiner") && !given.has(switch_at.flag) && arguments.request.refiner_switch_at.value == 0)
    request::set_field(arguments.request, switch_at, switch_at.traits.form.first_value, "--refiner");
  return arguments;
}

}  // namespace lowrank::cli
