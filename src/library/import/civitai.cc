#include "library/import/civitai.h"

#include <algorithm>

#include "base/error.h"
#include "base/text/ascii.h"
#include "library/import/file_name.h"
#include "library/json_fields.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

CivitaiFile parse_file(const json& item) {
  const json& hashes = field(item, "hashes");
  const std::string pickle = text_field(item, "pickleScanResult"),
                    virus = text_field(item, "virusScanResult");
  CivitaiFile file{.name = text_field(item, "name"),
                   .type = text_field(item, "type"),
                   .format = text_field(field(item, "metadata"), "format"),
                   .url = text_field(item, "downloadUrl"),
                   .sha256 = lower_ascii(text_field(hashes, "SHA256")),
                   .autov3 = lower_ascii(text_field(hashes, "AutoV3")),
                   .size_kb = number_field(item, "sizeKB"),
                   .is_primary = field(item, "primary") == true,
                   .scan = pickle == "Danger" || virus == "Danger" ? "Danger" : virus};
  if (file.sha256.size() != 64) file.sha256.clear();
  return file;
}

bool is_model(const CivitaiFile& file) {
  return file.type.empty() || file.type == "Model" || file.type == "Pruned Model" || file.type == "Negative";
}

bool is_safetensors(const CivitaiFile& file) {
  const std::string extension = extension_of(file.name);
  return extension == ".safetensors" || (extension.empty() && file.format == "SafeTensor");
}

}  // namespace

CivitaiVersion parse_civitai_version(const json& answer, const std::string& from) {
  CivitaiVersion version;
  version.id = integer_field(answer, "id");
  if (version.id == 0 || !field(answer, "files").is_array())
    throw Error(kIo, "{}: the answer is not a model version.", from);
  const json& model = field(answer, "model");
  version.model = integer_field(answer, "modelId");
  version.name = text_field(answer, "name");
  version.base_model = text_field(answer, "baseModel");
  version.description = text_field(answer, "description");
  version.model_name = text_field(model, "name");
  version.model_type = text_field(model, "type");
  version.trained_words = texts_field(answer, "trainedWords");
  for (const auto& item : field(answer, "files"))
    if (item.is_object()) version.files.push_back(parse_file(item));
  if (const json& images = field(answer, "images"); images.is_array())
    for (const auto& item : images)
      if (const std::string url = text_field(item, "url"); !url.empty())
        version.images.push_back({url, text_field(item, "type")});
  version.raw = answer;
  return version;
}

CivitaiModel parse_civitai_model(const json& answer, const std::string& from) {
  CivitaiModel model{.id = integer_field(answer, "id"),
                     .name = text_field(answer, "name"),
                     .type = text_field(answer, "type"),
                     .creator = text_field(field(answer, "creator"), "username"),
                     .description = text_field(answer, "description"),
                     .tags = texts_field(answer, "tags"),
                     .versions = {}};
  if (model.id == 0) throw Error(kIo, "{}: the answer is not a model.", from);
  if (const json& versions = field(answer, "modelVersions"); versions.is_array())
    for (const auto& version : versions) model.versions.push_back(version);
  return model;
}

void merge_model(CivitaiVersion& version, const CivitaiModel& model) {
  json& raw = version.raw;
  if (!field(raw, "model").is_object()) raw["model"] = json::object();
  json& target = raw["model"];
  const auto fill = [&](const char* key, const std::string& value) {
    if (text_field(target, key).empty() && !value.empty()) target[key] = value;
  };
  fill("name", model.name);
  fill("type", model.type);
  fill("description", model.description);
  if (!model.tags.empty()) target["tags"] = model.tags;
  if (!model.creator.empty() && !field(raw, "creator").is_object())
    raw["creator"] = {{"username", model.creator}};
  if (integer_field(raw, "modelId") == 0) raw["modelId"] = model.id;
  if (version.model == 0) version.model = model.id;
  if (version.model_name.empty()) version.model_name = model.name;
  if (version.model_type.empty()) version.model_type = model.type;
}

const CivitaiFile* choose_file(const CivitaiVersion& version, bool takes_pickles) {
  const CivitaiFile* chosen = nullptr;
  for (const CivitaiFile& file : version.files)
    if (is_model(file) && is_safetensors(file) &&
        (chosen == nullptr || (file.is_primary && !chosen->is_primary)))
      chosen = &file;
  if (chosen != nullptr || !takes_pickles) return chosen;
  for (const CivitaiFile& file : version.files)
    if (is_model(file) && (chosen == nullptr || (file.is_primary && !chosen->is_primary))) chosen = &file;
  return chosen;
}

}  // namespace lowrank::library
