#include "formats/tiny_autoencoder.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <regex>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/text/text.h"
#include "formats/file_kind.h"
#include "formats/quantised_form.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfigBytes = 1 << 20;
constexpr int kFoldersAbove = 3;  // of a diffusers folder, as deep as a download's cache puts it

struct Parameter {
  std::optional<TinyHalf> half;  // nothing: the name does not say
  int number;
  std::string rest;  // "conv.0.weight", "weight"
};

std::optional<Parameter> parameter_of(const std::string& key) {
  static const std::regex pattern(
      R"((?:(?:taesd_)?(decoder|encoder)\.)?(layers\.)?(\d{1,3})\.((?:conv\.[024]\.|skip\.)?(?:weight|bias)))");
  std::smatch m;
  if (!std::regex_match(key, m, pattern)) return std::nullopt;
  Parameter parameter{.half = std::nullopt, .number = std::stoi(m[3].str()), .rest = m[4].str()};
  if (m[1].matched) parameter.half = m[1] == "decoder" ? TinyHalf::kDecoder : TinyHalf::kEncoder;
  // diffusers leaves out the module without parameters.
  if (m[2].matched && parameter.half == TinyHalf::kDecoder) ++parameter.number;
  return parameter;
}

[[noreturn]] void refuse(const weights::TensorFile& file) {
  const std::string kind = describe_file(file);
  throw Error(kUnsupported, "{}: is not a tiny autoencoder, it looks like {}; TAESD and TAESDXL files work.",
              file.path().string(), kind);
}

// What shapes cannot tell and diffusers states beside the file.
void check_config(const fs::path& path) {
  const fs::path config = path.parent_path() / "config.json";
  std::error_code failure;
  if (!path.filename().string().starts_with("diffusion_pytorch_model") || !fs::exists(config, failure))
    return;
  const auto stated = nlohmann::json::parse(read_file(config, kMaxConfigBytes), nullptr, false);
  if (!stated.is_object())
    throw Error(kBadInput, "{}: is not JSON; download the folder again.", config.string());
  const std::array<std::pair<const char*, nlohmann::json>, 5> known = {{{"act_fn", "relu"},
                                                                        {"upsample_fn", "nearest"},
                                                                        {"upsampling_scaling_factor", 2},
                                                                        {"scaling_factor", 1.0},
                                                                        {"shift_factor", 0.0}}};
  for (const auto& [name, value] : known)
    if (stated.contains(name) && stated.at(name) != value)
      throw Error(kUnsupported, "{}: states {} {}, but TAESD and TAESDXL have {}; choose another file.",
                  config.string(), name, stated.at(name).dump(), value.dump());
}

const FamilyRow* family_named(std::string_view name) {
  const std::string low = lower(name);
  const auto at = low.find("taesd");
  if (at == std::string::npos) return nullptr;
  const char next = at + 5 < low.size() ? low[at + 5] : '_';
  if (next >= '0' && next <= '9') return nullptr;
  return family(low.find("xl") == std::string::npos ? BaseModel::kSd1 : BaseModel::kSdxl);
}

bool says_taesd(std::string_view name) {
  return lower(name).find("taesd") != std::string::npos;
}

}  // namespace

std::string_view half_name(TinyHalf half) {
  return half == TinyHalf::kDecoder ? "decoder" : "encoder";
}

TinyAutoencoderFile open_tiny_autoencoder(const fs::path& path) {
  TinyAutoencoderFile opened{.decoder = {}, .encoder = {}, .file = weights::TensorFile::open(path)};
  refuse_quantised(*opened.file, Integers::kAreNone);
  const auto tensors = opened.file->tensors();
  // A chain without a name: the encoder's first module is a convolution.
  const TinyHalf unnamed = opened.file->find("0.weight") == nullptr ? TinyHalf::kDecoder : TinyHalf::kEncoder;
  for (const auto& view : tensors) {
    const auto parameter = parameter_of(view.name);
    if (!parameter) refuse(*opened.file);
    auto& half = parameter->half.value_or(unnamed) == TinyHalf::kDecoder ? opened.decoder : opened.encoder;
    half.emplace(fmt::format("{}.{}", parameter->number, parameter->rest), view);
  }
  // Numbered modules of another kind of model have no blocks in these places.
  if (!opened.decoder.contains("3.conv.0.weight") && !opened.encoder.contains("1.conv.0.weight"))
    refuse(*opened.file);
  check_config(path);
  return opened;
}

const FamilyRow* tiny_autoencoder_family(const fs::path& path) {
  if (says_taesd(path.stem().string())) return family_named(path.stem().string());
  if (path.filename().string().starts_with("diffusion_pytorch_model")) {
    fs::path folder = path.parent_path();
    for (int i = 0; i < kFoldersAbove && folder.has_filename(); ++i, folder = folder.parent_path()) {
      const std::string name = folder.filename().string();
      if (lower(name).starts_with("vae")) break;  // the folder of all of them
      if (says_taesd(name)) return family_named(name);
    }
  }
  try {
    const auto file = weights::TensorFile::open(path);
    const auto architecture = file->metadata().find("modelspec.architecture");
    if (architecture != file->metadata().end())
      return family_by_trainer(&FamilyRow::modelspec, architecture->second);
  } catch (const Error&) {
    // What cannot be read says nothing; it is told when a file of its name is needed.
  }
  return nullptr;
}

bool have_same_latents(const FamilyRow& a, const FamilyRow& b) {
  return a.latent_channels == b.latent_channels && a.latent_scale == b.latent_scale;
}

std::string tiny_autoencoder_name(const FamilyRow& family_row, TinyHalf half) {
  const bool is_xl = have_same_latents(family_row, *family(BaseModel::kSdxl));
  return fmt::format("{}_{}.pth", is_xl ? "taesdxl" : "taesd", half_name(half));
}

}  // namespace lowrank::formats
