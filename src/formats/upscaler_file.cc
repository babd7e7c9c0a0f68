#include "formats/upscaler_file.h"

#include <algorithm>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/files_below.h"
#include "formats/natural_order.h"
#include "formats/quantised_form.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;

// Without the dictionary that some trainers save the parameters in; safetensors made of it may keep its name.
std::string without_root(const std::string& name) {
  for (const char* root : {"params_ema.", "params.", "module."})
    if (name.starts_with(root)) return name.substr(std::string_view(root).size());
  return name;
}

// A dense block's convolution in any of the three namings → body.N.rdbK.convJ.KIND.
std::optional<std::string> dense_block(const std::string& name) {
  static const std::regex pattern(
      R"((?:model\.1\.sub|RRDB_trunk|body)\.(\d+)\.(?:RDB|rdb)(\d)\.conv(\d)\.(?:0\.)?(weight|bias))");
  std::smatch m;
  if (!std::regex_match(name, m, pattern)) return std::nullopt;
  return fmt::format("body.{}.rdb{}.conv{}.{}", m[1].str(), m[2].str(), m[3].str(), m[4].str());
}

// BSRGAN's names and Real-ESRGAN's own.
std::string plain_layer(const std::string& name) {
  static const std::pair<std::string_view, std::string_view> kNames[] = {
      {"trunk_conv.", "conv_body."}, {"upconv", "conv_up"}, {"HRconv.", "conv_hr."}};
  for (const auto& [theirs, ours] : kNames)
    if (name.starts_with(theirs)) return std::string(ours) + name.substr(theirs.size());
  return name;
}

// The first ESRGAN numbers its layers: 0 first, 1 body, then a doubling at 3, 6 …, and the last two at the
// end.
struct OldLayout {
  std::map<int, std::string> layers;  // place → name here, without "."

  explicit OldLayout(std::vector<int> places) {
    std::ranges::sort(places);
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (std::size_t i = 0; i < places.size(); ++i) {
      const int place = places[i];
      if (place == 0) {
        layers[place] = "conv_first";
      } else if (i + 1 == places.size()) {
        layers[place] = "conv_last";
      } else if (i + 2 == places.size()) {
        layers[place] = "conv_hr";
      } else if (place % 3 == 0) {
        layers[place] = "conv_up" + std::to_string(place / 3);
      }
    }
  }
};

std::optional<std::pair<int, std::string>> numbered(const std::string& name) {
  static const std::regex pattern(R"(model\.(\d{1,3})\.(weight|bias))");
  std::smatch m;
  if (!std::regex_match(name, m, pattern)) return std::nullopt;
  return std::pair(std::stoi(m[1].str()), m[2].str());
}

std::optional<std::string> old_trunk(const std::string& name) {
  static const std::regex pattern(R"(model\.1\.sub\.\d+\.(weight|bias))");
  std::smatch m;
  if (!std::regex_match(name, m, pattern)) return std::nullopt;
  return "conv_body." + m[1].str();
}

OldLayout old_layout(const weights::TensorFile& file) {
  std::vector<int> places;
  for (const auto& view : file.tensors())
    if (const auto layer = numbered(without_root(view.name))) places.push_back(layer->first);
  return OldLayout(std::move(places));
}

std::string canonical(const std::string& name, const OldLayout& old) {
  if (const auto block = dense_block(name)) return *block;
  if (const auto trunk = old_trunk(name)) return *trunk;
  if (const auto layer = numbered(name)) {
    const auto known = old.layers.find(layer->first);
    return known == old.layers.end() ? name : known->second + "." + layer->second;
  }
  return plain_layer(name);
}

}  // namespace

UpscalerFile open_upscaler(const fs::path& path) {
  UpscalerFile opened{.parameters = {}, .file = weights::TensorFile::open(path)};
  refuse_quantised(*opened.file, Integers::kAreNone);
  const OldLayout old = old_layout(*opened.file);
  for (const auto& view : opened.file->tensors())
    opened.parameters.emplace(canonical(without_root(view.name), old), view);
  // The compact form has nothing but numbered layers; slopes have no bias.
  if (opened.parameters.contains("body.0.weight") && opened.parameters.contains("body.1.weight") &&
      !opened.parameters.contains("body.1.bias"))
    return opened;
  for (const char* needed :
       {"conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight", "conv_last.weight"})
    if (!opened.parameters.contains(needed))
      throw Error(
          kUnsupported,
          "{}: is not a supported upscaler, it lacks '{}'; ESRGAN, BSRGAN and Real-ESRGAN files work.",
          path.string(), needed);
  return opened;
}

}  // namespace lowrank::formats
