#include "formats/vae_family.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text/text.h"
#include "formats/subfamily.h"

namespace lowrank::formats {
namespace {

struct NameMark {
  std::string_view text;  // in the name, lower case, without blanks and signs
  BaseModel family;
};
// Of the VAEs that people download. "sdxl" comes before what may stand beside it.
constexpr std::array kNameMarks = {
    NameMark{"sdxl", BaseModel::kSdxl},     NameMark{"xlvae", BaseModel::kSdxl},
    NameMark{"vaexl", BaseModel::kSdxl},    NameMark{"vaeftmse", BaseModel::kSd1},
    NameMark{"vaeftema", BaseModel::kSd1},  NameMark{"klf8anime", BaseModel::kSd1},
    NameMark{"orangemix", BaseModel::kSd1}, NameMark{"sd15", BaseModel::kSd1},
    NameMark{"sdv15", BaseModel::kSd1},     NameMark{"stablediffusionv1", BaseModel::kSd1},
};

struct KnownHash {
  std::string_view begins, name;  // of the SHA-256; of the file
  BaseModel family;
};
// Source: public lists of files and infotexts that name them (stabilityai/sdxl-vae, madebyollin/sdxl-vae-fp16-fix,
// stabilityai/sd-vae-ft-mse-original, hakurei/waifu-diffusion-v1-4).
constexpr std::array kHashes = {
    KnownHash{"63aeecb90f", "sdxl_vae.safetensors", BaseModel::kSdxl},
    KnownHash{"235745af8d", "sdxl-vae-fp16-fix.safetensors", BaseModel::kSdxl},
    KnownHash{"735e4c3a44", "vae-ft-mse-840000-ema-pruned.safetensors", BaseModel::kSd1},
    KnownHash{"c6a580b13a", "vae-ft-mse-840000-ema-pruned.ckpt", BaseModel::kSd1},
    KnownHash{"df3c506e51", "kl-f8-anime2.ckpt", BaseModel::kSd1},
};

VaeFamily vae_of_family(BaseModel model, std::string reason) {
  return {.latent_scale = family(model)->latent_scale, .reason = std::move(reason)};
}

std::string letters_of(std::string_view text) {
  std::string letters = lower(text);
  std::erase_if(letters, [](unsigned char c) { return std::isalnum(c) == 0; });
  return letters;
}

std::optional<VaeFamily> vae_by_metadata(const std::map<std::string, std::string>& metadata) {
  const auto scale = metadata.find("lowrank.latent_scale");
  if (scale != metadata.end())
    if (const auto value = parse_number(scale->second)) return VaeFamily{*value, "its scaling factor"};
  const auto architecture = metadata.find("modelspec.architecture");
  if (architecture == metadata.end()) return {};
  const FamilyRow* row = family_by_trainer(&FamilyRow::modelspec, architecture->second);
  if (row == nullptr) return {};
  return vae_of_family(
      row->model, fmt::format("metadata modelspec.architecture is {}", architecture->second.substr(0, 60)));
}

std::optional<VaeFamily> vae_by_name(const std::filesystem::path& path) {
  const std::string name = path.stem().string(), letters = letters_of(name);
  for (const NameMark& mark : kNameMarks)
    if (letters.find(mark.text) != std::string::npos) return vae_of_family(mark.family, "its name");
  SubfamilyHints hints;
  hints.names = {name};
  const Subfamily kin = recognise_subfamily(hints);
  if (const SubfamilyRow* row = subfamily_named(kin.name)) return vae_of_family(row->family, "its name");
  return {};
}

}  // namespace

std::optional<VaeFamily> recognise_vae(const std::filesystem::path& path,
                                       const std::map<std::string, std::string>& metadata,
                                       const std::function<std::string()>& sha256) {
  if (auto known = vae_by_metadata(metadata)) return known;
  if (auto known = vae_by_name(path)) return known;
  const std::string hash = sha256();
  const auto place = std::ranges::find(kHashes, hash, &KnownHash::begins);
  if (place == kHashes.end()) return {};
  return vae_of_family(place->family, fmt::format("its hash is that of {}", place->name));
}

std::string families_of_scale(double latent_scale) {
  std::string names;
  for (const FamilyRow& row : family_table())
    if (row.latent_scale == latent_scale) names += fmt::format("{}{}", names.empty() ? "" : " or ", row.name);
  return names;
}

}  // namespace lowrank::formats
