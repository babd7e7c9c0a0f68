// Settings that stand outside the tensors: diffusers' metadata `lora_adapter_metadata`, and PEFT's
// `adapter_config.json` beside `adapter_model.safetensors`. Source: PEFT 0.21, diffusers 0.42.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/layer_address.h"
#include "formats/lora/kind_table.h"
#include "formats/lora/name_pattern.h"
#include "formats/lora/peft_settings.h"
#include "weights/tensor_file.h"

namespace lowrank::formats {

// PEFT's file of tensors, without its ending, and the settings that stand in the same folder.
inline constexpr std::string_view kPeftStem = "adapter_model", kPeftSettings = "adapter_config.json";

class PeftConfig {
 public:
  // Empty when there is neither. Throws Error(kBadInput) when the JSON is broken or beyond all measure, and
  // Error(kUnsupported) naming a `peft_type`, or a way of starting or training, whose change cannot be made
  // from the file.
  static PeftConfig beside(const weights::TensorFile& file);

  bool is_found() const { return !settings_.empty(); }
  const std::vector<std::string>& notes() const { return notes_; }  // what is only nearly so, a sentence each

  // The biases of layers without an adapter are in the file too, each in place of the checkpoint's.
  bool trains_all_biases(Component component) const;

  struct Answer {
    // alpha / rank is the scale: rank-stabilised adapters (use_rslora) get alpha · sqrt(rank).
    std::optional<float> alpha;
    std::int64_t rank = 0;  // as given, else the settings'
    PeftSettings settings;
  };
  // Of the layer at `path` (dotted, without component). `rank` is what its tensors show, 0 when they do not.
  // Throws Error(kBadInput) when the patterns take too much work.
  Answer of(Component component, std::string_view path, AdapterKind kind, std::int64_t rank);

 private:
  struct Pattern {
    NamePattern name;
    double value = 0;
  };
  struct Settings {
    std::optional<double> lora_alpha, alpha, randlora_alpha, rank, first_rank;
    bool trains_all_biases = false;
    std::vector<Pattern> alpha_patterns, rank_patterns;
    bool is_rank_stabilised = false;
    PeftSettings peft;
    std::vector<std::string> feedforward_ends;
    std::optional<NamePattern> feedforward;
  };
  Settings read(const nlohmann::ordered_json& object, const std::string& prefix);
  void read_start(const nlohmann::ordered_json& object, const std::string& prefix, Settings& settings);
  bool matches(const NamePattern& pattern, std::string_view path);
  void keep_each_note_once();
  std::optional<double> first_match(const std::vector<Pattern>& patterns, std::string_view path);

  std::string label_;            // file and field, for errors
  bool has_magnitudes_ = false;  // of DoRA, in the tensors
  std::map<Component, Settings> settings_;
  std::vector<std::string> notes_;
  PatternAllowance allowance_;
};

// Of PiSSA, OLoRA and KaSA.
inline constexpr std::string_view kStartNote =
    "its initialisation subtracted a part of the base weights: it is only correct on the checkpoint that it "
    "was trained on";

// The PEFT type that a key's own name tells, of those whose change LowRank does not make: "GRALORA".
std::optional<std::string_view> unknown_peft_type(std::string_view key);
[[noreturn]] void refuse_peft_type(const std::string& label, std::string_view type);

}  // namespace lowrank::formats
