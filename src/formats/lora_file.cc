#include "formats/lora_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "formats/hashes.h"
#include "formats/kind_table.h"
#include "formats/lora_family.h"
#include "formats/naming_table.h"
#include "formats/peft_config.h"
#include "formats/single_file.h"

namespace lowrank::formats {
namespace {

using weights::shape_text;
using weights::TensorView;

constexpr std::array<std::string_view, 3> kBesideAnyKind = {"alpha", "scale", "scalar"};

// Tensors of one layer, however their keys spell it.
struct Group {
  std::string module;
  std::string path;
  ModuleTarget target = ModuleTarget::kUnet;
  std::map<std::string, TensorView, std::less<>> parts;
};

struct Sorting {
  LoraFile lora;
  std::vector<Group> groups;
  std::map<std::pair<ModuleTarget, std::string>, std::size_t>
      places;  // of groups, by component and flat name
  bool has_second_encoder = false;

  void skip(std::string module, std::string key, std::string reason) {
    auto& skipped = lora.skipped;
    if (!skipped.empty() && skipped.back().module == module && skipped.back().reason == reason) {
      skipped.back().keys.push_back(std::move(key));
    } else {
      skipped.push_back({std::move(module), {std::move(key)}, std::move(reason)});
    }
  }
};

// Keys of a known form that LowRank does not use: the reason, or nullopt.
std::optional<std::string> unsupported_form(std::string_view key) {
  if (key.starts_with("bundle_emb."))
    return "an embedding inside the LoRA; save it as a file in the embeddings folder";
  if (key.find(".lora_embedding_") != std::string_view::npos)
    return "a LoRA on an embedding table is not supported";
  if (key.find(".modules_to_save.") != std::string_view::npos)
    return "a whole module saved by PEFT is not supported";
  return std::nullopt;
}

void place_tensor(Sorting& sorting, const TensorView& view) {
  if (auto reason = unsupported_form(view.name)) {
    const auto dot = view.name.find('.', view.name.starts_with("bundle_emb.") ? 11 : 0);
    sorting.skip(view.name.substr(0, dot), view.name, std::move(*reason));
    return;
  }
  const auto split = split_key(view.name);
  auto name = split ? name_of_module(split->module) : std::nullopt;
  if (!name) {
    sorting.lora.unknown.push_back(view.name);
    return;
  }
  const auto [place, is_new] =
      sorting.places.emplace(std::pair(name->target, name->flat), sorting.groups.size());
  if (is_new) sorting.groups.push_back({split->module, std::move(name->path), name->target, {}});
  Group& group = sorting.groups[place->second];
  if (!group.parts.emplace(split->part, view).second) {
    sorting.skip(split->module, view.name,
                 fmt::format("the layer is addressed twice, as '{}' too", group.module));
  }
}

bool has_one_of(const Group& group, const std::vector<std::string_view>& names) {
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view name) { return group.parts.contains(name); });
}

bool is_convolution(const Group& group) {
  const auto& shape = group.parts.find("lora_down.weight")->second.shape;
  return group.parts.contains("lora_mid.weight") || (shape.size() == 4 && (shape[2] > 1 || shape[3] > 1));
}

const KindRow* kind_of(const Group& group) {
  for (const KindRow& row : kind_table()) {
    if (!std::all_of(row.needs.begin(), row.needs.end(),
                     [&](const auto& names) { return has_one_of(group, names); }))
      continue;
    if (row.kind == AdapterKind::kLora && is_convolution(group)) continue;  // the next row is LoCon
    if (row.kind == AdapterKind::kOft) {
      const auto blocks = group.parts.find("oft_blocks");
      if (blocks != group.parts.end() && blocks->second.shape.size() == 4) continue;  // staged: BOFT
    }
    return &row;
  }
  return nullptr;
}

// What an incomplete set has and lacks, by the kind it resembles most.
std::string incomplete_reason(const Group& group) {
  for (const KindRow& row : kind_table()) {
    std::vector<std::string_view> missing;
    bool has_some = false;
    for (const auto& names : row.needs) {
      if (has_one_of(group, names)) {
        has_some = true;
      } else if (missing.empty() || missing.back() != names.back()) {
        missing.push_back(names.back());
      }
    }
    if (has_some) return fmt::format("incomplete {}: {} is missing", row.name, fmt::join(missing, " and "));
  }
  return "incomplete: no factors beside the settings";
}

bool belongs(const KindRow& row, std::string_view part) {
  const auto is_part = [&](const auto& names) {
    return std::find(names.begin(), names.end(), part) != names.end();
  };
  return is_part(kBesideAnyKind) || is_part(row.may) ||
         std::any_of(row.needs.begin(), row.needs.end(), is_part);
}

std::string foreign_reason(const KindRow& row, std::string_view part) {
  if (part.starts_with("bias_")) return "a sparse bias is not supported";
  return fmt::format("'{}' beside a {} is not supported", part, row.name);
}

std::int64_t size_of(const LoraEntry& entry, std::string_view part, std::size_t index) {
  const auto place = entry.parts.find(part);
  if (place == entry.parts.end() || place->second.shape.size() <= index) return -1;
  return place->second.shape[index];
}

// The pairs of dimensions that must both be the rank; the first is where the rank is read.
struct RankPair {
  std::string_view first;
  std::size_t first_index;
  std::string_view second;
  std::size_t second_index;
};

std::vector<RankPair> rank_pairs(const LoraEntry& entry) {
  switch (entry.kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
      return {{"lora_down.weight", 0, "lora_up.weight", 1}};
    case AdapterKind::kLoha: {
      const std::size_t inner =
          entry.parts.contains("hada_t1") ? 0 : 1;  // Tucker keeps the first factor transposed
      return {{"hada_w1_b", 0, "hada_w1_a", inner}, {"hada_w2_b", 0, "hada_w2_a", inner}};
    }
    case AdapterKind::kLokr: {
      std::vector<RankPair> pairs;
      if (!entry.parts.contains("lokr_w2"))
        pairs.push_back({"lokr_w2_b", 0, "lokr_w2_a", entry.parts.contains("lokr_t2") ? 0u : 1u});
      if (!entry.parts.contains("lokr_w1")) pairs.push_back({"lokr_w1_b", 0, "lokr_w1_a", 1});
      return pairs;
    }
    case AdapterKind::kGlora: {
      // The layout before LyCORIS 1.9 is the transposed one: there b1 and b2 change places.
      const bool is_old = size_of(entry, "b2.weight", 1) == size_of(entry, "b1.weight", 0);
      if (is_old) return {{"b1.weight", 0, "b2.weight", 1}};
      return {{"b2.weight", 0, "b1.weight", 1}};
    }
    case AdapterKind::kIa3:
    case AdapterKind::kFull:
    case AdapterKind::kNorm:
    case AdapterKind::kOft:
    case AdapterKind::kBoft:
      return {};
  }
  return {};
}

// Reads rank and alpha into `entry`; the reason when they make no sense.
std::optional<std::string> read_numbers(LoraEntry& entry) {
  for (const RankPair& pair : rank_pairs(entry)) {
    const auto first = size_of(entry, pair.first, pair.first_index);
    const auto second = size_of(entry, pair.second, pair.second_index);
    if (first < 1 || first != second) {
      return fmt::format("the factors do not fit: {} is {}, {} is {}", pair.first,
                         shape_text(entry.parts.find(pair.first)->second.shape), pair.second,
                         shape_text(entry.parts.find(pair.second)->second.shape));
    }
    if (entry.rank == 0) entry.rank = first;
  }
  const auto alpha = entry.parts.find("alpha");
  if (alpha == entry.parts.end()) return std::nullopt;
  if (alpha->second.elements() != 1)
    return fmt::format("alpha must be one number, its shape is {}", shape_text(alpha->second.shape));
  entry.alpha = weights::to_floats(alpha->second)[0];
  if (!std::isfinite(*entry.alpha)) return "alpha is not a finite number";
  return std::nullopt;
}

void skip_group(Sorting& sorting, const std::string& module, const auto& parts, const std::string& reason) {
  SkippedKeys skipped{module, {}, reason};
  for (const auto& [part, view] : parts) skipped.keys.push_back(view.name);
  sorting.lora.skipped.push_back(std::move(skipped));
}

// `.weight` and `.bias` alone are ordinary parameters of a model, not an adapter.
bool is_plain_parameter(const Group& group) {
  return std::all_of(group.parts.begin(), group.parts.end(),
                     [](const auto& item) { return item.first == "weight" || item.first == "bias"; });
}

void sort_group(Sorting& sorting, Group& group, const PeftConfig& config) {
  if (is_plain_parameter(group)) {
    for (const auto& [part, view] : group.parts) sorting.lora.unknown.push_back(view.name);
    return;
  }
  if (group.target == ModuleTarget::kSecondTextEncoder) {
    sorting.has_second_encoder = true;
    skip_group(sorting, group.module, group.parts, "it belongs to the second text encoder of SDXL");
    return;
  }
  const KindRow* row = kind_of(group);
  if (row == nullptr) {
    skip_group(sorting, group.module, group.parts, incomplete_reason(group));
    return;
  }
  LoraEntry entry{
      .module = group.module,
      .component = group.target == ModuleTarget::kUnet ? Component::kUnet : Component::kTextEncoder,
      .name = flattened(group.path),
      .kind = row->kind,
      .parts = {},
      .alpha = std::nullopt};
  for (auto& [part, view] : group.parts) {
    if (belongs(*row, part)) {
      entry.parts.emplace(part, std::move(view));
    } else {
      sorting.skip(group.module, view.name, foreign_reason(*row, part));
    }
  }
  if (const auto problem = read_numbers(entry)) {
    skip_group(sorting, entry.module, entry.parts, *problem);
    return;
  }
  if (!entry.alpha && entry.rank > 0) entry.alpha = config.alpha(entry.component, group.path, entry.rank);
  sorting.lora.entries.push_back(std::move(entry));
}

void refuse_other_architectures(const weights::TensorFile& file) {
  for (const TensorView& view : file.tensors()) {
    const auto architecture = foreign_architecture(view.name);
    if (!architecture || !split_key(view.name)) continue;
    throw Error(kUnsupported, "{}: is a LoRA for {} (key '{}'); LowRank knows those of Stable Diffusion.",
                file.path().string(), *architecture, view.name);
  }
}

}  // namespace

std::string_view adapter_kind_name(AdapterKind kind) {
  for (const KindRow& row : kind_table())
    if (row.kind == kind) return row.name;
  return "?";
}

LoraFile read_lora(std::shared_ptr<const weights::TensorFile> file) {
  refuse_other_architectures(*file);
  const PeftConfig config = PeftConfig::beside(*file);
  Sorting sorting;
  LoraFile& lora = sorting.lora;
  lora.path = file->path();
  lora.name = lora.path.stem().string();
  const auto alias = file->metadata().find("ss_output_name");
  lora.alias = alias == file->metadata().end() || alias->second.empty() ? lora.name : alias->second;
  for (const TensorView& view : file->tensors()) place_tensor(sorting, view);
  for (Group& group : sorting.groups) sort_group(sorting, group, config);
  if (lora.entries.empty() && lora.skipped.empty()) {
    throw Error(kBadInput, "{}: is no LoRA, it looks like {}; choose another file.", lora.path.string(),
                describe_file(*file));
  }
  lora.file = std::move(file);
  recognise_base_model(lora, sorting.has_second_encoder);
  if (lora.file->metadata().contains("sshs_model_hash")) lora.short_hash = lora_short_hash(*lora.file);
  return std::move(sorting.lora);
}

LoraFile open_lora(const std::filesystem::path& path) {
  return read_lora(weights::TensorFile::open(path));
}

std::string lora_short_hash(const weights::TensorFile& file) {
  const auto stored = file.metadata().find("sshs_model_hash");
  std::string hash =
      stored != file.metadata().end() && stored->second.size() >= 12 ? stored->second : addnet_hash(file);
  hash.resize(12);
  std::transform(hash.begin(), hash.end(), hash.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return hash;
}

}  // namespace lowrank::formats
