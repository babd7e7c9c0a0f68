#include "cli/engine/generation_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <variant>

#include "base/error.h"
#include "base/text/text.h"
#include "cli/engine/word_reader.h"
#include "library/library.h"
#include "library/picture_settings.h"
#include "prompt/infotext.h"
#include "request/field_table.h"
#include "request/metadata.h"

namespace lowrank::cli {
namespace {

using request::FieldRow;
using request::GenerationRequest;

void set_size(GenerationRequest& request, const std::string& text) {
  const auto x = text.find('x');
  const auto side = [&](std::string_view part) {
    const auto value = parse_integer(part);
    if (!value || *value < 1 || *value > 4096)
      throw Error(kBadInput, "--size is '{}', but must be WIDTHxHEIGHT in pixels, such as 512x768.", text);
    return *value;
  };
  if (x == std::string::npos) {
    request.width = request.height = side(text);
  } else {
    request.width = side(std::string_view(text).substr(0, x));
    request.height = side(std::string_view(text).substr(x + 1));
  }
}

void set_device(const std::string& text) {
  if (text != "cpu")
    throw Error(kUnsupported,
                "--device {} is not available in this build, whose libtorch runs on the CPU; use cpu.", text);
}

void set_axis(std::string& axis, const std::string& text, const char* flag) {
  if (!axis.empty())
    throw Error(kBadInput, "--{} is given twice, '{}' and '{}'; a second axis is --y, a third --z.", flag,
                axis, text);
  axis = text;
}

// Options that are no field of the request.
struct OwnOption {
  std::string_view flag;
  bool takes_value;
  void (*set)(GenerationArguments& arguments, const std::string& value);
};
using A = GenerationArguments;
constexpr OwnOption kOwnOptions[] = {
    {"size", true, [](A& a, const std::string& v) { set_size(a.request, v); }},
    {"output", true, [](A& a, const std::string& v) { a.output = v; }},
    {"format", true, [](A& a, const std::string& v) { a.format = v; }},
    {"quality", true, [](A& a, const std::string& v) { a.quality = whole_number("quality", v, 1, 100); }},
    {"data-dir", true, [](A& a, const std::string& v) { a.data_dir = v; }},
    {"threads", true, [](A& a, const std::string& v) { a.threads = whole_number("threads", v, 0, 1024); }},
    {"int8", false, [](A& a, const std::string&) { a.int8 = true; }},
    {"prompt-limits", true,
     [](A& a, const std::string& v) { a.prompt_limits = prompt::parse_prompt_limits(v, "--prompt-limits"); }},
    {"device", true, [](A&, const std::string& v) { set_device(v); }},
    {"preview", true, [](A& a, const std::string& v) { a.preview = v; }},
    {"from", true, [](A& a, const std::string& v) { a.from = v; }},
    {"json", false, [](A& a, const std::string&) { a.json = true; }},
    {"init", true, [](A& a, const std::string& v) { a.init.emplace_back(v); }},
    {"mask", true, [](A& a, const std::string& v) { a.mask = v; }},
    {"x", true, [](A& a, const std::string& v) { set_axis(a.x_axis, v, "x"); }},
    {"y", true, [](A& a, const std::string& v) { set_axis(a.y_axis, v, "y"); }},
    {"z", true, [](A& a, const std::string& v) { set_axis(a.z_axis, v, "z"); }},
    {"no-sheet", false, [](A& a, const std::string&) { a.no_sheet = true; }},
    {"file", true, [](A& a, const std::string& v) { a.prompts_file = v; }},
    {"iterate-seed", false, [](A& a, const std::string&) { a.iterate_seed = true; }},
    {"same-seed", false, [](A& a, const std::string&) { a.same_seed = true; }},
    {"parts-first", false, [](A& a, const std::string&) { a.matrix_at_start = true; }},
    {"vary-negative", false, [](A& a, const std::string&) { a.matrix_negative = true; }},
    {"join-by-blank", false, [](A& a, const std::string&) { a.matrix_blank = true; }},
    {"different-seeds", false, [](A& a, const std::string&) { a.different_seeds = true; }},
    {"quiet", false, [](A& a, const std::string&) { a.quiet = true; }},
};

std::string long_name(const std::string& word) {
  if (word == "-p") return "prompt";
  if (word == "-n") return "negative";
  if (word == "-o") return "output";
  return word.starts_with("--") ? word.substr(2) : "";
}

// One option with its value, as written.
struct Option {
  const OwnOption* own = nullptr;
  const FieldRow* field = nullptr;
  std::string flag, value;
};

bool is_switch(const Option& option) {
  if (option.own != nullptr) return !option.own->takes_value;
  return option.field->is_switch();
}

std::vector<Option> split_words(std::span<const std::string> words, std::string_view command) {
  std::vector<Option> options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    Option option;
    std::string flag = long_name(words[i]);
    std::optional<std::string> value;
    if (const auto equals = flag.find('='); equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    }
    const auto own = std::ranges::find(kOwnOptions, flag, &OwnOption::flag);
    option.own = own == std::end(kOwnOptions) ? nullptr : &*own;
    option.field = request::field_by_flag(flag);
    if (option.own == nullptr && option.field == nullptr)
      throw Error(kBadInput, "'{}' is no option of {}; 'lowrank {} --help' lists them.", words[i], command,
                  command);
    option.flag = flag;
    if (value) {
      option.value = *value;
    } else if (is_switch(option)) {
      option.value = "true";
    } else if (++i < words.size()) {
      option.value = words[i];
    } else {
      throw Error(kBadInput, "--{} needs a value behind it.", flag);
    }
    options.push_back(std::move(option));
  }
  return options;
}

// What decides the picture and the settings do not say is filled in by this program: that is told.
void note_what_is_missing(GenerationArguments& arguments, const prompt::Infotext& infotext) {
  std::string missing;
  for (const char* label : {"Seed", "Steps", "Sampler", "CFG scale", "Size-1"})
    if (infotext.find(label) == nullptr)
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ",
                             label == std::string_view("Size-1") ? "Size" : label);
  if (!missing.empty())
    arguments.notes.push_back(
        fmt::format("{}: does not say {}, so LowRank's own are taken{}.", arguments.from.string(), missing,
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
        fmt::format("{}: was made by {}, whose pictures come out otherwise with equal settings.",
                    arguments.from.string(), settings.generator));
  if (infotext.prompt.find("<lora:") != std::string::npos || infotext.find("AddNet Model 1") != nullptr)
    library::use_local_names(infotext,
                             library::Library::open(library::find_data_dir(arguments.data_dir.string())));
  note_what_is_missing(arguments, infotext);
  for (const auto& label : request::apply_metadata(arguments.request, infotext))
    arguments.notes.push_back(fmt::format("{}: '{}' is unknown to LowRank, so the picture may differ.",
                                          arguments.from.string(), label));
  if (const std::string* weights = infotext.find("U-Net weights")) arguments.int8 = *weights == "int8";
  if (const std::string* hash = infotext.find("Init image hash")) arguments.init_hash = *hash;
  if (request::is_img2img(infotext) && arguments.init.empty())
    arguments.notes.push_back(fmt::format(
        "{}: was made from another picture, which {} does not have; give it with 'lowrank img2img --init'.",
        arguments.from.string(), command));
}

}  // namespace

GenerationArguments parse_generation(std::span<const std::string> words, std::string_view command) {
  const std::vector<Option> options = split_words(words, command);
  GenerationArguments arguments;
  for (const Option& option : options)
    if (option.own != nullptr) option.own->set(arguments, option.value);
  const auto [width, height] = std::pair(arguments.request.width, arguments.request.height);
  if (!arguments.from.empty()) repeat_picture(arguments, command);
  if (width > 0) arguments.request.width = width;
  if (height > 0) arguments.request.height = height;
  for (const Option& option : options)
    if (option.field != nullptr)
      request::set_field(arguments.request, *option.field, option.value, "--" + option.flag);
  return arguments;
}

}  // namespace lowrank::cli
