#include "formats/lora/lora_summary.h"

#include <algorithm>
#include <bitset>
#include <optional>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "formats/checkpoint/single_file.h"
#include "formats/digest.h"
#include "formats/lora/foreign_architecture.h"
#include "formats/lora/kind_shapes.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/lora_family.h"
#include "formats/lora/lora_fit.h"
#include "formats/lora/naming_table.h"
#include "formats/lora/peft_config.h"
#include "weights/safetensors_header.h"

namespace lowrank::formats {
namespace {

namespace fs = std::filesystem;
using SkimmedTensor = weights::HeaderTensor;
using SkimmedHeader = weights::SafetensorsIndex;

constexpr std::size_t kMaxRemembered = 50'000;  // keys; a collection of SD 1.x and SDXL LoRAs has some 8,000
constexpr int kUnknown = -1;
using PartBits = std::bitset<128>;  // bit: place of the part in Memory::parts

// What a key means, found once.
struct KeyMeaning {
  int module = kUnknown;
  int part = kUnknown;
  std::int64_t digest = 0;  // of the key
  std::string foreign;      // the architecture that it betrays
};

struct ModuleMeaning {
  Component component = Component::kUnet;
  EncoderNumber number = EncoderNumber::kImplied;
  std::string flat;
  bool is_fused = false;      // three layers' matrix in one
  bool tells_family = false;  // lora_family.cc looks at it
};

// In one file.
struct ModuleState {
  PartBits parts;
  int first = kUnknown;  // of its tensors; they are chained
};

}  // namespace

struct LoraSummariser::Memory {
  std::unordered_map<std::string_view, KeyMeaning> keys;
  std::vector<std::unique_ptr<std::string>> owned;  // the texts behind `keys`
  std::unordered_map<std::string, int> module_places;
  std::vector<ModuleMeaning> modules;
  std::vector<std::string_view> parts;  // names of the suffix table, each once
  struct KindMask {
    AdapterKind kind;
    std::vector<PartBits> needs;  // of each one bit must be there
  };
  std::vector<KindMask> kinds;
  std::vector<ModuleState> states;
  std::vector<int> touched, next;  // modules of the file; per tensor the next of its module
  std::vector<int> part_of;        // per tensor

  Memory() {
    for (const SuffixRow& row : suffix_table())
      if (std::ranges::find(parts, row.part) == parts.end()) parts.push_back(row.part);
    for (const KindRow& row : kind_table())
      for (const auto& names : row.needs)
        for (const auto name : names)
          if (std::ranges::find(parts, name) == parts.end()) parts.push_back(name);
    LOWRANK_CHECK(parts.size() <= PartBits().size());
    for (const KindRow& row : kind_table()) {
      KindMask mask{row.kind, {}};
      for (const auto& names : row.needs) {
        PartBits bits;
        for (const auto name : names) bits |= bit(name);
        mask.needs.push_back(bits);
      }
      kinds.push_back(std::move(mask));
    }
  }

  int part_place(std::string_view part) const {
    return static_cast<int>(std::ranges::find(parts, part) - parts.begin());
  }
  PartBits bit(std::string_view part) const {
    return PartBits().set(static_cast<std::size_t>(part_place(part)));
  }

  KeyMeaning understand(std::string_view key) {
    KeyMeaning meaning;
    const auto split = split_key(key);
    if (const auto architecture = foreign_architecture(key); architecture && split)
      meaning.foreign = *architecture;
    if (key.starts_with("bundle_emb.") || !split) return meaning;
    const auto name = name_of_module(split->module);
    if (!name) return meaning;
    const std::string place = fmt::format("{} {} {}", static_cast<int>(name->component),
                                          static_cast<int>(name->number), name->flat);
    const auto [at, is_new] = module_places.emplace(place, static_cast<int>(modules.size()));
    if (is_new)
      modules.push_back(
          {name->component, name->number, name->flat, !name->fused.empty(), tells_family(name->flat)});
    meaning.module = at->second;
    meaning.part = part_place(split->part);
    return meaning;
  }

  const KeyMeaning& meaning_of(std::string_view key) {
    if (const auto found = keys.find(key); found != keys.end()) return found->second;
    if (keys.size() >= kMaxRemembered) forget();
    owned.push_back(std::make_unique<std::string>(key));
    KeyMeaning& meaning = keys.emplace(*owned.back(), understand(key)).first->second;
    meaning.digest = digest(key);
    return meaning;
  }

  void forget() {
    keys.clear();
    owned.clear();
  }
};

LoraSummariser::LoraSummariser() : memory_(std::make_unique<Memory>()) {}
LoraSummariser::~LoraSummariser() = default;

namespace {

using Memory = LoraSummariser::Memory;

bool is_convolution(const SkimmedTensor& down) {
  return down.dimensions == 4 && (down.shape[2] > 1 || down.shape[3] > 1);
}

void widen_ranks(LoraSummary& summary, std::int64_t rank) {
  if (rank <= 0) return;
  summary.rank_low = summary.rank_low == 0 ? rank : std::min(summary.rank_low, rank);
  summary.rank_high = std::max(summary.rank_high, rank);
}

void record_widths(LoraSummary& summary, const LoraEntry& entry) {
  if (entry.name.ends_with("attn2_to_k") && summary.cross_width == 0)
    summary.cross_width = input_width(entry);
  if (is_text_encoder(entry.component) && tells_family(entry.name) && summary.text_width == 0)
    summary.text_width = input_width(entry);
}

// What the strict reader makes of a file: errors in its words, pickles, headers of an unusual form.
void read_strictly(const fs::path& path, LoraSummary& summary) {
  try {
    const LoraFile lora = open_lora(path);
    summary.architecture = architecture_name(lora.base_model);
    summary.base_reason = lora.base_model_reason;
    summary.metadata = lora.file->metadata();
    for (const LoraEntry& entry : lora.entries) {
      if (std::ranges::find(summary.kinds, entry.kind) == summary.kinds.end())
        summary.kinds.push_back(entry.kind);
      ++(entry.component == Component::kUnet ? summary.unet_modules : summary.text_modules);
      widen_ranks(summary, entry.rank);
      record_widths(summary, entry);
    }
    std::ranges::sort(summary.kinds);
    if (const auto reason = unusable_reason(lora); !reason.empty())
      summary.problem = fmt::format("{}: {}", path.string(), reason);
    for (const BundledEmbedding& embedding : lora.embeddings) summary.embeddings.push_back(embedding.name);
    summary.layout = layout_digest(lora);
  } catch (const Error& error) {
    summary.problem = error.what();
  }
}

// One header, looked through.
class Glance {
 public:
  Glance(Memory& memory, const SkimmedHeader& header) : memory_(memory), header_(header) {}

  std::vector<std::string> embeddings;  // found by sort_tensors()
  std::int64_t layout = 0;              // as LoraSummary's, likewise

  // Chains the tensors of each module. The architecture that a key betrays when it is not Stable Diffusion;
  // "" else.
  std::string sort_tensors() {
    for (const int module : memory_.touched) memory_.states[static_cast<std::size_t>(module)] = {};
    memory_.touched.clear();
    memory_.next.assign(header_.tensors.size(), kUnknown);
    memory_.part_of.assign(header_.tensors.size(), kUnknown);
    std::string foreign;
    for (const auto& tensor : header_.tensors)
      if (const std::string& told = memory_.meaning_of(tensor.key).foreign;
          !told.empty() && tells_more(told, foreign))
        foreign = told;
    if (!foreign.empty()) return foreign;
    for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
      const KeyMeaning& meaning = memory_.meaning_of(header_.tensors[i].key);
      add_to_layout(meaning, header_.tensors[i]);
      if (meaning.module == kUnknown) {
        auto key = bundled_embedding_key(header_.tensors[i].key);
        is_plain_ = is_plain_ && key;
        if (key && std::ranges::find(embeddings, key->name) == embeddings.end())
          embeddings.push_back(std::move(key->name));
        continue;
      }
      is_plain_ =
          is_plain_ && (header_.tensors[i].dimensions < 2 || weights::is_float(header_.tensors[i].dtype));
      if (memory_.states.size() < memory_.modules.size()) memory_.states.resize(memory_.modules.size());
      ModuleState& state = memory_.states[static_cast<std::size_t>(meaning.module)];
      if (state.first == kUnknown) memory_.touched.push_back(meaning.module);
      state.parts.set(static_cast<std::size_t>(meaning.part));
      memory_.part_of[i] = meaning.part;
      memory_.next[i] = state.first;
      state.first = static_cast<int>(i);
    }
    return "";
  }

  // False: a key, or what a module is made of, wants a second look.
  bool read_modules(LoraSummary& summary) {
    if (!is_plain_) return false;
    const PartBits plain = memory_.bit("weight") | memory_.bit("bias");
    for (const int place : memory_.touched) {
      const ModuleMeaning& module = memory_.modules[static_cast<std::size_t>(place)];
      const ModuleState& state = memory_.states[static_cast<std::size_t>(place)];
      if ((state.parts & ~plain).none()) continue;  // parameters of a model, no adapter
      const auto kind = kind_of(state);
      const auto rank = kind && !module.is_fused ? rank_of(*kind, module, state) : std::nullopt;
      if (!rank) return false;
      if (module.component == Component::kTextEncoder2) has_second_encoder_ = true;
      kinds_ |= std::uint64_t{1} << static_cast<int>(*kind);
      ++(module.component == Component::kUnet ? summary.unet_modules : summary.text_modules);
      widen_ranks(summary, *rank);
      // One layer of each text encoder is enough.
      if (!module.tells_family ||
          (is_text_encoder(module.component) && !told_.insert(module.component).second))
        continue;
      telling_.entries.push_back(entry_of(module, state, *kind));
      record_widths(summary, telling_.entries.back());
    }
    for (const auto& row : memory_.kinds)
      if ((kinds_ >> static_cast<int>(row.kind) & 1) != 0) summary.kinds.push_back(row.kind);
    if (summary.kinds.empty()) return false;
    recognise_base_model(telling_, has_second_encoder_, summary.metadata);
    summary.architecture = architecture_name(telling_.base_model);
    summary.base_reason = telling_.base_model_reason;
    return true;
  }

 private:
  void add_to_layout(const KeyMeaning& meaning, const SkimmedTensor& tensor) {
    std::int64_t hash = layout ^ meaning.digest;
    const auto dimensions = static_cast<std::size_t>(tensor.dimensions);
    const auto* sizes = reinterpret_cast<const char*>(tensor.shape);
    hash = digest({reinterpret_cast<const char*>(&hash), sizeof(hash)}) ^
           digest({sizes, dimensions * sizeof(tensor.shape[0])});
    layout = digest({reinterpret_cast<const char*>(&hash), sizeof(hash)});
  }

  const SkimmedTensor* find(const ModuleState& state, std::string_view part) const {
    const int wanted = memory_.part_place(part);
    for (int i = state.first; i != kUnknown; i = memory_.next[static_cast<std::size_t>(i)])
      if (memory_.part_of[static_cast<std::size_t>(i)] == wanted)
        return &header_.tensors[static_cast<std::size_t>(i)];
    return nullptr;
  }

  // open_lora.cc's rule, on bits instead of names.
  std::optional<AdapterKind> kind_of(const ModuleState& state) const {
    for (const auto& row : memory_.kinds) {
      if (!std::ranges::all_of(row.needs, [&](const PartBits& bits) { return (state.parts & bits).any(); }))
        continue;
      if (row.kind == AdapterKind::kLora && ((state.parts & memory_.bit("lora_mid.weight")).any() ||
                                             is_convolution(*find(state, "lora_down.weight"))))
        continue;  // the next row is LoCon
      if (row.kind == AdapterKind::kOft) {
        const SkimmedTensor* blocks = find(state, "oft_blocks");
        if (blocks != nullptr && blocks->dimensions == 4) continue;  // staged: BOFT
      }
      return row.kind;
    }
    return std::nullopt;
  }

  // nullopt: the factors do not fit one another, or the kind is one that the strict reader must look at.
  std::optional<std::int64_t> rank_of(AdapterKind kind, const ModuleMeaning& module,
                                      const ModuleState& state) const {
    if (kind == AdapterKind::kLora || kind == AdapterKind::kLocon) {  // most modules of all
      if ((state.parts & (memory_.bit("lora_diag") | memory_.bit("lora_E"))).any()) return std::nullopt;
      const SkimmedTensor *down = find(state, "lora_down.weight"), *up = find(state, "lora_up.weight");
      if (down->dimensions < 1 || up->dimensions < 2 || down->shape[0] < 1 || down->shape[0] != up->shape[1])
        return std::nullopt;
      return down->shape[0];
    }
    // What IA3 fits is told by a number, not by shapes.
    if (kind >= AdapterKind::kKasa || kind == AdapterKind::kIa3) return std::nullopt;
    const ModuleShapes shapes = shapes_of(entry_of(module, state, kind));
    std::int64_t rank = 0;
    for (const RankPair& pair : rank_pairs(shapes)) {
      const auto &first = shapes.parts.find(pair.first)->second,
                 &second = shapes.parts.find(pair.second)->second;
      if (pair.first_index >= first.size() || pair.second_index >= second.size()) return std::nullopt;
      const std::int64_t size = first[pair.first_index];
      if (size < 1 || size != second[pair.second_index]) return std::nullopt;
      if (rank == 0) rank = size;
    }
    return rank;
  }

  LoraEntry entry_of(const ModuleMeaning& module, const ModuleState& state, AdapterKind kind) const {
    LoraEntry entry;
    entry.component = module.component;
    entry.number = module.number;
    entry.name = module.flat;
    entry.kind = kind;
    for (int i = state.first; i != kUnknown; i = memory_.next[static_cast<std::size_t>(i)]) {
      const SkimmedTensor& tensor = header_.tensors[static_cast<std::size_t>(i)];
      weights::TensorView view;
      view.shape.assign(tensor.shape, tensor.shape + tensor.dimensions);
      const int part = memory_.part_of[static_cast<std::size_t>(i)];
      entry.parts.emplace(memory_.parts[static_cast<std::size_t>(part)], std::move(view));
    }
    return entry;
  }

  Memory& memory_;
  const SkimmedHeader& header_;
  bool is_plain_ = true;  // every key is understood, every factor of a float type
  LoraFile telling_;      // only the entries that tell the family
  std::uint64_t kinds_ = 0;
  bool has_second_encoder_ = false;
  std::set<Component> told_;  // text encoders of which `telling_` has a layer
};

}  // namespace

LoraSummary LoraSummariser::read(const fs::path& path) {
  LoraSummary summary;
  std::optional<weights::HeaderText> header;
  std::optional<weights::SafetensorsIndex> skimmed;
  try {
    header = weights::read_header_text(path);
    if (header) {
      summary.header_digest = digest(header->text);
      skimmed = weights::read_safetensors_index(header->text, header->data_bytes, path.string());
      refuse_too_many_tensors(skimmed->tensors.size(), path);
    }
  } catch (const Error& error) {
    summary.problem = error.what();
    return summary;
  }
  if (skimmed) {
    Glance glance(*memory_, *skimmed);
    summary.architecture = glance.sort_tensors();
    // Beside a PEFT file, or in its metadata, stand settings that may change everything.
    const bool has_settings = path.stem() == kPeftStem || skimmed->metadata.contains("lora_adapter_metadata");
    if (summary.architecture.empty() && !has_settings) {
      summary.metadata = skimmed->metadata;
      if (!memory_->touched.empty() && glance.read_modules(summary)) {
        summary.embeddings = std::move(glance.embeddings);
        // Which family it is decides too, and may stand in the metadata.
        summary.layout = glance.layout ^ digest(summary.architecture);
        return summary;
      }
      summary = {};
      summary.header_digest = digest(header->text);
    }
  }
  read_strictly(path, summary);
  return summary;
}

}  // namespace lowrank::formats
