#include "prompt/infotext.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <tuple>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text/text.h"
#include "prompt/grammar/attention.h"
#include "prompt/grammar/extra_networks.h"

namespace lowrank::prompt {
namespace {

std::optional<int> small_integer(const std::string* text) {
  const auto value = text == nullptr ? std::nullopt : parse_integer(*text);
  return value && *value >= 0 && *value <= 1 << 20 ? value : std::nullopt;
}

// The first-pass size that programs before hires scales computed: about 512² pixels, sides rounded up to 64.
std::pair<int, int> old_first_pass(int width, int height) {
  const double scale = std::sqrt(512.0 * 512.0 / (static_cast<double>(width) * height));
  const auto side = [&](int length) { return static_cast<int>(std::ceil(scale * length / 64)) * 64; };
  return {side(width), side(height)};
}

// Before hires upscaling was a factor, `Size` was the final size and `First pass size` the first pass's.
void restore_old_hires(Infotext& infotext) {
  auto first_width = small_integer(infotext.find("First pass size-1"));
  auto first_height = small_integer(infotext.find("First pass size-2"));
  if (!first_width || !first_height) return;
  const int width = small_integer(infotext.find("Size-1")).value_or(512);
  const int height = small_integer(infotext.find("Size-2")).value_or(512);
  if (width == 0 || height == 0) return;
  if (*first_width == 0 || *first_height == 0)
    std::tie(first_width, first_height) = old_first_pass(width, height);
  infotext.set("Size-1", *first_width);
  infotext.set("Size-2", *first_height);
  infotext.set("Hires resize-1", width);
  infotext.set("Hires resize-2", height);
}

// A version as far as the comparisons below need it: release numbers, pre-release before, post-release after.
struct Version {
  std::array<int, 3> release{};
  int stage = 0;  // −1 pre-release, 0 release, 1 post-release
  int number = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
};

// Reads "v1.6.0", "1.8.0-RC", "v1.5.2-10-gabc" (commit and hash after the tag); nullopt for anything else.
std::optional<Version> parse_version(std::string_view text) {
  const std::size_t first_dash = text.find('-');
  if (first_dash != std::string_view::npos) {
    text = text.substr(0, text.find('-', first_dash + 1));
  }
  if (text.starts_with('v')) text.remove_prefix(1);
  std::size_t at = 0;
  const auto number = [&]() -> std::optional<int> {
    int value = 0;
    const auto [end, status] = std::from_chars(text.data() + at, text.data() + text.size(), value);
    if (status != std::errc{} || at >= text.size() || text[at] == '-') return std::nullopt;
    at = static_cast<std::size_t>(end - text.data());
    return value;
  };
  Version version;
  for (std::size_t part = 0;; ++part) {
    const auto value = number();
    if (!value) return std::nullopt;
    if (part < version.release.size()) version.release[part] = *value;
    if (at >= text.size() || text[at] != '.') break;
    ++at;
  }
  if (at == text.size()) return version;
  const bool has_dash = text[at] == '-';
  if (has_dash) ++at;
  std::string word;
  while (at < text.size() && ((text[at] | 0x20) >= 'a' && (text[at] | 0x20) <= 'z'))
    word += static_cast<char>(text[at++] | 0x20);
  if (word.empty()) {
    const auto commits = has_dash ? number() : std::nullopt;
    if (!commits || at != text.size()) return std::nullopt;
    version.stage = 1;
    version.number = *commits;
    return version;
  }
  if (word != "a" && word != "b" && word != "rc") return std::nullopt;
  if (at < text.size()) {
    const auto count = number();
    if (!count || at != text.size()) return std::nullopt;
    version.number = *count;
  }
  version.stage = -1;
  return version;
}

void add_backward_compatibility(Infotext& infotext) {
  const std::string* text = infotext.find("Version");
  const auto version = text == nullptr ? std::nullopt : parse_version(*text);
  if (!version) return;
  const std::string* sampler = infotext.find("Sampler");
  if (*version < Version{{1, 6, 0}, 0, 0}) {
    if (infotext.prompt.find('[') != std::string::npos) infotext.set("Old prompt editing timelines", true);
    if (sampler != nullptr && (*sampler == "DDIM" || *sampler == "PLMS")) infotext.set("Pad conds v0", true);
  }
  if (*version < Version{{1, 7, 0}, 1, 225}) infotext.set("Downcast alphas_cumprod", true);
  if (*version < Version{{1, 8, 0}, 0, 0} && infotext.find("Refiner") != nullptr) {
    infotext.set("Refiner switch by sampling steps", true);
  }
}

bool has_weights(const std::string& prompt) {
  const auto pieces = parse_attention(prompt);
  return std::any_of(pieces.begin(), pieces.end(),
                     [](const WeightedPiece& p) { return p.weight != 1.0 && !p.is_break(); });
}

struct Default {
  std::string_view key;
  std::string_view value;
};

constexpr Default kDefaults[] = {
    {"Clip skip", "1"},
    {"Hires resize-1", "0"},
    {"Hires resize-2", "0"},
    {"Hires sampler", "Use same sampler"},
    {"Hires schedule type", "Use same scheduler"},
    {"Hires checkpoint", "Use same checkpoint"},
    {"Hires prompt", ""},
    {"Hires negative prompt", ""},
    {"Mask mode", "Inpaint masked"},
    {"Masked content", "original"},
    {"Inpaint area", "Whole picture"},
    {"Masked area padding", "32"},
    {"RNG", "GPU"},
    {"Schedule type", "Automatic"},
    {"Schedule max sigma", "0"},
    {"Schedule min sigma", "0"},
    {"Schedule rho", "0"},
    {"VAE Encoder", "Full"},
    {"VAE Decoder", "Full"},
    {"FP8 weight", "Disable"},
    {"Refiner switch by sampling steps", "False"},
};

// Tags for the LoRAs of the "Additional Networks" extension, which noted them as entries.
std::string addnet_tags(const Infotext& infotext) {
  const std::map<std::string, std::string> by_key(infotext.entries.begin(), infotext.entries.end());
  std::string tags;
  constexpr std::string_view kModel = "AddNet Model ";
  for (const auto& [key, model] : infotext.entries) {
    if (!key.starts_with(kModel)) continue;
    const std::string number = key.substr(kModel.size());
    const auto module = by_key.find("AddNet Module " + number);
    if (module == by_key.end() || module->second != "LoRA") continue;
    const std::size_t bracket = model.ends_with(')') ? model.rfind('(') : std::string::npos;
    const auto weight = by_key.find("AddNet Weight A " + number);
    tags += fmt::format("<lora:{}:{}>", network_name(model.substr(0, bracket)),
                        weight == by_key.end() ? "1.0" : weight->second);
  }
  return tags;
}

}  // namespace

const std::string* Infotext::find(std::string_view key) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  return found == entries.end() ? nullptr : &found->second;
}

void Infotext::set(std::string_view key, std::string value) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  if (found == entries.end()) {
    entries.emplace_back(key, std::move(value));
  } else {
    found->second = std::move(value);
  }
}

void Infotext::set(std::string_view key, double value) {
  set(key, number_text(value));
}

void Infotext::set(std::string_view key, bool value) {
  set(key, value ? "True" : "False");
}

void Infotext::set_default(std::string_view key, std::string value) {
  if (find(key) == nullptr) set(key, std::move(value));
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e16);
  std::array<char, 40> buffer;
  const auto form = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto [end, status] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, form);
  std::string text(buffer.data(), end);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string quote_value(std::string_view value) {
  if (value.find_first_of(",:\n") == std::string_view::npos) return std::string(value);
  return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string write_infotext(const Infotext& infotext) {
  std::string out = infotext.prompt;
  if (!infotext.negative_prompt.empty())
    out += fmt::format("\n{} {}", kNegativeLabel, infotext.negative_prompt);
  out += '\n';
  for (std::size_t i = 0; i < infotext.entries.size(); ++i) {
    const auto& [key, value] = infotext.entries[i];
    if (i > 0) out += ", ";
    out += key;
    if (key != value) out += ": " + quote_value(value);
  }
  return std::string(trim(out));
}

void add_infotext_defaults(Infotext& infotext) {
  if (const std::string* name = infotext.find("Hypernet")) {
    const std::string* strength = infotext.find("Hypernet strength");
    infotext.prompt += fmt::format("<hypernet:{}:{}>", *name, strength == nullptr ? "1.0" : *strength);
  }
  restore_old_hires(infotext);
  if (has_weights(infotext.prompt) || has_weights(infotext.negative_prompt))
    infotext.set_default("Emphasis", "Original");
  for (const Default& row : kDefaults) infotext.set_default(row.key, std::string(row.value));
  if (*infotext.find("FP8 weight") != "Disable") infotext.set_default("Cache FP16 weight for LoRA", "False");
  add_backward_compatibility(infotext);
}

std::vector<std::pair<std::string, std::string>> parse_hash_list(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> hashes;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = trim(text.substr(0, comma));
    const std::size_t colon = item.find(':');
    if (colon != std::string_view::npos) {
      hashes.emplace_back(trim(item.substr(0, colon)), trim(item.substr(colon + 1)));
    }
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return hashes;
}

void localise_lora_names(Infotext& infotext, const LocalName& local_name) {
  const std::string_view prompt = infotext.prompt;
  const ExtraNetworks networks = parse_extra_networks(prompt);
  std::string out;
  std::size_t copied = 0;
  for (const LoraTag& lora : networks.loras) {
    const NetworkTag& tag = networks.tags[lora.tag];
    if (tag.kind != "lora") continue;
    auto local = local_name(lora.name);
    std::string listed = lora.name;  // as `Lora hashes` can say it
    std::erase_if(listed, [](char c) { return c == ':' || c == ','; });
    if (!local && listed != lora.name) local = local_name(listed);
    std::vector<std::string> items = tag.items;
    const auto place = std::find_if(items.begin(), items.end(), [&](const std::string& item) {
      return item == lora.name || item == network_name(lora.name);
    });
    if (!local || *local == lora.name || place == items.end()) continue;
    *place = network_name(*local);
    out += prompt.substr(copied, tag.begin - copied);
    out += fmt::format("<lora:{}>", fmt::join(items, ":"));
    copied = tag.end;
  }
  out += prompt.substr(copied);
  infotext.prompt = std::move(out);
  if (const std::string tags = addnet_tags(infotext); !tags.empty()) infotext.prompt += "\n" + tags;
}

}  // namespace lowrank::prompt
