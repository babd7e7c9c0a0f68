// What a source at Civitai means.
#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "library/import/file_name.h"
#include "library/import/importer.h"
#include "library/import/placing.h"
#include "library/json_fields.h"

namespace lowrank::library {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDescription = 4000;

// Kinds of model on Civitai and what they are in the place table.
struct TypeRow {
  std::string_view civitai, kind;
};
constexpr TypeRow kTypes[] = {{"LORA", "lora"},
                              {"LoCon", "lora"},
                              {"DoRA", "lora"},
                              {"Checkpoint", "checkpoint"},
                              {"TextualInversion", "embedding"},
                              {"VAE", "vae"},
                              {"Upscaler", "upscaler"}};

std::string joined_triggers(const std::vector<std::string>& words) {
  std::string text;
  for (std::string word : words) {
    while (!word.empty() && (word.back() == ',' || word.back() == ' ')) word.pop_back();
    if (!word.empty()) text += (text.empty() ? "" : ", ") + word;
  }
  return text.size() <= 1000 ? text : "";
}

}  // namespace

CivitaiVersion Importer::civitai_version(const std::string& path, const std::string& what) const {
  return parse_civitai_version(ask(Site::kCivitai, path, what), what);
}

std::optional<CivitaiModel> Importer::civitai_model(std::int64_t id) const {
  if (id == 0) return std::nullopt;
  const std::string what = fmt::format("model {} on Civitai", id);
  return parse_civitai_model(ask(Site::kCivitai, fmt::format("/api/v1/models/{}", id), what), what);
}

std::vector<ImportItem> Importer::plan_civitai(CivitaiVersion version) const {
  // The page adds tags and creator; without it the file is no worse.
  try {
    if (const auto model = civitai_model(version.model)) merge_model(version, *model);
  } catch (const Error& error) {
    if (error.code() == kCancelled) throw;
  }
  const CivitaiFile* file = choose_file(version, options_.takes_pickles);
  const std::string what = fmt::format("{} ({})", version.model_name, version.name);
  if (file == nullptr)
    throw Error(kUnsupported, "{}: is not available as safetensors{}.", what,
                options_.takes_pickles
                    ? ""
                    : "; --allow-pickle accepts other files, which LowRank reads without executing them");
  if (file->scan == "Danger")
    throw Error(kBadInput, "{}: Civitai's scan marks the file as dangerous; it is not downloaded.", what);
  ImportItem item{.site = Site::kCivitai, .label = what};
  const auto url = parse_url(
      file->url.empty() ? fmt::format("{}/api/download/models/{}", base_url(Site::kCivitai), version.id)
                        : file->url);
  if (!url) throw Error(kIo, "{}: Civitai gives no download address.", what);
  item.url = *url;
  item.file_name = safe_file_name(file->name);
  if (item.file_name.empty()) item.file_name = fmt::format("civitai-{}", version.id);
  if (file->format == "SafeTensor" && extension_of(item.file_name) != ".safetensors")
    item.file_name += ".safetensors";
  if (stem_of(item.file_name).empty()) item.file_name = fmt::format("civitai-{}.safetensors", version.id);
  if (!options_.name.empty()) item.file_name = safe_file_name(options_.name + extension_of(item.file_name));
  item.kind = options_.kind;
  for (const TypeRow& row : kTypes)
    if (item.kind.empty() && row.civitai == version.model_type) item.kind = row.kind;
  if (item.kind.empty()) {
    if (options_.to.empty())
      throw Error(kUnsupported, "{}: is of type '{}', which has no folder; choose one with --to.", what,
                  version.model_type);
    item.kind = "other";
  }
  item.sha256 = file->sha256;
  // The size is a number of kilobytes, rounded or not; only an unrounded one can be held against the file.
  const double bytes = file->size_kb * 1024;
  const bool is_exact =
      bytes > 0 && bytes < 1e15 && bytes == std::floor(bytes) && file->size_kb != std::floor(file->size_kb);
  if (is_exact) item.size = static_cast<std::uint64_t>(bytes);
  item.base_model = version.base_model;
  if (item.kind == "lora") {
    const LoraType type = recognise_type({.user = {},
                                          .civitai_tags = texts_field(field(version.raw, "model"), "tags"),
                                          .folder = {},
                                          .names = {},
                                          .caption_tags = {}});
    item.type = type.name;
  }
  item.trigger = joined_triggers(version.trained_words);
  for (const std::string& html :
       {version.description, text_field(field(version.raw, "model"), "description")})
    if (item.description.empty()) item.description = text_of_html(html).substr(0, kMaxDescription);
  item.source = fmt::format("https://civitai.com/models/{}?modelVersionId={}", version.model, version.id);
  for (const CivitaiImage& image : version.images)
    if (!item.preview && image.type != "video") item.preview = parse_url(image.url);
  if (const auto here = library_.find_hash(item.sha256, item.kind)) item.here = library_.path_of(*here);
  item.civitai = std::move(version);
  return {std::move(item)};
}

}  // namespace lowrank::library
