#include "library/lora_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/natural_order.h"
#include "library/near_names.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

// The reader of safetensors refuses longer headers too.
constexpr std::uint64_t kMaxHeaderBytes = 100u << 20;

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::vector<fs::path> weight_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code failure;
  fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink, failure);
  for (; !failure && it != fs::recursive_directory_iterator(); it.increment(failure)) {
    std::error_code ignored;
    if (it.depth() > 32) it.disable_recursion_pending();  // a link that leads round in a circle
    const std::string extension = lower_ascii(it->path().extension().string());
    if ((extension == ".safetensors" || extension == ".pt" || extension == ".ckpt") &&
        it->is_regular_file(ignored))
      files.push_back(it->path());
  }
  std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
    return formats::natural_less(a.string(), b.string());
  });
  return files;
}

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

LoraFolder LoraFolder::scan(const std::vector<fs::path>& folders) {
  LoraFolder result;
  result.forbidden_ = {"none"};
  for (const fs::path& folder : folders) {
    if (folder.empty()) continue;
    result.folders_.push_back(folder);
    for (const fs::path& file : weight_files(folder)) {
      LoraPlace place{.path = file,
                      .name = file.stem().string(),
                      .alias = "",
                      .relative = file.lexically_relative(folder).replace_extension().generic_string()};
      if (lower_ascii(file.extension().string()) == ".safetensors") {
        const auto metadata = safetensors_metadata(file);
        if (const auto alias = metadata.find("ss_output_name"); alias != metadata.end())
          place.alias = alias->second;
      }
      if (place.alias.empty()) place.alias = place.name;
      const std::size_t index = result.files_.size();
      if (result.by_alias_.contains(place.alias)) result.forbidden_.insert(lower_ascii(place.alias));
      result.by_name_[place.name] = index;
      result.by_alias_[place.name] = index;
      result.by_alias_[place.alias] = index;
      result.files_.push_back(std::move(place));
    }
  }
  return result;
}

LoraFolder LoraFolder::scan(const DataDir& data) {
  return scan(std::vector<fs::path>{data.starter_loras(), data.loras()});
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
  const std::string folder = folders_.empty() ? "models/Lora" : folders_.back().string();
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
