#include "formats/subfamily.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text/name_words.h"
#include "formats/lora/lora_family.h"

namespace lowrank::formats {
namespace {

using Words = std::string_view[];

// Source: the base models that model sites let their users choose, and the file names under which the models were published.
constexpr Words kPonySites = {"pony", "ponydiffusion", "ponyxl"};
constexpr Words kPony = {"pony", "ponyxl", "ponydiffusion", "pdxl"};
constexpr Words kNoobSites = {"noobai", "noobaixl", "noob"};
constexpr Words kNoob = {"noobai", "noobaixl", "noob", "noobxl", "naixl"};
constexpr Words kIllustriousSites = {"illustrious", "illustriousxl"};
constexpr Words kIllustrious = {"illustrious", "illustriousxl", "ilxl"};
constexpr Words kAnimagineSites = {"animagine", "animaginexl"};
constexpr Words kAnimagine = {"animagine", "animaginexl"};
constexpr Words kTurboSites = {"sdxlturbo"};
constexpr Words kTurbo = {"sdxlturbo", "xlturbo", "turboxl"};
constexpr Words kLightningSites = {"sdxllightning"};
constexpr Words kLightning = {"sdxllightning",   "xllightning",     "lightningxl",
                              "lightning2step",  "lightning4step",  "lightning8step",
                              "lightning2steps", "lightning4steps", "lightning8steps"};
constexpr Words kHyperSites = {"sdxlhyper", "hypersdxl", "hypersd"};
constexpr Words kHyper = {"hypersdxl", "hyperxl", "sdxlhyper"};
constexpr Words kDmdSites = {"sdxldmd2", "dmd2"};
constexpr Words kDmd = {"dmd2"};
constexpr Words kLcmSites = {"sdxl10lcm", "sdxllcm"};
constexpr Words kLcm = {"lcmxl", "sdxllcm", "lcmsdxl", "lcmlorasdxl"};
constexpr Words kPlayground25Sites = {"playgroundv25", "playground25"};
constexpr Words kPlayground25 = {"playgroundv25", "playground25"};
constexpr Words kPlayground2Sites = {"playgroundv2", "playground2"};
constexpr Words kPlayground2 = {"playgroundv2", "playground2"};
constexpr Words kSsdSites = {"ssd1b", "segmindssd1b"};
constexpr Words kSsd = {"ssd1b"};
constexpr Words kVegaSites = {"segmindvega"};
constexpr Words kVega = {"segmindvega"};
constexpr Words kKolorsSites = {"kolors"};
constexpr Words kKolors = {"kolors"};
constexpr Words kLcm15Sites = {"sd15lcm"};
constexpr Words kLcm15 = {"lcmlorasdv15", "sd15lcm"};
constexpr Words kHyper15Sites = {"sd15hyper"};
constexpr Words kHyper15 = {"hypersd15", "sd15hyper"};
constexpr Words kSdTurboSites = {"sdturbo"};
constexpr Words kSdTurbo = {"sdturbo"};

constexpr std::string_view kFew = "few steps at low CFG, with the sampler and spacing of its method";

// Of two that a name holds the first counts: what was learned anew tells more than in how many steps it draws.
constexpr SubfamilyRow kRows[] = {
    {"Pony", BaseModel::kSdxl, kPonySites, kPony,
     "1024 pixels, CLIP skip 2, prompts that begin with score_9, score_8_up …"},
    {"NoobAI", BaseModel::kSdxl, kNoobSites, kNoob,
     "1024 pixels, tags of Danbooru; the v-pred versions need v prediction with zero terminal SNR"},
    {"Illustrious", BaseModel::kSdxl, kIllustriousSites, kIllustrious,
     "1024 to 1536 pixels, tags of Danbooru"},
    {"Animagine", BaseModel::kSdxl, kAnimagineSites, kAnimagine, "1024 pixels, tags of Danbooru"},
    {"Playground v2.5", BaseModel::kSdxl, kPlayground25Sites, kPlayground25, "1024 pixels, EDM noise levels"},
    {"Playground v2", BaseModel::kSdxl, kPlayground2Sites, kPlayground2, ""},
    {"SSD-1B", BaseModel::kSdxl, kSsdSites, kSsd, "half of SDXL's layers: a LoRA for SDXL fits in part"},
    {"Segmind Vega", BaseModel::kSdxl, kVegaSites, kVega,
     "a third of SDXL's layers: a LoRA for SDXL fits in part"},
    {"Kolors", BaseModel::kSdxl, kKolorsSites, kKolors, "SDXL's U-Net with another text encoder"},
    {"SDXL Turbo", BaseModel::kSdxl, kTurboSites, kTurbo, kFew, true},
    {"SDXL Lightning", BaseModel::kSdxl, kLightningSites, kLightning, kFew, true},
    {"SDXL DMD2", BaseModel::kSdxl, kDmdSites, kDmd, kFew, true},
    {"SDXL LCM", BaseModel::kSdxl, kLcmSites, kLcm, kFew, true},
    {"SDXL Hyper", BaseModel::kSdxl, kHyperSites, kHyper, kFew, true},
    {"SD 1.5 LCM", BaseModel::kSd1, kLcm15Sites, kLcm15, kFew, true},
    {"SD 1.5 Hyper", BaseModel::kSd1, kHyper15Sites, kHyper15, kFew, true},
    {"SD Turbo", BaseModel::kSd2, kSdTurboSites, kSdTurbo, kFew, true},
};

std::string squeezed(std::string_view text) {
  std::string out;
  for (const std::string& word : words_of(text)) out += word;
  return out;
}

bool is_among(std::span<const std::string_view> list, std::string_view word) {
  return std::ranges::find(list, word) != list.end();
}

// A row one of whose words is a word of the text, or some words in a row joined.
const SubfamilyRow* row_in(std::string_view text, std::string_view architecture) {
  const auto words = words_of(text);
  for (const SubfamilyRow& row : kRows) {
    if (!architecture.empty() && family(row.family)->label != architecture) continue;
    for (std::size_t first = 0; first < words.size(); ++first) {
      std::string joined;
      for (std::size_t last = first; last < std::min(words.size(), first + 4); ++last) {
        joined += words[last];
        if (is_among(row.words, joined)) return &row;
      }
    }
  }
  return nullptr;
}

Subfamily verdict(const SubfamilyRow& row, std::string origin, std::string reason,
                  std::string_view architecture) {
  Subfamily found{std::string(row.name), std::move(origin), std::move(reason), ""};
  const FamilyRow* own = family(row.family);
  if (!architecture.empty() && own->label != architecture)
    found.conflict = fmt::format("{} is a kind of {}, but its layers are those of {}", row.name, own->name,
                                 family_name(architecture));
  return found;
}

constexpr std::string_view kNone = "none";

// The family that a page's word for a base model begins with: "SDXL 1.0", "SD 1.5", "Stable Diffusion 2.1".
const FamilyRow* family_said(std::string_view site) {
  const std::string word = squeezed(site);
  for (const auto& [beginning, label] : {std::pair{"sdxl", "SDXL"},
                                         {"stablediffusionxl", "SDXL"},
                                         {"sd1", "SD1"},
                                         {"stablediffusion1", "SD1"},
                                         {"stablediffusionv1", "SD1"},
                                         {"sd2", "SD2"},
                                         {"stablediffusion2", "SD2"},
                                         {"stablediffusionv2", "SD2"}})
    if (word.starts_with(beginning)) return family_labelled(label);
  return nullptr;
}

std::string site_conflict(const SubfamilyHints& hints) {
  const FamilyRow* said = family_said(hints.site);
  if (said == nullptr || hints.architecture.empty() || said->label == hints.architecture) return "";
  return fmt::format("its page says '{}', but its layers are those of {}", hints.site,
                     family_name(hints.architecture));
}

Subfamily by_words(const SubfamilyHints& hints) {
  for (const auto& [field, value] : hints.metadata)
    if (const auto* row = row_in(value, hints.architecture))
      return verdict(*row, "metadata", fmt::format("metadata {} says '{}'", field, value.substr(0, 80)),
                     hints.architecture);
  for (const std::string& name : hints.names)
    if (const auto* row = row_in(name, hints.architecture))
      return verdict(*row, "name", fmt::format("its name says '{}'", name.substr(0, 80)), hints.architecture);
  return {};
}

}  // namespace

std::span<const SubfamilyRow> subfamily_table() {
  return kRows;
}

std::string subfamily_names() {
  std::string names;
  for (const SubfamilyRow& row : kRows) names += fmt::format("{}{}", names.empty() ? "" : ", ", row.name);
  return names;
}

std::optional<std::string> subfamily_meant(std::string_view asked) {
  if (squeezed(asked) == kNone) return std::string(kNone);
  const auto* row = subfamily_named(asked);
  return row == nullptr ? std::nullopt : std::optional<std::string>(row->name);
}

const SubfamilyRow* subfamily_named(std::string_view name) {
  const std::string wanted = squeezed(name);
  if (wanted.empty()) return nullptr;
  const auto found = std::ranges::find_if(kRows, [&](const SubfamilyRow& row) {
    return squeezed(row.name) == wanted || is_among(row.site_names, wanted);
  });
  return found == std::end(kRows) ? nullptr : &*found;
}

Subfamily recognise_subfamily(const SubfamilyHints& hints) {
  if (squeezed(hints.user) == kNone)
    return {.name = "", .origin = "user", .reason = "you set it", .conflict = ""};
  if (const auto* row = subfamily_named(hints.user))
    return verdict(*row, "user", "you set it", hints.architecture);
  if (const auto* row = subfamily_named(hints.site))
    return verdict(*row, "site", fmt::format("its page says '{}'", hints.site), hints.architecture);
  Subfamily found = by_words(hints);
  found.conflict = site_conflict(hints);
  return found;
}

std::string subfamily_hint(std::string_view lora, std::string_view checkpoint) {
  if (lora.empty() || checkpoint.empty() || lora == checkpoint) return "";
  for (const std::string_view name : {lora, checkpoint})
    if (const auto* row = subfamily_named(name); row != nullptr && row->is_method) return "";
  return fmt::format("made for {}; this checkpoint is {}: it may look different", lora, checkpoint);
}

}  // namespace lowrank::formats
