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

#include "formats/checkpoint.h"
#include "formats/layer_address.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

enum class AdapterKind { kLora, kLocon, kLoha, kLokr, kIa3, kFull, kNorm, kGlora, kOft, kBoft };
std::string_view adapter_kind_name(AdapterKind kind);  // "LoRA", "LoCon", …

// One module of the file: all tensors that share a module path.
struct LoraEntry {
  std::string module;  // as written, without suffix: "lora_unet_mid_block_attentions_0_proj_in"
  Component component = Component::kUnet;
  std::string name;  // module without its prefix, flattened ('.' → '_'): looked up in a LayerNames map
  AdapterKind kind = AdapterKind::kLora;
  // Suffix without its dot → tensor: "lora_down.weight", "hada_w1_a", "alpha". Other writers' names for the
  // same thing (lora_A, lora.up, lora_magnitude_vector …) stand under kohya's; the tensor keeps the key as
  // written.
  std::map<std::string, weights::TensorView, std::less<>> parts;
  std::optional<float> alpha;  // from the tensor, else from PEFT's settings; nullopt: none stated
  std::int64_t rank = 0;       // 0 for kinds without a rank
};

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
  std::vector<LoraEntry> entries;
  std::vector<SkippedKeys> skipped;  // incomplete sets, kinds not supported …
  std::vector<std::string> unknown;  // keys with no known suffix or prefix
  std::string
      short_hash;  // AutoV3: 12 hex digits, as in `Lora hashes`; computed on demand by lora_short_hash
  std::shared_ptr<const weights::TensorFile> file;
};

// Throws Error when the file cannot be read; a file that is no LoRA at all (a checkpoint) is an Error that
// says so.
LoraFile open_lora(const std::filesystem::path& path);
LoraFile read_lora(std::shared_ptr<const weights::TensorFile> file);

// `sshs_model_hash` if present, else SHA-256 of everything after the header; first 12 hex digits.
std::string lora_short_hash(const weights::TensorFile& file);

// Every name by which files may address the layers of a model, flattened ('.' → '_'), for one component:
// diffusers and checkpoint names both. `canonical_paths` are the model's layer paths. Two layers never share
// a name.
std::map<std::string, std::string, std::less<>> layer_names(Component component,
                                                            const std::vector<std::string>& canonical_paths);

}  // namespace lowrank::formats
