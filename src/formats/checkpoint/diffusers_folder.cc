#include "formats/checkpoint/diffusers_folder.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_identity.h"
#include "formats/checkpoint/component_parameters.h"
#include "formats/checkpoint/diffusers_names.h"
#include "formats/checkpoint/shard_index.h"
#include "formats/checkpoint/stated_prediction.h"
#include "formats/quantised_form.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using weights::TensorFile;
using weights::TensorView;

constexpr std::size_t kMaxConfigBytes = 1u << 20;
constexpr std::size_t kMaxIndexBytes = 64u << 20;

json read_json(const fs::path& path, std::size_t max_bytes) {
  json parsed = json::parse(read_file(path, max_bytes), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object())
    throw Error(kBadInput, "{}: is not a JSON object; download it again.", path.string());
  return parsed;
}

json read_config(const fs::path& path) {
  return fs::exists(path) ? read_json(path, kMaxConfigBytes) : json::object();
}

std::optional<std::int64_t> whole_number(const json& config, const char* name) {
  const auto place = config.find(name);
  if (place == config.end() || !place->is_number_integer()) return std::nullopt;
  return place->get<std::int64_t>();
}

std::string text_of(const json& config, const char* name) {
  const auto place = config.find(name);
  return place != config.end() && place->is_string() ? place->get<std::string>() : std::string();
}

// A reader gives a weight its scale where both lie in one file; across files it would be silently left out.
void refuse_parted_scales(const std::vector<std::shared_ptr<const TensorFile>>& files,
                          const fs::path& index) {
  for (const auto& file : files) {
    for (const TensorView& view : file->tensors()) {
      for (const std::string_view ending : {".scale", ".weight_scale", ".scale_weight"}) {
        if (!view.name.ends_with(ending)) continue;
        const std::string weight = view.name.substr(0, view.name.size() - ending.size()) + ".weight";
        if (std::ranges::any_of(files, [&](const auto& other) { return other->find(weight) != nullptr; }))
          throw Error(kUnsupported,
                      "{}: '{}' and its scale '{}' are in different files, which is not supported; save the "
                      "folder unsharded.",
                      index.string(), weight, view.name);
      }
    }
  }
}

// Opens the shards an index lists and proves that each holds what the index says.
std::vector<std::shared_ptr<const TensorFile>> open_shards(const fs::path& index) {
  std::vector<std::shared_ptr<const TensorFile>> files;
  for (const auto& [name, keys] : read_shard_index(read_file(index, kMaxIndexBytes), index)) {
    const auto& shard = files.emplace_back(TensorFile::open(index.parent_path() / name));
    for (const std::string& key : keys)
      if (!shard->holds(key))
        throw Error(kBadInput, "{}: '{}' is missing, although {} lists it; download both again.",
                    shard->path().string(), key, index.filename().string());
  }
  refuse_parted_scales(files, index);
  return files;
}

// The weights in one component's folder, the safest and then the most exact form first.
std::vector<std::shared_ptr<const TensorFile>> open_weights(const fs::path& folder) {
  static constexpr std::array<std::string_view, 3> kStems = {"diffusion_pytorch_model", "model",
                                                             "pytorch_model"};
  static constexpr std::array<std::string_view, 3> kVariants = {"", ".fp16", ".bf16"};
  for (const std::string_view ending : {"safetensors", "bin"}) {
    for (const std::string_view variant : kVariants) {
      for (const std::string_view stem : kStems) {
        const fs::path whole = folder / fmt::format("{}{}.{}", stem, variant, ending);
        if (fs::exists(whole)) return {TensorFile::open(whole)};
        // The second is an older name.
        for (const std::string& name : {fmt::format("{}.{}.index{}.json", stem, ending, variant),
                                        fmt::format("{}{}.{}.index.json", stem, variant, ending)})
          if (fs::exists(folder / name)) return open_shards(folder / name);
      }
    }
  }
  throw Error(kNotFound,
              "{}: no weights in this folder (diffusion_pytorch_model.safetensors, model.safetensors …); "
              "download the component.",
              folder.string());
}

std::vector<TensorView> all_tensors(const std::vector<std::shared_ptr<const TensorFile>>& files) {
  std::vector<TensorView> tensors;
  for (const auto& file : files)
    tensors.insert(tensors.end(), file->tensors().begin(), file->tensors().end());
  return tensors;
}

std::vector<std::string> names_of(std::span<const TensorView> tensors) {
  std::vector<std::string> names;
  names.reserve(tensors.size());
  for (const TensorView& view : tensors) names.push_back(view.name);
  return names;
}

void add_view(Checkpoint& checkpoint, Component component, std::string name, TensorView view) {
  const auto [place, is_new] = checkpoint[component].emplace(std::move(name), std::move(view));
  if (!is_new) {
    throw Error(kBadInput, "{}: '{}' of the {} occurs twice; download it again.", checkpoint.path.string(),
                place->second.name, component_name(component));
  }
}

void add_text_encoder(Checkpoint& checkpoint, const TextEncoderRow& encoder,
                      std::span<const TensorView> tensors) {
  for (const TensorView& view : tensors) {
    NamedViews parameters = text_parameters(encoder, view.name, view);
    if (parameters.empty()) checkpoint.unused.push_back(fmt::format("{}/{}", encoder.folder, view.name));
    for (auto& [name, parameter] : parameters)
      add_view(checkpoint, encoder.component, std::move(name), std::move(parameter));
  }
}

int checked_heads(const fs::path& config, std::int64_t heads) {
  if (heads < 1 || heads > 1024)
    throw Error(kBadInput, "{}: {} is not a valid number of attention heads; correct it.", config.string(),
                heads);
  return static_cast<int>(heads);
}

// diffusers calls the number of heads `attention_head_dim`, and reads `num_attention_heads` first: one number for all
// levels, or one for each, where it is the width of a head that is the same everywhere.
std::optional<AttentionHeads> unet_heads(const fs::path& path, const json& config) {
  for (const char* name : {"num_attention_heads", "attention_head_dim"}) {
    const auto place = config.find(name);
    if (place == config.end() || place->is_null()) continue;
    if (place->is_number_integer())
      return AttentionHeads{.count = checked_heads(path, place->get<std::int64_t>())};
    const auto is_whole = [](const json& item) { return item.is_number_integer(); };
    if (!place->is_array() || place->empty() || !std::ranges::all_of(*place, is_whole))
      throw Error(kBadInput, "{}: {} is neither a whole number nor a list of them; correct it.",
                  path.string(), name);
    const auto first = checked_heads(path, place->front().get<std::int64_t>());
    if (std::ranges::all_of(*place, [&](const json& item) { return item == place->front(); }))
      return AttentionHeads{.count = first};
    const auto channels = config.find("block_out_channels");
    std::set<std::int64_t> widths;
    if (channels != config.end() && channels->is_array() && channels->size() == place->size() &&
        std::ranges::all_of(*channels, is_whole)) {
      for (std::size_t level = 0; level < place->size(); ++level)
        widths.insert((*channels)[level].get<std::int64_t>() /
                      checked_heads(path, (*place)[level].get<std::int64_t>()));
    }
    if (widths.size() == 1 && *widths.begin() > 0) return AttentionHeads{.width = *widths.begin()};
    throw Error(
        kUnsupported,
        "{}: {} differs between levels in another proportion than block_out_channels, which LowRank does "
        "not support.",
        path.string(), name);
  }
  return std::nullopt;
}

// By the components that are there and what their config.json files say.
const FamilyRow& family_of(const fs::path& folder, const json& unet, const json& text) {
  if (fs::exists(folder / "transformer"))
    throw Error(
        kUnsupported,
        "{}: is a transformer model (SD3, FLUX …); choose a model of the SD 1.x, SD 2.x or SDXL family.",
        folder.string());
  const bool is_told_size =
      fs::exists(folder / "text_encoder_2") || text_of(unet, "addition_embed_type") == "text_time";
  const std::string activation = text_of(text, "hidden_act");
  const auto is_like = [&](const FamilyRow& row) {
    const TextEncoderRow& first = row.text_encoders.front();
    if ((row.size_conditioning != SizeConditioning::kNone) != is_told_size) return false;
    if (is_told_size) return fs::exists(folder / first.folder);
    return first.kind == TextEncoderKind::kOpenClip && (whole_number(text, "hidden_size") == first.width ||
                                                        (!activation.empty() && activation != "quick_gelu"));
  };
  const auto found = std::ranges::find_if(family_table(), is_like);
  if (found != family_table().end()) return *found;
  return *family(is_told_size ? BaseModel::kSdxl : BaseModel::kSd1);
}

// What a component's config.json says of how its weights were quantised; "" for nothing. Throws for what the weights
// themselves do not show.
std::string stated_quantisation(const json& config, const fs::path& folder) {
  const auto place = config.find("quantization_config");
  if (place == config.end() || !place->is_object()) return "";
  for (const char* name : {"use_hadamard", "use_codebook"}) {
    if (place->value(name, json()) == true)
      throw Error(kUnsupported,
                  "{}: its weights are quantised with {} (quantization_config of config.json), which LowRank "
                  "does not support; download the model in 16 bits (fp16, bf16) or save it in 16 bits with "
                  "the program that quantised it.",
                  folder.string(), name);
  }
  return text_of(*place, "quant_method");
}

}  // namespace

bool is_diffusers_folder(const fs::path& folder) {
  std::error_code failure;  // a folder that cannot be looked into
  return fs::is_directory(folder / "unet", failure) && fs::is_directory(folder / "vae", failure);
}

void add_diffusers_unet(Checkpoint& checkpoint, std::span<const TensorView> tensors, std::string_view place) {
  const auto names = UnetNames::from_diffusers(names_of(tensors));
  for (const TensorView& view : tensors) {
    if (auto name = names.to_canonical(view.name)) {
      add_view(checkpoint, Component::kUnet, std::move(*name), view);
    } else {
      checkpoint.unused.push_back(fmt::format("{}{}", place, view.name));
    }
  }
}

void add_diffusers_vae(Checkpoint& checkpoint, std::span<const TensorView> tensors, std::string_view place) {
  const auto names = VaeNames::from_diffusers(names_of(tensors));
  for (const TensorView& view : tensors) {
    auto name = names.to_canonical(view.name);
    if (!name) {
      checkpoint.unused.push_back(fmt::format("{}{}", place, view.name));
      continue;
    }
    TensorView shaped = view;
    if (name->find(".attn_") != std::string::npos && shaped.shape.size() == 2)
      shaped.shape.insert(shaped.shape.end(), {1, 1});
    add_view(checkpoint, Component::kVae, std::move(*name), std::move(shaped));
  }
}

Checkpoint read_diffusers_folder(const fs::path& folder) {
  Checkpoint checkpoint;
  checkpoint.path = folder;
  checkpoint.layout = Layout::kDiffusersFolder;
  const auto config = [&](const char* part, const char* name) {
    const fs::path file = folder / part / name;
    checkpoint.configs.emplace_back(file, identity_of(file));
    return read_config(file);
  };
  const json unet = config("unet", "config.json"), text = config("text_encoder", "config.json");
  const FamilyRow& family = family_of(folder, unet, text);
  checkpoint.base_model = family.model;
  checkpoint.prediction = family.prediction;
  checkpoint.unet_heads = unet_heads(folder / "unet" / "config.json", unet);

  const json scheduler = config("scheduler", "scheduler_config.json"), vae = config("vae", "config.json");
  const auto stated_prediction = scheduler_statement(scheduler, checkpoint);

  const auto add = [&](std::string_view part, const json& stated, const auto& add_tensors) {
    auto files = open_weights(folder / part);
    const std::string quantisation = stated_quantisation(stated, folder / part);
    for (const auto& file : files) refuse_quantised(*file, Integers::kAreNone, quantisation);
    add_tensors(all_tensors(files));
    for (auto& file : files) {
      checkpoint.metadata.insert(file->metadata().begin(), file->metadata().end());
      checkpoint.files.push_back(std::move(file));
    }
  };
  add("unet", unet, [&](const auto& tensors) { add_diffusers_unet(checkpoint, tensors, "unet/"); });
  add("vae", vae, [&](const auto& tensors) { add_diffusers_vae(checkpoint, tensors, "vae/"); });
  for (const TextEncoderRow& encoder : family.text_encoders) {
    const std::string part(encoder.folder);
    const json stated =
        encoder.component == Component::kTextEncoder ? text : config(part.c_str(), "config.json");
    if (const auto heads = whole_number(stated, "num_attention_heads"))
      checkpoint.text_heads[encoder.component] = checked_heads(folder / part / "config.json", *heads);
    add(part, stated, [&](const auto& tensors) { add_text_encoder(checkpoint, encoder, tensors); });
  }
  // Said only where it is another than the family's, whose latents have a known colour preview.
  if (const auto scale = vae.find("scaling_factor");
      scale != vae.end() && scale->is_number() && scale->get<double>() != family.latent_scale)
    checkpoint.metadata.emplace("lowrank.latent_scale", fmt::format("{}", scale->get<double>()));
  apply_metadata(checkpoint);
  apply_stated_prediction(checkpoint, stated_prediction);
  return checkpoint;
}

Checkpoint read_diffusers_vae(const fs::path& folder) {
  Checkpoint checkpoint;
  checkpoint.path = folder;
  checkpoint.layout = Layout::kDiffusersFolder;
  const fs::path part = fs::is_directory(folder / "vae") ? folder / "vae" : folder;
  checkpoint.files = open_weights(part);
  const json config = read_config(part / "config.json");
  if (const auto scale = config.find("scaling_factor"); scale != config.end() && scale->is_number())
    checkpoint.metadata.emplace("lowrank.latent_scale", fmt::format("{}", scale->get<double>()));
  add_diffusers_vae(checkpoint, all_tensors(checkpoint.files), "");
  return checkpoint;
}

}  // namespace lowrank::formats
