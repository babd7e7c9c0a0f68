// Civitai's REST API v1: what a model and a version of it are, and what can be fetched. Every field may be
// missing or null. Source: the API's reference at developer.civitai.com and answers of the site.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace lowrank::library {

struct CivitaiFile {
  std::string name, type, format;  // "fox.safetensors", "Model", "SafeTensor"
  std::string url;
  std::string sha256, autov3;  // lower case; "" not stated
  double size_kb = 0;          // of 1024 bytes; rounded or not
  bool is_primary = false;
  std::string scan;  // "Success", "Danger" …; the worse of virus and pickle scan
};

struct CivitaiImage {
  std::string url, type;
};

struct CivitaiVersion {
  std::int64_t id = 0, model = 0;
  std::string name, base_model, model_name, model_type, description;
  std::vector<std::string> trained_words;
  std::vector<CivitaiFile> files;
  std::vector<CivitaiImage> images;
  nlohmann::json raw;  // the answer, for NAME.civitai.info
};

// Throws Error(kIo) when the answer is no version.
CivitaiVersion parse_civitai_version(const nlohmann::json& answer, const std::string& from);

// What a model's page adds: tags, creator, description; and its versions, newest first.
struct CivitaiModel {
  std::int64_t id = 0;
  std::string name, type, creator, description;
  std::vector<std::string> tags;
  std::vector<nlohmann::json> versions;
};
CivitaiModel parse_civitai_model(const nlohmann::json& answer, const std::string& from);

// Writes tags, creator and description of the model into the version's answer, as Civitai Helper does.
void merge_model(CivitaiVersion& version, const CivitaiModel& model);

// The file to take: the primary one among models in safetensors, else the first such. With `takes_pickles`
// any model. nullptr: there is none.
const CivitaiFile* choose_file(const CivitaiVersion& version, bool takes_pickles);

}  // namespace lowrank::library
