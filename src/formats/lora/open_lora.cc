#include "formats/lora/lora_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/text/ascii.h"
#include "formats/embedding_file.h"
#include "formats/entry_settings.h"
#include "formats/file_kind.h"
#include "formats/hashes.h"
#include "formats/lora/foreign_architecture.h"
#include "formats/lora/fused_matrix.h"
#include "formats/lora/kind_shapes.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/naming_table.h"
#include "formats/lora/peft_config.h"
#include "formats/quantised_form.h"

namespace lowrank::formats {
namespace {

using weights::shape_text;
using weights::TensorView;

constexpr std::string_view kBundle = "bundle_emb.";
constexpr std::array<std::string_view, 3> kBesideAnyKind = {"alpha", "scale", "scalar"};
// Parts that are settings, indices or sizes, and may be whole numbers.
bool is_number_beside(std::string_view part) {
  return std::find(kBesideAnyKind.begin(), kBesideAnyKind.end(), part) != kBesideAnyKind.end() ||
         part == "on_input" || part.ends_with("_indices") || part == "bias_size";
}

// Tensors of one layer, however their keys spell it.
struct Group {
  std::string module;
  std::string path;
  Component component = Component::kUnet;
  std::string flat;
  EncoderNumber number = EncoderNumber::kImplied;  // as ModuleName's, like `flat` and `fused`
  std::vector<std::string> fused;
  PartViews parts;
  bool counts_keys = true;
};

struct Sorting {
  LoraFile lora;
  std::vector<Group> groups;
  std::map<std::pair<Component, std::string>, std::size_t> places;  // of groups, by component and flat name
  bool has_second_encoder = false;
  // VeRA's and RandLoRA's random matrices, of which all modules use a part. They are counted with the first that does.
  PartViews shared;
  std::shared_ptr<const PartViews> lent;

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
  if (key.find(".lora_embedding_") != std::string_view::npos)
    return "a LoRA on an embedding table is not supported";
  if (key.find(".modules_to_save.") != std::string_view::npos)
    return "a whole module saved by PEFT is not supported";
  if (key.ends_with(".base_layer.weight"))
    return "the base weight that PEFT stores with its adapter; the checkpoint's own is used";
  return std::nullopt;
}

// `base_model.vera_A`: of no layer.
std::optional<std::string_view> shared_part(const KeySplit& split) {
  if (split.module != "base_model") return std::nullopt;
  for (const AdapterKind kind : {AdapterKind::kVera, AdapterKind::kRandLora})
    if (const auto names = shared_parts(kind); split.part == names->a || split.part == names->b)
      return split.part;
  return std::nullopt;
}

void place_embedding(Sorting& sorting, const TensorView& view) {
  const auto skip = [&](std::string reason) {
    sorting.skip(view.name.substr(0, view.name.rfind('.')), view.name, std::move(reason));
  };
  const auto key = bundled_embedding_key(view.name);
  if (!key) return skip("an embedding inside the LoRA in an unknown form");
  TensorView vectors = view;
  if (!shape_as_vectors(vectors))
    return skip(fmt::format("an embedding's vectors must be [count, width], but these are {}",
                            shape_text(view.shape)));
  auto& all = sorting.lora.embeddings;
  auto place = std::ranges::find(all, key->name, &BundledEmbedding::name);
  if (place == all.end()) place = all.insert(all.end(), {key->name, {}});
  if (!place->vectors.of.empty() && place->vectors.count() != vectors.shape[0])
    return skip(fmt::format("the embedding '{}' has {} vectors for one text encoder, but {} for the other",
                            key->name, place->vectors.count(), vectors.shape[0]));
  const Component component = key->component.value_or(encoder_of_width(vectors.shape[1]));
  if (!place->vectors.of.emplace(component, std::move(vectors)).second)
    return skip(fmt::format("the file contains the embedding '{}' twice", key->name));
}

void place_tensor(Sorting& sorting, const TensorView& view) {
  if (view.name.starts_with(kBundle)) return place_embedding(sorting, view);
  if (auto reason = unsupported_form(view.name)) {
    sorting.skip(view.name.substr(0, view.name.rfind('.')), view.name, std::move(*reason));
    return;
  }
  const auto split = split_key(view.name);
  const auto part = split ? shared_part(*split) : std::nullopt;
  if (part && sorting.shared.emplace(*part, view).second) return;
  auto name = split ? name_of_module(split->module) : std::nullopt;
  if (!name) {
    if (const auto type = unknown_peft_type(view.name)) {
      sorting.skip(view.name, view.name, fmt::format("PEFT's {} is not supported", *type));
    } else {
      sorting.lora.unknown.push_back(view.name);
    }
    return;
  }
  const auto [place, is_new] =
      sorting.places.emplace(std::pair(name->component, name->flat), sorting.groups.size());
  if (is_new)
    sorting.groups.push_back({.module = split->module,
                              .path = std::move(name->path),
                              .component = name->component,
                              .flat = std::move(name->flat),
                              .number = name->number,
                              .fused = std::move(name->fused),
                              .parts = {}});
  Group& group = sorting.groups[place->second];
  if (!group.parts.emplace(split->part, view).second) {
    sorting.skip(split->module, view.name,
                 fmt::format("the layer is addressed twice, also as '{}'", group.module));
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
    const bool is_plain = row.kind == AdapterKind::kLora || row.kind == AdapterKind::kLocon;
    if (is_plain && (group.parts.contains("lora_diag") || group.parts.contains("lora_E"))) continue;
    if (row.kind == AdapterKind::kOft) {
      const auto blocks = group.parts.find("oft_blocks");
      if (blocks != group.parts.end() && blocks->second.shape.size() == 4) continue;  // staged: BOFT
    }
    return &row;
  }
  return nullptr;
}

// Kinds that are known by name only: why they do not act; nullopt for all others.
std::optional<std::string> unusable_kind(const Group& group) {
  if (group.parts.contains("lambda_layer") || group.parts.contains("q_layer.weight") ||
      group.parts.contains("p_layer.weight"))
    return "a LyCORIS T-LoRA: its change is relative to a starting point that is not in the file, so it "
           "cannot be computed; use a LoRA of another kind, or one converted by its training program";
  return std::nullopt;
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
  return "incomplete: no factors, only settings";
}

bool belongs(const KindRow& row, std::string_view part) {
  const auto is_part = [&](const auto& names) {
    return std::find(names.begin(), names.end(), part) != names.end();
  };
  // PEFT trains a layer's bias beside any of its kinds.
  return is_part(kBesideAnyKind) || part == "base_layer.bias" || is_part(row.may) ||
         std::any_of(row.needs.begin(), row.needs.end(), is_part);
}

std::string foreign_reason(const KindRow& row, std::string_view part) {
  if (part.starts_with("bias_")) return "a sparse bias is not supported";
  return fmt::format("'{}' together with a {} is not supported", part, row.name);
}

std::int64_t size_of(const LoraEntry& entry, std::string_view part, std::size_t index) {
  const auto place = entry.parts.find(part);
  if (place == entry.parts.end() || place->second.shape.size() <= index) return -1;
  return place->second.shape[index];
}

// How far SHiRA's indices reach; the reason when they are none.
std::optional<std::string> read_indices(LoraEntry& entry) {
  const TensorView& view = entry.parts.find("shira_indices")->second;
  const auto count = static_cast<std::size_t>(size_of(entry, "shira_indices", 1));
  if (view.shape.size() != 2 || view.shape[0] != 2)
    return fmt::format("shira_indices is {}, but needs two rows", shape_text(view.shape));
  const std::vector<float> indices = weights::to_floats(view);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (!(indices[i] >= 0 && indices[i] < 1e9)) return "shira_indices contains a value that is not an index";
    std::int64_t& reach = i < count ? entry.facts.rows : entry.facts.columns;
    reach = std::max(reach, static_cast<std::int64_t>(indices[i]) + 1);
  }
  return std::nullopt;
}

// The reason why a part is no factor: whole numbers are none, unless a scale makes numbers of them. Bits of a 16-bit float
// that were saved as unsigned integers would give changes of any size.
std::optional<std::string> odd_numbers(const LoraEntry& entry) {
  for (const auto& [part, view] : entry.parts) {
    if (weights::is_float(view.dtype) || view.scaling != nullptr || is_number_beside(part)) continue;
    return fmt::format("{} contains integers ({}), but factors must be floats", part,
                       weights::dtype_name(view.dtype));
  }
  return std::nullopt;
}

// Reads rank and alpha into `entry`; the reason when they make no sense.
std::optional<std::string> read_numbers(LoraEntry& entry) {
  for (const RankPair& pair : rank_pairs(shapes_of(entry))) {
    const auto first = size_of(entry, pair.first, pair.first_index);
    const auto second = size_of(entry, pair.second, pair.second_index);
    if (first < 1 || first != second) {
      return fmt::format("the factors do not match: {} is {}, {} is {}", pair.first,
                         shape_text(entry.parts.find(pair.first)->second.shape), pair.second,
                         shape_text(entry.parts.find(pair.second)->second.shape));
    }
    if (entry.rank == 0) entry.rank = first;
  }
  if (entry.kind == AdapterKind::kShira)
    if (auto problem = read_indices(entry)) return problem;
  if (entry.kind == AdapterKind::kIa3) {
    const auto numbers = weights::to_floats(entry.parts.find("on_input")->second);
    entry.facts.on_input =
        std::any_of(numbers.begin(), numbers.end(), [](float value) { return value != 0; });
  }
  const auto alpha = entry.parts.find("alpha");
  if (alpha == entry.parts.end()) return std::nullopt;
  if (alpha->second.elements() != 1)
    return fmt::format("alpha must be a single number, but its shape is {}", shape_text(alpha->second.shape));
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

// The settings that stand outside the tensors.
void read_settings(LoraEntry& entry, std::string_view path, PeftConfig& config) {
  const auto answer = config.of(entry.component, path, entry.kind, entry.rank);
  entry.settings = answer.settings;
  if (!entry.alpha && answer.alpha) {
    entry.alpha = answer.alpha;
    entry.rank = answer.rank;
  }
  if (entry.kind != AdapterKind::kIa3Peft) return;
  // Of a linear layer the place of the 1 tells: [out, 1] or [1, in]. Of a convolution it is [1, c, 1, 1] always.
  const auto& shape = entry.parts.find("ia3_l")->second.shape;
  entry.facts.on_input = shape.size() == 2 ? shape[0] == 1 && shape[1] != 1 : entry.settings.is_feedforward;
}

// Gives a module the matrices that all share, where it has no copy of its own; PEFT writes those too. The first taker
// counts them as its parts, the others only refer to them.
void lend_shared(Sorting& sorting, LoraEntry& entry) {
  const auto names = shared_parts(entry.kind);
  if (!names || !sorting.shared.contains(names->a) || !sorting.shared.contains(names->b)) return;
  if (!sorting.lent) {
    sorting.lent = std::make_shared<PartViews>(sorting.shared);
    for (const auto& [part, view] : sorting.shared)
      if (!entry.parts.emplace(part, view).second) entry.parts.emplace("base_model." + part, view);
  }
  entry.shared = sorting.lent;
}

void sort_group(Sorting& sorting, Group& group, PeftConfig& config);

// A module of OpenCLIP's one matrix of query, key and value: three modules, as the model has three layers.
void sort_fused(Sorting& sorting, Group& group, AdapterKind kind, PeftConfig& config) {
  const CutRows cut = cut_in_three(kind, group.parts);
  if (!cut.problem.empty()) return skip_group(sorting, group.module, group.parts, cut.problem);
  for (std::size_t i = 0; i < cut.parts.size(); ++i) {
    Group third = group;
    third.fused.clear();
    third.flat = group.fused.at(i);
    third.parts = cut.parts[i];
    third.counts_keys = i == 0;
    sort_group(sorting, third, config);
  }
}

void sort_group(Sorting& sorting, Group& group, PeftConfig& config) {
  if (group.parts.size() == 1 && group.parts.contains("bias") && config.trains_all_biases(group.component))
    group.parts = {{"base_layer.bias", group.parts.begin()->second}};
  if (is_plain_parameter(group)) {
    for (const auto& [part, view] : group.parts) sorting.lora.unknown.push_back(view.name);
    return;
  }
  if (group.component == Component::kTextEncoder2) sorting.has_second_encoder = true;
  if (const auto reason = unusable_kind(group)) {
    skip_group(sorting, group.module, group.parts, *reason);
    return;
  }
  const KindRow* row = kind_of(group);
  if (row == nullptr) {
    skip_group(sorting, group.module, group.parts, incomplete_reason(group));
    return;
  }
  if (!group.fused.empty()) return sort_fused(sorting, group, row->kind, config);
  LoraEntry entry;
  entry.module = group.module;
  entry.component = group.component;
  entry.number = group.number;
  entry.name = group.flat;
  entry.counts_keys = group.counts_keys;
  entry.kind = row->kind;
  for (auto& [part, view] : group.parts) {
    if (belongs(*row, part)) {
      entry.parts.emplace(part, std::move(view));
    } else {
      sorting.skip(group.module, view.name, foreign_reason(*row, part));
    }
  }
  lend_shared(sorting, entry);
  auto problem = odd_numbers(entry);
  if (!problem) problem = read_numbers(entry);
  if (problem) {
    skip_group(sorting, entry.module, entry.parts, *problem);
    return;
  }
  read_settings(entry, group.path, config);
  if (const auto missing = missing_settings(entry); !missing.empty()) {
    skip_group(sorting, entry.module, entry.parts, missing);
    return;
  }
  sorting.lora.entries.push_back(std::move(entry));
}

void refuse_other_architectures(const weights::TensorFile& file) {
  std::string_view told, key;
  for (const TensorView& view : file.tensors()) {
    const auto architecture = foreign_architecture(view.name);
    if (!architecture || !tells_more(*architecture, told) || !split_key(view.name)) continue;
    told = *architecture;
    key = view.name;
  }
  if (!told.empty())
    throw Error(kUnsupported, "{}: is a LoRA for {} (key '{}'); LowRank supports LoRAs for Stable Diffusion.",
                file.path().string(), told, key);
}

// A file whose tensors are all of a kind that only PEFT makes is named, not called broken.
void refuse_foreign_peft(const weights::TensorFile& file) {
  for (const TensorView& view : file.tensors())
    if (const auto type = unknown_peft_type(view.name)) refuse_peft_type(file.path().string(), *type);
}

bool is_peft_without_settings(const weights::TensorFile& file, const PeftConfig& config) {
  const auto& tensors = file.tensors();
  return !config.is_found() && std::any_of(tensors.begin(), tensors.end(), [](const TensorView& view) {
    return view.name.starts_with("base_model.model.");
  }) && std::none_of(tensors.begin(), tensors.end(), [](const TensorView& view) {
    return view.name.ends_with(".alpha");
  });
}

}  // namespace

std::string unusable_reason(const LoraFile& lora) {
  if (!lora.entries.empty() || lora.skipped.empty()) return "";
  return fmt::format("none of its {} modules can be used; the first, '{}': {}", lora.skipped.size(),
                     lora.skipped.front().module, lora.skipped.front().reason);
}

std::optional<BundledKey> bundled_embedding_key(std::string_view key) {
  struct Ending {
    std::string_view text;
    std::optional<Component> component;
  };
  static constexpr Ending kEndings[] = {{".string_to_param.*", std::nullopt},
                                        {".emb_params", std::nullopt},
                                        {".clip_l", Component::kTextEncoder},
                                        {".clip_g", Component::kTextEncoder2}};
  if (!key.starts_with(kBundle)) return std::nullopt;
  key.remove_prefix(kBundle.size());
  for (const auto& [ending, component] : kEndings)
    if (key.size() > ending.size() && key.ends_with(ending))
      return BundledKey{std::string(key.substr(0, key.size() - ending.size())), component};
  return std::nullopt;
}

std::vector<std::string> LoraEntry::keys() const {
  std::vector<std::string> keys;
  if (counts_keys)
    for (const auto& [part, view] : parts) keys.push_back(view.name);
  return keys;
}

std::string_view adapter_kind_name(AdapterKind kind) {
  for (const KindRow& row : kind_table())
    if (row.kind == kind) return row.name;
  return "?";
}

void refuse_too_many_tensors(std::size_t count, const std::filesystem::path& path) {
  if (count > kMostLoraTensors)
    throw Error(kBadInput, "{}: has more than {} tensors, more than any LoRA; check what the file is.",
                path.string(), kMostLoraTensors);
}

LoraFile read_lora(std::shared_ptr<const weights::TensorFile> file) {
  refuse_too_many_tensors(file->tensors().size(), file->path());
  refuse_other_architectures(*file);
  refuse_quantised(*file, Integers::kMayHaveScales);
  PeftConfig config = PeftConfig::beside(*file);
  Sorting sorting;
  LoraFile& lora = sorting.lora;
  lora.path = file->path();
  lora.name = lora.path.stem().string();
  const auto alias = file->metadata().find("ss_output_name");
  lora.alias = alias == file->metadata().end() || alias->second.empty() ? lora.name : alias->second;
  for (const TensorView& view : file->tensors()) place_tensor(sorting, view);
  for (Group& group : sorting.groups) sort_group(sorting, group, config);
  if (!sorting.lent)
    for (const auto& [part, view] : sorting.shared) lora.unknown.push_back(view.name);
  if (lora.entries.empty()) refuse_foreign_peft(*file);
  if (lora.entries.empty() && lora.skipped.empty() && lora.embeddings.empty()) {
    throw Error(kBadInput, "{}: {}.", lora.path.string(), refusal_of_kind(*file, "a LoRA"));
  }
  lora.notes = config.notes();
  if (std::any_of(lora.entries.begin(), lora.entries.end(),
                  [](const LoraEntry& entry) { return entry.kind == AdapterKind::kKasa; }))
    lora.notes.emplace_back(kStartNote);
  lora.notes.insert(lora.notes.end(), file->notes().begin(), file->notes().end());
  tell_magnitudes(lora);
  if (is_peft_without_settings(*file, config))
    lora.notes.push_back(
        "adapter_config.json is not in the same folder: alpha is assumed to equal the rank, and everything "
        "else PEFT's default");
  lora.file = std::move(file);
  recognise_base_model(lora, sorting.has_second_encoder);
  if (const auto stated = lora.file->metadata().find("sshs_model_hash");
      stated != lora.file->metadata().end() && states_auto_v3(stated->second))
    lora.short_hash = lora_short_hash(*lora.file);
  return std::move(sorting.lora);
}

LoraFile open_lora(const std::filesystem::path& path) {
  auto file = weights::TensorFile::open(path, kMostLoraTensors);
  if (file->is_cut()) refuse_too_many_tensors(kMostLoraTensors + 1, path);
  return read_lora(std::move(file));
}

LoraFile glimpse_lora(const std::filesystem::path& path) {
  return read_lora(weights::TensorFile::open(path, kMostLoraTensors));
}

std::string lora_short_hash(const weights::TensorFile& file) {
  const auto stored = file.metadata().find("sshs_model_hash");
  if (stored != file.metadata().end() && states_auto_v3(stored->second)) {
    std::string hash = lower_ascii(stored->second);
    hash.resize(12);
    return hash;
  }
  return auto_v3(file);
}

}  // namespace lowrank::formats
