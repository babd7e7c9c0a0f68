// The names by which a prompt may call LoRAs, as A1111's built-in Lora extension resolves `<lora:NAME:…>`.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "library/data_dir.h"

namespace lowrank::library {

struct LoraLocation {
  std::filesystem::path path;
  std::string name;      // file name without folder and last extension
  std::string alias;     // metadata ss_output_name, else the name
  std::string relative;  // below its LoRA folder, without extension: "style/3dmm"
};

class LoraFolder {
 public:
  LoraFolder() : forbidden_{"none"} {}
  // The places in the order in which they were scanned: of equal names the last wins.
  explicit LoraFolder(std::vector<LoraLocation> places);

  // All .safetensors, .pt and .ckpt files (extensions without regard to case) in the folders and below, each
  // folder in natural path order, links followed. Of a file only the metadata is read; a file that cannot be
  // read keeps its name as alias. Missing folders hold nothing.
  static LoraFolder scan(const std::vector<std::filesystem::path>& folders);
  // The starter's LoRAs first, so that the user's win.
  static LoraFolder scan(const DataDir& data);

  // The file that NAME means: by name or alias, case-sensitive; a forbidden alias (claimed by two files, or
  // "none") counts as a name only; of equal names the last scanned wins. Also the path below the folder, with
  // or without extension. nullopt: there is none.
  std::optional<std::filesystem::path> find(std::string_view name) const;
  // The same. Throws Error(kNotFound) with the names that come near.
  std::filesystem::path resolve(std::string_view name) const;

  // In scan order, and the names that more than one file bears.
  const std::vector<LoraLocation>& files() const { return files_; }
  std::vector<std::string> duplicates() const;
  bool is_forbidden(std::string_view alias) const;

 private:
  std::vector<std::filesystem::path> folders_;
  std::vector<LoraLocation> files_;
  std::map<std::string, std::size_t, std::less<>> by_name_, by_alias_;  // → files_
  std::set<std::string, std::less<>> forbidden_;                        // lower case
};

// What a LoRA may be called besides its file's name: ss_output_name; for a file that bears the name which
// diffusers or PEFT give to all of theirs, the folder it lies in; else the file's name.
std::string prompt_alias(const std::filesystem::path& path,
                         const std::map<std::string, std::string>& metadata);

// `__metadata__` of a safetensors file, read without looking at its tensors; empty when the file has none or
// is broken.
std::map<std::string, std::string> safetensors_metadata(const std::filesystem::path& path);

}  // namespace lowrank::library
