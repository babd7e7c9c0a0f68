// What a user says of a LoRA, written beside it: into A1111's NAME.json, and into LoRA Manager's
// NAME.metadata.json where that exists. Every key that is not being changed stays as it was.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lowrank::library {

struct CardEdit {
  std::optional<std::string> description = {}, activation_text = {}, negative_text = {}, notes = {};
  std::optional<std::string> base_model = {}, source = {};
  std::optional<double> preferred_weight = {};
  std::optional<int> rating = {};                        // 0 takes it away
  std::optional<std::string> type = {}, subfamily = {};  // "" takes it away
  std::optional<std::vector<std::string>> tags = {};
  bool only_missing = false;  // leave alone what NAME.json already says
};

enum class Beside { kNo, kYes };

// Edits the files beside `model`. When its folder cannot be written, or with Beside::kNo, `overlay` (a file elsewhere,
// may be "") takes the words instead. Two processes that edit at once both have their way. Returns the file that was
// written. Throws Error(kBadInput) when a file there is no JSON object, which is left as it is, and
// Error(kIo).
std::filesystem::path edit_card(const std::filesystem::path& model, const CardEdit& edit,
                                const std::filesystem::path& overlay, Beside beside = Beside::kYes);

}  // namespace lowrank::library
