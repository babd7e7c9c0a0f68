// The Hugging Face hub's API: what a repository holds and which of its files are LoRAs. Every field may be
// missing. Source: the hub's API reference and its answers.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "library/import/source.h"

namespace lowrank::library {

struct HubFile {
  std::string path;                   // in the repository
  std::optional<std::uint64_t> size;  // stated when asked with blobs=true
  std::string sha256;                 // of large files; "" others
};

struct HubRepo {
  std::string id, commit;
  std::vector<HubFile> files;
  std::vector<std::string> tags;
  std::string base_model, trigger, preview;  // preview: path in the repository, "" none
};

HubRepo parse_hub_repo(const nlohmann::json& answer, const std::string& from);

// The files to take, in the layouts that LoRAs come in: a file or folder that was named; diffusers'
// pytorch_lora_weights; PEFT's adapter_model with its configuration; a single safetensors file. Throws Error
// listing what there is when several could be meant.
std::vector<HubFile> choose_files(const HubRepo& repo, const HuggingFaceSource& source, bool takes_pickles);

}  // namespace lowrank::library
