#include "library/import/hugging_face.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "library/import/file_name.h"
#include "library/json_fields.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxListed = 12;

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}
std::string folder_of_path(const std::string& path) {
  const auto slash = path.find_last_of('/');
  return slash == std::string::npos ? "" : path.substr(0, slash + 1);
}

// "base_model" is a text or a list of texts.
std::string first_text(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && !value.empty() && value[0].is_string()) return value[0].get<std::string>();
  return "";
}

bool is_weights(const std::string& path, bool takes_pickles) {
  const std::string extension = extension_of(path);
  return extension == ".safetensors" ||
         (takes_pickles && (extension == ".bin" || extension == ".pt" || extension == ".ckpt"));
}

const HubFile* find(const HubRepo& repo, const std::string& path) {
  const auto found = std::ranges::find(repo.files, path, &HubFile::path);
  return found == repo.files.end() ? nullptr : &*found;
}

[[noreturn]] void ask_which(const HubRepo& repo, const std::vector<HubFile>& files) {
  std::vector<std::string> names;
  for (const HubFile& file : files)
    if (names.size() < kMaxListed) names.push_back(file.path);
  throw Error(kBadInput, "{} has {} matching files; choose one as {}:FILE: {}{}.", repo.id, files.size(),
              repo.id, fmt::join(names, ", "), files.size() > names.size() ? " ..." : "");
}

}  // namespace

HubRepo parse_hub_repo(const json& answer, const std::string& from) {
  HubRepo repo{.id = text_field(answer, "id"),
               .commit = text_field(answer, "sha"),
               .files = {},
               .tags = texts_field(answer, "tags"),
               .base_model = {},
               .trigger = {},
               .preview = {}};
  if (!field(answer, "siblings").is_array()) throw Error(kIo, "{}: the answer is not a repository.", from);
  for (const auto& item : field(answer, "siblings")) {
    HubFile file{.path = text_field(item, "rfilename"),
                 .size = std::nullopt,
                 .sha256 = text_field(field(item, "lfs"), "sha256")};
    if (const auto size = integer_field(item, "size"); size > 0) file.size = static_cast<std::uint64_t>(size);
    if (!file.path.empty()) repo.files.push_back(std::move(file));
  }
  const json& card = field(answer, "cardData");
  repo.base_model = first_text(field(card, "base_model"));
  repo.trigger = text_field(card, "instance_prompt");
  if (const json& widgets = field(card, "widget"); widgets.is_array())
    for (const auto& widget : widgets)
      if (repo.preview.empty()) repo.preview = text_field(field(widget, "output"), "url");
  return repo;
}

std::vector<HubFile> choose_files(const HubRepo& repo, const HuggingFaceSource& source, bool takes_pickles) {
  std::vector<HubFile> candidates;
  const bool is_folder = source.file.empty() || source.file.ends_with('/');
  if (!is_folder) {
    const HubFile* file = find(repo, source.file);
    if (file == nullptr)
      throw Error(kNotFound, "{} has no file '{}' at {}.", repo.id, source.file, source.revision);
    if (!is_weights(file->path, takes_pickles))
      throw Error(kBadInput, "{}:{} is not a safetensors file; --allow-pickle also accepts others.", repo.id,
                  file->path);
    candidates = {*file};
  } else {
    for (const HubFile& file : repo.files)
      if (file.path.starts_with(source.file) && is_weights(file.path, takes_pickles))
        candidates.push_back(file);
  }
  if (candidates.empty())
    throw Error(kNotFound, "{} has no safetensors file{}.", repo.id,
                takes_pickles ? "" : "; --allow-pickle also looks for others");
  if (candidates.size() > 1) {
    // The files of the known layouts, at the top before deeper ones.
    std::vector<HubFile> known;
    for (const HubFile& file : candidates) {
      const std::string stem = base_name(file.path).substr(0, base_name(file.path).rfind('.'));
      if (stem == "pytorch_lora_weights" || stem == "adapter_model") known.push_back(file);
    }
    // The same weights as safetensors and pickle count once.
    std::erase_if(known, [&](const HubFile& file) {
      return extension_of(file.path) != ".safetensors" &&
             find(repo, file.path.substr(0, file.path.rfind('.')) + ".safetensors") != nullptr;
    });
    const bool is_peft = !known.empty() && std::ranges::all_of(known, [](const HubFile& file) {
      return base_name(file.path).starts_with("adapter_model");
    });
    // PEFT keeps U-Net and text encoder apart, and both belong to the LoRA.
    if (known.size() == 1 || (is_peft && known.size() <= 3)) {
      candidates = std::move(known);
    } else {
      ask_which(repo, candidates);
    }
  }
  std::vector<HubFile> files;
  for (const HubFile& file : candidates) {
    files.push_back(file);
    if (base_name(file.path).starts_with("adapter_model"))
      if (const HubFile* config = find(repo, folder_of_path(file.path) + "adapter_config.json"))
        files.push_back(*config);
  }
  return files;
}

}  // namespace lowrank::library
