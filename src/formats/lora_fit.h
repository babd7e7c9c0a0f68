// Whether and how a LoRA applies to a model: which of its modules meet a layer of the right shape, and why the
// others do not. The one verdict, for those who look at headers alone and for the engine.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/kind_shapes.h"
#include "formats/lora_file.h"

namespace lowrank::formats {

using LayerTable = std::map<std::string, LayerSizes, std::less<>>;  // by canonical path, of one component

// Where one module of the file belongs.
struct EntryPlace {
  std::string path;        // of the layer; "" when there is none
  std::string reason;      // why it cannot act there: "this model's U-Net has no such layer"; "": it acts
  bool is_narrow = false;  // see ShapeFit
  bool acts() const { return reason.empty(); }
};

struct LoraMatch {
  std::vector<EntryPlace> places;  // one per entry, in the file's order
  // The file is made for another family: what sees the text fits nowhere, so nothing is applied.
  bool is_foreign = false;
};
LoraMatch match_lora(const LoraFile& lora, const LayerTable& unet, const LayerTable& text_encoder);

// Why an embedding inside the file cannot be used with a text encoder of that width; "" when it can.
std::string module_of(const BundledEmbedding& embedding);
std::string embedding_misfit(const BundledEmbedding& embedding, std::int64_t width);

struct UnmetModule {
  std::string module;
  std::string reason;  // "there is no such layer", "shape [320, 768] meets a layer [320, 1024]"
};

struct LoraFit {
  int applied_unet = 0, applied_text = 0, embeddings = 0;
  std::int64_t keys_applied = 0, keys_skipped = 0, keys_unknown = 0;  // all keys of the file
  std::vector<UnmetModule> unmet;  // modules without a place, and those that the file itself spoils
  std::string family;              // of LoRA and checkpoint when they differ: "the file is SDXL …"; else ""
  std::string unusable;            // why no model could use it; else ""
  bool applies() const { return applied_unet + applied_text + embeddings > 0; }
};

LoraFit fit_lora(const LoraFile& lora, const Checkpoint& checkpoint);

// "applies fully: 192 of 192 modules", "applies in part: …, 3 of 579 keys unknown", "does not apply: …".
// Fully means that every module acts and no key is left over.
std::string fit_verdict(const LoraFit& fit);

}  // namespace lowrank::formats
