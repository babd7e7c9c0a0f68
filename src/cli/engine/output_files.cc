#include "cli/engine/output_files.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <utility>

#include "base/error.h"
#include "prompt/infotext.h"
#include "prompt/text.h"

namespace lowrank::cli {
namespace {

namespace fs = std::filesystem;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// A value of the metadata as part of a file name: no separators, nothing hidden.
std::string as_name(std::string text) {
  for (char& c : text)
    if (c == '/' || c == '\\' || std::iscntrl(static_cast<unsigned char>(c)) != 0) c = '_';
  return text;
}

// One more than the largest number that a file name in the folder begins with.
int next_number(const fs::path& folder) {
  int next = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? fs::path(".") : folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const auto digits =
        std::ranges::find_if(name, [](unsigned char c) { return std::isdigit(c) == 0; }) - name.begin();
    if (digits > 0 && digits < 9)
      next = std::max(next, std::stoi(name.substr(0, static_cast<std::size_t>(digits))) + 1);
  }
  return next;
}

bool is_picture_extension(const std::string& extension) {
  const std::string lower = prompt::lower(extension);
  return lower == ".png" || lower == ".jpg" || lower == ".jpeg" || lower == ".webp";
}

}  // namespace

OutputFiles::OutputFiles(const GenerationArguments& arguments, std::string_view folder)
    : pattern_(arguments.output), quality_(arguments.quality), pictures_(arguments.request.picture_count()) {
  if (pattern_.empty()) {
    pattern_ = (arguments.data_dir / "outputs" / folder / "[date]/[number]-[seed]").string();
  } else if (pattern_.ends_with('/') || fs::is_directory(pattern_)) {
    pattern_ = (fs::path(pattern_) / "[number]-[seed]").string();
  } else if (const std::string extension = fs::path(pattern_).extension().string();
             is_picture_extension(extension)) {
    extension_ = extension;
    pattern_.resize(pattern_.size() - extension.size());
  }
  const std::string asked = arguments.format.empty() ? "png" : prompt::lower(arguments.format);
  format_ =
      image::picture_format(extension_.empty() || !arguments.format.empty() ? asked : extension_.substr(1));
  if (!extension_.empty() && format_ != image::picture_format(extension_.substr(1)))
    throw Error(kBadInput, "--format {} contradicts the output name '{}'; leave one of them out.",
                arguments.format, arguments.output);
  if (extension_.empty()) extension_ = "." + asked;
}

std::string OutputFiles::name(const pipeline::GeneratedPicture& picture,
                              const std::string& picture_name) const {
  const prompt::Infotext infotext = prompt::parse_infotext(picture.metadata);
  const auto entry = [&](std::string_view label) {
    const std::string* value = infotext.find(label);
    return value == nullptr ? std::string() : as_name(*value);
  };
  std::string name = pattern_;
  if (pictures_ > 1 && picture.index > 0 && name.find("[number]") == std::string::npos &&
      name.find("[index]") == std::string::npos && name.find("[seed]") == std::string::npos)
    name += fmt::format("-{}", picture.index + 1);
  replace_all(name, "[name]", as_name(picture_name));
  replace_all(name, "[seed]", std::to_string(picture.seed));
  replace_all(name, "[index]", std::to_string(picture.index + 1));
  replace_all(name, "[width]", std::to_string(picture.picture.width));
  replace_all(name, "[height]", std::to_string(picture.picture.height));
  replace_all(name, "[model]", entry("Model"));
  replace_all(name, "[sampler]", entry("Sampler"));
  replace_all(name, "[steps]", entry("Steps"));
  replace_all(name, "[cfg]", entry("CFG scale"));
  replace_all(name, "[date]", fmt::format("{:%Y-%m-%d}", fmt::localtime(std::time(nullptr))));
  if (name.find("[number]") != std::string::npos)
    replace_all(name, "[number]", fmt::format("{:05}", next_number(fs::path(name).parent_path())));
  return name + extension_;
}

fs::path OutputFiles::save(const pipeline::GeneratedPicture& picture, const std::string& picture_name) {
  fs::path path = name(picture, picture_name);
  image::save_picture(path, picture.picture,
                      {.format = format_, .quality = quality_, .parameters = picture.metadata});
  return path;
}

}  // namespace lowrank::cli
