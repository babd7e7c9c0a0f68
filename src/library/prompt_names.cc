#include "library/prompt_names.h"

#include <algorithm>

#include "base/error.h"
#include "formats/lora/lora_file.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::library {
namespace {

bool is_among(const std::vector<prompt::EmbeddingName>& names, const std::string& name) {
  return std::ranges::find(names, name, &prompt::EmbeddingName::name) != names.end();
}

}  // namespace

PromptNames prompt_names(const formats::EmbeddingFolder& folder, std::string_view prompt,
                         const std::optional<formats::TextWidths>& widths, prompt::Comments comments,
                         const std::function<std::filesystem::path(const std::string& name)>& lora_path) {
  PromptNames names;
  for (const auto& embedding : folder.usable)
    names.embeddings.push_back({embedding.name, static_cast<int>(embedding.vectors.count())});
  const auto networks =
      prompt::parse_extra_networks(prompt::apply_styles(prompt, "", {}, {}, comments).prompt);
  for (const auto& lora : networks.loras) {
    try {
      const auto file = formats::open_lora(lora_path(lora.name));
      for (const formats::BundledEmbedding& bundled : file.embeddings) {
        if ((!widths || formats::vectors_misfit(bundled.vectors, *widths).empty()) &&
            !is_among(names.embeddings, bundled.name))
          names.embeddings.push_back({bundled.name, static_cast<int>(bundled.vectors.count())});
      }
    } catch (const Error& error) {
      if (std::ranges::find(names.problems, error.what()) == names.problems.end())
        names.problems.emplace_back(error.what());
    }
  }
  for (const auto& [name, reason] : folder.unusable)
    if (!is_among(names.embeddings, name)) names.unusable.push_back({name, reason});
  return names;
}

}  // namespace lowrank::library
