// What a LoRA file says, before anything is known of the model it will meet: its tensors grouped by module,
// the kind of each group, alpha and scale, and what was not understood. Rules: LyCORIS and kohya key names.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "formats/embedding_file.h"
#include "formats/layer_address.h"
#include "formats/lora/peft_settings.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

enum class AdapterKind {
  // LyCORIS' and kohya's
  kLora,
  kLocon,
  kLoha,
  kLokr,
  kIa3,
  kFull,
  kNorm,
  kGlora,
  kOft,
  kBoft,
  // PEFT's own
  kKasa,
  kAdalora,
  kOftPeft,
  kBoftPeft,
  kIa3Peft,
  kHra,
  kMiss,
  kDelora,
  kVera,
  kC3a,
  kShira,
  kHira,
  kFourierFt,
  kRandLora,
  kBias,  // of a layer that is changed in nothing else
};
std::string_view adapter_kind_name(AdapterKind kind);  // "LoRA", "LoCon", …

// What the few numbers say that decide whether a module fits a layer.
struct EntryFacts {
  bool on_input = false;               // IA3 scales the inputs
  std::int64_t rows = 0, columns = 0;  // SHiRA's indices reach that far
  // `dora_scale` [1, c, 1, 1] means PEFT's, not LyCORIS': see dora_norm()
  bool is_magnitude_of_outputs = false;
};

using PartViews = std::map<std::string, weights::TensorView, std::less<>>;

// One module of the file: all tensors that share a module path.
struct LoraEntry {
  std::string module;  // as written, without suffix: "lora_unet_mid_block_attentions_0_proj_in"
  Component component = Component::kUnet;
  EncoderNumber number = EncoderNumber::kImplied;
  std::string name;  // module without its prefix, as in naming_table.h: looked up in a LayerNames map
  AdapterKind kind = AdapterKind::kLora;
  // Suffix without its dot → tensor: "lora_down.weight", "hada_w1_a", "alpha". Other writers' names for the
  // same thing (lora_A, lora.up …) stand under kohya's; the tensor keeps the key as written.
  PartViews parts;
  std::optional<float> alpha;  // from the tensor, else from PEFT's settings; nullopt: none stated
  std::int64_t rank = 0;       // 0 for kinds without a rank
  // Tensors that several modules use; they count as parts of the first.
  std::shared_ptr<const PartViews> shared;
  EntryFacts facts;
  PeftSettings settings;
  // False: a module of the joined matrix of query, key and value was cut in three, and the first has its keys.
  bool counts_keys = true;

  std::vector<std::string> keys() const;  // of the file
};

// A textual inversion that lies in the LoRA's file under `bundle_emb.NAME.`: in prompts NAME means its vectors
// while the LoRA acts, whatever the LoRA's weight. Source: OneTrainer; A1111's Lora extension reads it.
struct BundledEmbedding {
  std::string name;
  EmbeddingVectors vectors;
};

// `bundle_emb.NAME.string_to_param.*`, or for SDXL `.clip_l` and `.clip_g`. NAME may hold dots. nullopt: the key is none.
struct BundledKey {
  std::string name;
  std::optional<Component> component;  // nullopt: the key does not say
};
std::optional<BundledKey> bundled_embedding_key(std::string_view key);

struct SkippedKeys {
  std::string module;
  std::vector<std::string> keys;
  std::string reason;
};

struct LoraFile {
  std::filesystem::path path;
  std::string name;                          // file stem
  std::string alias;                         // metadata ss_output_name, else the name
  BaseModel base_model = BaseModel::kOther;  // by keys and shapes, else metadata (spec: §5.4)
  std::string base_model_reason;             // "cross-attention is 768 wide"
  bool is_base_certain = false;              // by keys and shapes alone
  std::vector<LoraEntry> entries;
  std::vector<BundledEmbedding> embeddings;
  std::vector<SkippedKeys> skipped;  // incomplete sets, kinds not supported …
  std::vector<std::string> unknown;  // keys with no known suffix or prefix
  std::vector<std::string> notes;    // assumed, odd or only nearly so, a sentence each
  std::string
      short_hash;  // AutoV3: 12 hex digits, as in `Lora hashes`; computed on demand by lora_short_hash
  std::shared_ptr<const weights::TensorFile> file;
};

// Throws Error when the file cannot be read; a file that is no LoRA at all (a checkpoint) is an Error that
// says so.
LoraFile open_lora(const std::filesystem::path& path);
LoraFile read_lora(std::shared_ptr<const weights::TensorFile> file);

// Why nothing of the file can be used, whatever the model: "none of its 3 modules …"; "" when something can.
std::string unusable_reason(const LoraFile& lora);

// Of a file that has more tensors than any LoRA only the first ones, with a note in `file` that says so: for looking at it.
LoraFile glimpse_lora(const std::filesystem::path& path);

// A LoRA of all layers of SDXL with ten parts each has 20,000; more than this only a file made to exhaust memory.
constexpr std::size_t kMostLoraTensors = 50'000;
// Throws Error(kBadInput) for more.
void refuse_too_many_tensors(std::size_t count, const std::filesystem::path& path);

// `sshs_model_hash` if present, else SHA-256 of everything after the header; first 12 hex digits.
std::string lora_short_hash(const weights::TensorFile& file);

// Every name by which files may address the layers of a model, flattened ('.' → '_'), for one component:
// diffusers and checkpoint names both. `canonical_paths` are the model's layer paths. Two layers never share
// a name.
std::map<std::string, std::string, std::less<>> layer_names(Component component,
                                                            const std::vector<std::string>& canonical_paths);

}  // namespace lowrank::formats
