// A LoRA file matched with the layers of a model: for each module that fits a layer its formula, for each
// that does not the reason. Matched once per file and model shape; which weight it acts with is the stack's
// business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapter/formula.h"
#include "adapter/model_parts.h"
#include "formats/lora/lora_file.h"

namespace lowrank::adapter {

// One layer that the file changes.
struct Target {
  formats::Component component = formats::Component::kUnet;
  std::string path;                 // canonical path of the layer
  std::vector<std::int64_t> sizes;  // of its weight
  std::string module;               // as written in the file
  formats::AdapterKind kind = formats::AdapterKind::kLora;
  std::optional<float> alpha;     // as stored
  std::vector<std::string> keys;  // of the file
  Formula formula;
};

// The names of the user's checkpoints that a file fits, asked for only where it is refused.
using FittingCheckpoints = std::function<std::vector<std::string>(const formats::LoraFile&)>;

class Adapter {
 public:
  // Throws Error(kUnsupported) when the file was made for another family of models, saying which and what to
  // do, and Error(kBadInput) when nothing in it fits; with `others` both name the checkpoints that it fits. Parts that do
  // not fit are skipped with their reason.
  static std::shared_ptr<const Adapter> match(formats::LoraFile file, const ModelParts& model,
                                              const FittingCheckpoints& others = {});

  const formats::LoraFile& file() const { return file_; }
  const std::vector<Target>& targets() const { return targets_; }  // in file order
  // Those of the file's embeddings that are as wide as the text encoder.
  const std::vector<formats::BundledEmbedding>& embeddings() const { return embeddings_; }
  // What the file's reader skipped and what fits no layer here. With the keys of targets and embeddings and
  // file().unknown these are all keys of the file.
  const std::vector<formats::SkippedKeys>& skipped() const { return skipped_; }
  const std::vector<std::string>& notes() const { return notes_; }
  // Modules in the file that address a component, fitting or not.
  std::int64_t modules(formats::Component component) const;

 private:
  explicit Adapter(formats::LoraFile file) : file_(std::move(file)) {}

  formats::LoraFile file_;
  std::vector<Target> targets_;
  std::vector<formats::BundledEmbedding> embeddings_;
  std::vector<formats::SkippedKeys> skipped_;
  std::vector<std::string> notes_;
};

// "SD 1.x", "SDXL" …; kOther: "an unknown base model".
std::string_view base_model_name(formats::BaseModel model);

}  // namespace lowrank::adapter
