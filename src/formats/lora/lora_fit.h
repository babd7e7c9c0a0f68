// Whether and how a LoRA applies to a model: which of its modules meet a layer of the right shape, and why the
// others do not. The one verdict, for those who look at headers alone and for the engine.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint/checkpoint.h"
#include "formats/lora/kind_shapes.h"
#include "formats/lora/lora_file.h"

namespace lowrank::formats {

using LayerTable = std::map<std::string, LayerSizes, std::less<>>;  // by canonical path, of one component

// What a checkpoint offers to a LoRA, taken apart once for many of them.
struct ModelLayers {
  using Names = std::map<std::string, std::string, std::less<>>;  // every name that files use → path
  struct Part {
    LayerTable layers;
    Names names;
  };
  std::map<Component, Part> parts;  // those that a LoRA can change
  TextWidths text_widths;           // empty: there are no words
  BaseModel base_model = BaseModel::kOther;
};
// Text widths are those of the token embeddings among the layers.
ModelLayers layers_of(std::map<Component, LayerTable> tables, BaseModel base_model);

// Where one module of the file belongs.
struct EntryPlace {
  Component component = Component::kUnet;  // the entry's, or the second text encoder where only that fits
  std::string path;                        // of the layer; "" when there is none
  std::string reason;      // why it cannot act there: "this model's U-Net has no such layer"; "": it acts
  bool is_narrow = false;  // see ShapeFit
  bool acts() const { return reason.empty(); }
};

// The largest layer, side by side, that matrices shared by all layers serve; by it they are drawn.
struct SharedSpan {
  std::int64_t out = 0, in = 0;
};

struct LoraMatch {
  std::vector<EntryPlace> places;         // one per entry, in the file's order
  std::map<Component, SharedSpan> spans;  // where a component has modules whose shared matrices are drawn
  // The file is made for another family, so nothing is applied: what sees the text fits nowhere, or its layers tell another
  // family and are not all here.
  bool is_foreign = false;
};
// Whether the matrices that its module shares with others are in no file, but drawn from a seed.
bool draws_shared(const LoraEntry& entry);
LoraMatch match_lora(const LoraFile& lora, const ModelLayers& model);

// Why an embedding inside the file cannot be used with a text encoder of that width; "" when it can.
std::string module_of(const BundledEmbedding& embedding);
std::string embedding_misfit(const BundledEmbedding& embedding, const TextWidths& widths);

struct UnmetModule {
  std::string module;
  std::string reason;  // "there is no such layer", "shape [320, 768] meets a layer [320, 1024]"
};

struct LoraFit {
  int applied_unet = 0, applied_text = 0, embeddings = 0;
  std::int64_t keys_applied = 0, keys_skipped = 0, keys_unknown = 0;  // all keys of the file
  std::vector<UnmetModule> unmet;  // modules without a place, and those that the file itself spoils
  std::string family;              // when they differ, as family_conflict(); else ""
  std::string unusable;            // why no model could use it; else ""
  bool applies() const { return applied_unet + applied_text + embeddings > 0; }
};

ModelLayers layers_of(const Checkpoint& checkpoint);

// "made for SDXL (cross-attention width is 2048); this is an SD 1.x checkpoint"; "" where both are of one family or one's is
// unknown.
std::string family_conflict(const LoraFile& lora, BaseModel model);

LoraFit fit_lora(const LoraFile& lora, const ModelLayers& model);
inline LoraFit fit_lora(const LoraFile& lora, const Checkpoint& checkpoint) {
  return fit_lora(lora, layers_of(checkpoint));
}

// Digests of all that the verdict depends on: same digests on both sides, same verdict.
std::int64_t layout_digest(const LoraFile& lora);
std::int64_t layout_digest(const Checkpoint& checkpoint);

// "these of your checkpoints fit: base, fox, mix and 5 more", "none of your checkpoints fits".
std::string fitting_text(std::span<const std::string> checkpoints);

// "applies fully: 192 of 192 modules", "applies in part: …, 3 of 579 keys unknown", "does not apply: …".
// Fully means that every module acts and no key is left over.
std::string fit_verdict(const LoraFit& fit);

}  // namespace lowrank::formats
