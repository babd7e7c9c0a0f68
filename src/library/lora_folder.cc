#include "library/lora_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/ascii.h"
#include "base/error.h"
#include "formats/natural_order.h"
#include "library/index/walk.h"
#include "library/near_names.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

// The reader of safetensors refuses longer headers too.
constexpr std::uint64_t kMaxHeaderBytes = 100u << 20;

// Takes the strings of `__metadata__` and stops reading behind it, or at the first sign of a broken header.
class MetadataSax : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::map<std::string, std::string> found;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_array(std::size_t) override {
    ++depth_;
    return true;
  }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool string(string_t& value) override {
    if (inside_ && depth_ == 2 && !key_.empty()) found[key_] = value;
    key_.clear();
    return true;
  }
  bool key(string_t& value) override {
    if (depth_ == 1) inside_ = value == "__metadata__";
    key_ = value;
    return true;
  }
  bool start_object(std::size_t) override {
    ++depth_;
    return true;
  }
  bool end_object() override {
    --depth_;
    return !(inside_ && depth_ == 1);
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  int depth_ = 0;
  bool inside_ = false;
  std::string key_;
};

}  // namespace

std::map<std::string, std::string> safetensors_metadata(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::uint64_t length = 0;
  unsigned char bytes[8];
  if (!in.read(reinterpret_cast<char*>(bytes), sizeof(bytes))) return {};
  for (int i = 7; i >= 0; --i) length = length << 8 | bytes[i];
  std::error_code failure;
  const std::uint64_t size = fs::file_size(path, failure);
  if (failure || length > kMaxHeaderBytes || length > size - 8) return {};
  std::string header(static_cast<std::size_t>(length), '\0');
  if (!in.read(header.data(), static_cast<std::streamsize>(length))) return {};
  // A header without metadata need not be read at all.
  if (header.find("__metadata__") == std::string::npos) return {};
  MetadataSax sax;
  nlohmann::json::sax_parse(header, &sax);
  return sax.found;
}

std::string prompt_alias(const fs::path& path, const std::map<std::string, std::string>& metadata) {
  if (const auto alias = metadata.find("ss_output_name"); alias != metadata.end() && !alias->second.empty())
    return alias->second;
  const std::string name = path.stem().string();
  for (const std::string_view common : {"pytorch_lora_weights", "adapter_model"}) {
    if (name != common) continue;
    const fs::path folder = path.parent_path().filename();
    // PEFT keeps one adapter per component in folders of these names.
    return (folder == "unet" || folder == "text_encoder" ? path.parent_path().parent_path().filename()
                                                         : folder)
        .string();
  }
  return name;
}

LoraFolder::LoraFolder(std::vector<LoraPlace> places) : files_(std::move(places)), forbidden_{"none"} {
  for (std::size_t index = 0; index < files_.size(); ++index) {
    const LoraPlace& place = files_[index];
    if (by_alias_.contains(place.alias)) forbidden_.insert(lower_ascii(place.alias));
    by_name_[place.name] = index;
    by_alias_[place.name] = index;
    by_alias_[place.alias] = index;
  }
}

LoraFolder LoraFolder::scan(const std::vector<fs::path>& folders) {
  std::vector<LoraPlace> places;
  std::vector<fs::path> scanned;
  for (const fs::path& folder : folders) {
    if (folder.empty()) continue;
    scanned.push_back(folder);
    std::vector<fs::path> files;
    walk(
        place_named("lora"), folder,
        [&](Listing&& listing) {
          for (const ListedFile& file : listing.models)
            files.push_back(folder / listing.relative / file.name);
        },
        [](const std::string&, const std::string&) {});
    std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
      return formats::natural_less(a.string(), b.string());
    });
    for (const fs::path& file : files) {
      const bool has_metadata = lower_ascii(file.extension().string()) == ".safetensors";
      places.push_back({.path = file,
                        .name = file.stem().string(),
                        .alias = prompt_alias(file, has_metadata ? safetensors_metadata(file)
                                                                 : std::map<std::string, std::string>()),
                        .relative = file.lexically_relative(folder).replace_extension().generic_string()});
    }
  }
  LoraFolder result(std::move(places));
  result.folders_ = std::move(scanned);
  return result;
}

LoraFolder LoraFolder::scan(const DataDir& data) {
  std::vector<fs::path> folders;
  for (const PlaceRow& place : place_table())
    if (place.kind == "lora") folders.push_back(folder_of(place, data));
  return scan(folders);
}

std::optional<fs::path> LoraFolder::find(std::string_view name) const {
  const auto& table = is_forbidden(name) ? by_name_ : by_alias_;
  if (const auto found = table.find(name); found != table.end()) return files_[found->second].path;
  for (auto place = files_.rbegin(); place != files_.rend(); ++place)
    if (place->relative == name || place->relative + place->path.extension().string() == name)
      return place->path;
  return std::nullopt;
}

fs::path LoraFolder::resolve(std::string_view name) const {
  if (const auto path = find(name)) return *path;
  std::vector<std::string> known;
  for (const auto& place : files_) {
    known.push_back(place.name);
    if (place.alias != place.name) known.push_back(place.alias);
  }
  const auto near = near_names(name, known);
  const std::string folder =
      folders_.empty() ? "models/Lora" : folders_[folders_.size() > 1 ? 1 : 0].string();
  if (!near.empty())
    throw Error(kNotFound, "there is no LoRA '{}' in {}: did you mean {}?", name, folder,
                fmt::join(near, " or "));
  if (files_.empty())
    throw Error(kNotFound, "there is no LoRA '{}': {} holds none; put the file there.", name, folder);
  throw Error(kNotFound, "there is no LoRA '{}' in {}; 'lowrank lora list' shows what is there.", name,
              folder);
}

std::vector<std::string> LoraFolder::duplicates() const {
  std::map<std::string, int> counts;
  for (const auto& place : files_) ++counts[place.name];
  std::vector<std::string> names;
  for (const auto& [name, count] : counts)
    if (count > 1) names.push_back(name);
  return names;
}

bool LoraFolder::is_forbidden(std::string_view alias) const {
  return forbidden_.contains(lower_ascii(alias));
}

}  // namespace lowrank::library
