// The names of textual inversions that a prompt may hold in place of words, with how many vectors each stands for: those of
// the data folder, and those inside the LoRAs that the prompt names. Only headers are read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/embedding_file.h"
#include "prompt/prompt.h"

namespace lowrank::library {

struct PromptNames {
  std::vector<prompt::EmbeddingName> embeddings;
  std::vector<prompt::UnusableEmbedding> unusable;
  std::vector<std::string> problems;  // what stands against a LoRA, one sentence each
};

// `widths`: of the text encoders; where none are given embeddings of any width count. `lora_path`: where a tag's LoRA lies; may
// throw Error.
PromptNames prompt_names(const formats::EmbeddingFolder& folder, std::string_view prompt,
                         const std::optional<formats::TextWidths>& widths, prompt::Comments comments,
                         const std::function<std::filesystem::path(const std::string& name)>& lora_path);

}  // namespace lowrank::library
