#include "formats/lora/peft_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace lowrank::formats {
namespace {

using nlohmann::ordered_json;  // the first pattern that fits wins, so their order counts

constexpr std::size_t kMaxTextBytes = 4u << 20;
constexpr int kDeepestSettings = 32;
// In the whole object; SDXL has some 800 layers to name in a pattern
constexpr std::size_t kMaxFields = 20'000;
constexpr int kMaxCayleyTerms = 100;

constexpr std::array<std::string_view, 16> kAppliedTypes = {
    "LORA", "ADALORA", "LOHA", "LOKR", "OFT",   "BOFT", "IA3",       "HRA",
    "MISS", "DELORA",  "VERA", "C3A",  "SHIRA", "HIRA", "FOURIERFT", "RANDLORA"};

// Further types, by what their tensors are called. PEFT 0.21, PEFT_TYPE_TO_PREFIX_MAPPING.
struct PeftMarkRow {
  std::string_view mark, type;
};
constexpr std::array kUnknownMarks = {
    PeftMarkRow{".adamss_", "ADAMSS"},
    PeftMarkRow{".adaption_prompt", "ADAPTION_PROMPT"},
    PeftMarkRow{".beft_", "BEFT"},
    PeftMarkRow{".bone_", "BONE"},
    PeftMarkRow{".cartridge_", "CARTRIDGE"},
    PeftMarkRow{".deft_", "DEFT"},
    PeftMarkRow{".frod_", "FROD"},
    PeftMarkRow{".glora_", "GLORA"},
    PeftMarkRow{".gralora_", "GRALORA"},
    PeftMarkRow{".lily_", "LILY"},
    PeftMarkRow{".ln_tuning_", "LN_TUNING"},
    PeftMarkRow{".osf_", "OSF"},
    PeftMarkRow{".peanut_", "PEANUT"},
    PeftMarkRow{".poly_", "POLY"},
    PeftMarkRow{".psoft_", "PSOFT"},
    PeftMarkRow{".pvera_", "PVERA"},
    PeftMarkRow{".road_", "ROAD"},
    PeftMarkRow{".shadow_", "SHADOW"},
    PeftMarkRow{".supertuning_", "SUPERTUNING"},
    PeftMarkRow{".tinylora_", "TINYLORA"},
    PeftMarkRow{".unilora_", "UNILORA"},
    PeftMarkRow{".vblora_", "VBLORA"},
    PeftMarkRow{".trainable_tokens_", "TRAINABLE_TOKENS"},
    PeftMarkRow{".waveft_", "WAVEFT"},
    PeftMarkRow{".xlora_", "XLORA"},
    PeftMarkRow{".oft_r", "OFT as saved before PEFT 0.15"},
};

// Settings of a LORA with which the change is no fixed matrix, or not one that the file tells.
struct VariantRow {
  std::string_view field, words;
};
constexpr std::array kUnknownVariants = {
    VariantRow{"use_qalora", "QALoRA"},
    VariantRow{"use_bdlora", "BD-LoRA"},
    VariantRow{"alora_invocation_tokens", "activated LoRA, which is active only after certain tokens"},
    VariantRow{"arrow_config", "Arrow, which selects among LoRAs for each input"},
    VariantRow{"monteclora_config", "MonteCLoRA"},
    VariantRow{"layer_replication", "layer replication"},
};

// Checked while it is read: a repeated field is searched for among those before it, so many cost their square.
ordered_json parse_object(const std::string& text, const std::string& label) {
  if (text.size() > kMaxTextBytes)
    throw Error(kBadInput, "{}: has {} bytes, too many for a settings file; correct it or remove it.", label,
                text.size());
  std::size_t fields = 0;
  const auto look = [&](int depth, ordered_json::parse_event_t event, ordered_json&) {
    if (depth > kDeepestSettings)
      throw Error(kBadInput, "{}: is nested too deeply; correct it or remove it.", label);
    if (event == ordered_json::parse_event_t::key && ++fields > kMaxFields)
      throw Error(kBadInput, "{}: has more than {} fields; correct it or remove it.", label, kMaxFields);
    return true;
  };
  ordered_json parsed = ordered_json::parse(text, look, /*allow_exceptions=*/false);
  if (!parsed.is_object())
    throw Error(kBadInput, "{}: is not a JSON object; correct it or remove it.", label);
  return parsed;
}

// A field that may be missing or null.
const ordered_json* field(const ordered_json& object, const std::string& name) {
  const auto place = object.find(name);
  return place == object.end() || place->is_null() ? nullptr : &*place;
}

bool flag(const ordered_json& object, const std::string& name, const std::string& label,
          bool otherwise = false) {
  const ordered_json* value = field(object, name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean())
    throw Error(kBadInput, "{}: {} is neither true nor false; correct it.", label, name);
  return value->get<bool>();
}

std::optional<double> number(const ordered_json& object, const std::string& name, const std::string& label) {
  const ordered_json* value = field(object, name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) throw Error(kBadInput, "{}: {} is not a number; correct it.", label, name);
  return value->get<double>();
}

std::string word(const ordered_json& object, const std::string& name) {
  const ordered_json* value = field(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>().substr(0, 80) : std::string();
}

bool is_lora_kind(AdapterKind kind) {
  return kind == AdapterKind::kLora || kind == AdapterKind::kLocon || kind == AdapterKind::kKasa ||
         kind == AdapterKind::kAdalora;
}

bool has_component_prefix(const ordered_json& object) {
  return std::any_of(object.items().begin(), object.items().end(), [](const auto& item) {
    return item.key().starts_with("unet.") || item.key().starts_with("text_encoder");
  });
}

}  // namespace

std::optional<std::string_view> unknown_peft_type(std::string_view key) {
  if (key == "prompt_embeddings") return "PROMPT_TUNING, P_TUNING or PREFIX_TUNING";
  // The mark begins the key's last words: `X.fourierft_spectrum`, `X.glora_A.Xd`, `X.osf_U.default`.
  for (const PeftMarkRow& row : kUnknownMarks)
    if (const auto at = key.rfind(row.mark); at != std::string_view::npos && at > 0) return row.type;
  return std::nullopt;
}

void refuse_peft_type(const std::string& label, std::string_view type) {
  throw Error(kUnsupported,
              "{}: is a PEFT adapter of type {}, which LowRank does not support; merge it into a checkpoint "
              "with PEFT (merge_and_unload) or train a LORA.",
              label, type);
}

// PiSSA and OLoRA are made again from the base weight. Starts that took data or quantisation out of it cannot be.
void PeftConfig::read_start(const ordered_json& object, const std::string& prefix, Settings& settings) {
  std::string start = word(object, prefix + "init_lora_weights");
  std::ranges::transform(start, start.begin(),
                         [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  if (start.starts_with("pissa")) {
    settings.peft.start = PeftSettings::Start::kPissa;
    notes_.emplace_back(kStartNote);
    if (start != "pissa")
      notes_.push_back("its start '" + start + "' is a random estimate; the exact one is used");
  } else if (start == "olora") {
    settings.peft.start = PeftSettings::Start::kOlora;
    notes_.emplace_back(kStartNote);
  } else if (start.starts_with("corda") || start == "loftq" || start == "lora_ga") {
    throw Error(
        kUnsupported,
        "{}: {}init_lora_weights is '{}', which changed the base weights in a way that is not in the file; "
        "save it with PEFT's conversion to an ordinary LoRA (path_initial_model_for_weight_conversion).",
        label_, prefix, start);
  }
  for (const VariantRow& row : kUnknownVariants) {
    const ordered_json* value = field(object, prefix + std::string(row.field));
    if (value == nullptr || *value == false || (value->is_structured() && value->empty())) continue;
    throw Error(kUnsupported, "{}: {}{} is set: {} is not supported; train a plain LORA.", label_, prefix,
                row.field, row.words);
  }
}

PeftConfig::Settings PeftConfig::read(const ordered_json& object, const std::string& prefix) {
  const std::string type = word(object, prefix + "peft_type");
  if (!type.empty() && std::ranges::find(kAppliedTypes, type) == kAppliedTypes.end())
    refuse_peft_type(label_, type);
  if (flag(object, prefix + "fan_in_fan_out", label_))
    throw Error(kUnsupported, "{}: fan_in_fan_out is set; transposed weights are not supported.", label_);
  Settings settings;
  settings.lora_alpha = number(object, prefix + "lora_alpha", label_);
  settings.alpha = number(object, prefix + "alpha", label_);
  settings.randlora_alpha = number(object, prefix + "randlora_alpha", label_);
  settings.rank = number(object, prefix + "r", label_);
  settings.first_rank = number(object, prefix + "init_r", label_);
  settings.is_rank_stabilised = flag(object, prefix + "use_rslora", label_);
  const auto compiled = [&](const std::string& pattern, const std::string& name) {
    try {
      return NamePattern(pattern, allowance_);
    } catch (const Error& error) {
      throw Error(kBadInput, "{}: {}: {}; correct it.", label_, name, error.what());
    }
  };
  const auto read_patterns = [&](const std::string& name, std::vector<Pattern>& patterns) {
    const ordered_json* values = field(object, name);
    if (values == nullptr) return;
    if (!values->is_object())
      throw Error(kBadInput, "{}: {} must map names to numbers; correct it.", label_, name);
    for (const auto& [pattern, value] : values->items()) {
      if (!value.is_number())
        throw Error(kBadInput, "{}: {} must map names to numbers; correct it.", label_, name);
      patterns.push_back({compiled(pattern, name), value.get<double>()});
    }
  };
  read_patterns(prefix + "alpha_pattern", settings.alpha_patterns);
  // AdaLoRA's tells which components are left: the tensors have only those.
  if (type != "ADALORA") read_patterns(prefix + "rank_pattern", settings.rank_patterns);
  if (flag(object, prefix + "use_dora", label_) && !has_magnitudes_)
    notes_.emplace_back(
        "its settings specify DoRA, but the file has no magnitudes: it is applied as a plain LoRA");
  read_start(object, prefix, settings);

  const double terms = number(object, prefix + "num_cayley_neumann_terms", label_).value_or(5);
  if (!(terms >= 1 && terms <= kMaxCayleyTerms))
    throw Error(kBadInput, "{}: num_cayley_neumann_terms must be from 1 to {}; correct it.", label_,
                kMaxCayleyTerms);
  settings.peft.cayley_terms =
      flag(object, prefix + "use_cayley_neumann", label_, true) ? static_cast<int>(terms) : 0;
  if (flag(object, prefix + "coft", label_))
    settings.peft.rotation_limit = number(object, prefix + "eps", label_).value_or(6e-5);
  settings.trains_all_biases = word(object, prefix + "bias") == "all";
  for (const char* name : {"random_loc_seed", "projection_prng_key"})
    if (const auto seed = number(object, prefix + name, label_); seed && std::abs(*seed) < 9e15)
      settings.peft.seed = static_cast<std::int64_t>(*seed);
  settings.peft.gain = number(object, prefix + "scaling", label_).value_or(1);
  if (flag(object, prefix + "sparse", label_)) settings.peft.bases = PeftSettings::Bases::kSparse;
  if (flag(object, prefix + "very_sparse", label_)) settings.peft.bases = PeftSettings::Bases::kVerySparse;
  settings.peft.is_orthonormal = flag(object, prefix + "apply_GS", label_);
  if (const ordered_json* modules = field(object, prefix + "feedforward_modules")) {
    if (modules->is_string())
      settings.feedforward = compiled("^(" + modules->get<std::string>() + ")", "feedforward_modules");
    if (modules->is_array())
      for (const auto& name : *modules)
        if (name.is_string()) settings.feedforward_ends.push_back(name.get<std::string>());
  }
  return settings;
}

PeftConfig PeftConfig::beside(const weights::TensorFile& file) {
  PeftConfig config;
  config.has_magnitudes_ = std::ranges::any_of(file.tensors(), [](const weights::TensorView& view) {
    return view.name.find("magnitude") != std::string::npos ||
           view.name.find("dora_scale") != std::string::npos;
  });
  const auto stored = file.metadata().find("lora_adapter_metadata");
  if (stored != file.metadata().end()) {
    config.label_ = file.path().string() + ": metadata lora_adapter_metadata";
    const ordered_json object = parse_object(stored->second, config.label_);
    // Of a pipeline each component's fields bear its name; of one component alone none does.
    const bool is_pipeline = has_component_prefix(object);
    config.settings_[Component::kUnet] = config.read(object, is_pipeline ? "unet." : "");
    config.settings_[Component::kTextEncoder] = config.read(object, is_pipeline ? "text_encoder." : "");
    config.settings_[Component::kTextEncoder2] = config.read(object, is_pipeline ? "text_encoder_2." : "");
    config.keep_each_note_once();
    return config;
  }
  const auto beside = file.path().parent_path() / kPeftSettings;
  if (file.path().stem() == kPeftStem && std::filesystem::exists(beside)) {
    config.label_ = beside.string();
    const ordered_json object = parse_object(read_file(beside, kMaxTextBytes), config.label_);
    config.settings_[Component::kUnet] = config.read(object, "");
    config.settings_[Component::kTextEncoder] = config.settings_[Component::kTextEncoder2] =
        config.settings_[Component::kUnet];
  }
  config.keep_each_note_once();
  return config;
}

void PeftConfig::keep_each_note_once() {
  std::ranges::sort(notes_);
  notes_.erase(std::unique(notes_.begin(), notes_.end()), notes_.end());
}

bool PeftConfig::trains_all_biases(Component component) const {
  const auto place = settings_.find(component);
  return place != settings_.end() && place->second.trains_all_biases;
}

bool PeftConfig::matches(const NamePattern& pattern, std::string_view path) {
  try {
    return pattern.matches(path, allowance_);
  } catch (const Error& error) {
    throw Error(kBadInput, "{}: {}; write fewer or simpler patterns.", label_, error.what());
  }
}

std::optional<double> PeftConfig::first_match(const std::vector<Pattern>& patterns, std::string_view path) {
  for (const Pattern& pattern : patterns)
    if (matches(pattern.name, path)) return pattern.value;
  return std::nullopt;
}

PeftConfig::Answer PeftConfig::of(Component component, std::string_view path, AdapterKind kind,
                                  std::int64_t rank) {
  const auto place = settings_.find(component);
  if (place == settings_.end()) return {.alpha = std::nullopt, .rank = rank, .settings = {}};
  const Settings& settings = place->second;
  Answer answer{.alpha = std::nullopt, .rank = rank, .settings = settings.peft};
  const bool is_factored = kind == AdapterKind::kLoha || kind == AdapterKind::kLokr;
  if (!is_lora_kind(kind)) answer.settings.start = PeftSettings::Start::kNone;
  if (kind == AdapterKind::kIa3Peft) {
    answer.settings.is_feedforward =
        std::ranges::any_of(settings.feedforward_ends,
                            [&](const auto& end) { return path.ends_with(end); }) ||
        (settings.feedforward && matches(*settings.feedforward, path));
  }
  const bool is_randlora = kind == AdapterKind::kRandLora;
  if (!is_factored && !is_randlora && !is_lora_kind(kind)) return answer;
  if (rank == 0) {
    const double stated = first_match(settings.rank_patterns, path).value_or(settings.rank.value_or(0));
    if (stated >= 1 && stated <= 1e9) answer.rank = static_cast<std::int64_t>(stated);
  }
  const std::optional<double>& given = is_factored   ? settings.alpha
                                       : is_randlora ? settings.randlora_alpha
                                                     : settings.lora_alpha;
  bool has_alpha = given.has_value();
  double alpha = given.value_or(0);
  if (kind == AdapterKind::kAdalora && alpha <= 0) has_alpha = false;  // PEFT: alpha is the rank then
  if (const auto own = first_match(settings.alpha_patterns, path)) {
    alpha = *own;
    has_alpha = true;
  }
  if (!has_alpha || answer.rank == 0) return answer;
  // AdaLoRA drops components but goes on dividing by the number that it began with.
  if (kind == AdapterKind::kAdalora && settings.first_rank && *settings.first_rank >= 1)
    alpha *= static_cast<double>(answer.rank) / *settings.first_rank;
  if (settings.is_rank_stabilised) alpha *= std::sqrt(static_cast<double>(answer.rank));
  answer.alpha = static_cast<float>(alpha);
  return answer;
}

}  // namespace lowrank::formats
