#include "adapter/block_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <random>
#include <span>

namespace lowrank::adapter {
namespace {

constexpr std::array<std::string_view, 26> kAllBlocks = {
    "BASE",  "IN00",  "IN01",  "IN02",  "IN03",  "IN04",  "IN05",  "IN06",  "IN07",
    "IN08",  "IN09",  "IN10",  "IN11",  "M00",   "OUT00", "OUT01", "OUT02", "OUT03",
    "OUT04", "OUT05", "OUT06", "OUT07", "OUT08", "OUT09", "OUT10", "OUT11"};
constexpr std::array<std::string_view, 17> kLoraBlocks = {
    "BASE",  "IN01",  "IN02",  "IN04",  "IN05",  "IN07",  "IN08",  "M00",  "OUT03",
    "OUT04", "OUT05", "OUT06", "OUT07", "OUT08", "OUT09", "OUT10", "OUT11"};
constexpr std::array<std::string_view, 12> kXlLoraBlocks = {
    "BASE", "IN04", "IN05", "IN07", "IN08", "M00", "OUT00", "OUT01", "OUT02", "OUT03", "OUT04", "OUT05"};
constexpr std::array<std::string_view, 20> kXlBlocks = {
    "BASE", "IN00",  "IN01",  "IN02",  "IN03",  "IN04",  "IN05",  "IN06",  "IN07",  "IN08",
    "M00",  "OUT00", "OUT01", "OUT02", "OUT03", "OUT04", "OUT05", "OUT06", "OUT07", "OUT08"};

// Which blocks a list of this many values names; empty: no such list.
std::span<const std::string_view> block_names(std::size_t count) {
  switch (count) {
    case kXlLoraBlocks.size():
      return kXlLoraBlocks;
    case kLoraBlocks.size():
      return kLoraBlocks;
    case kXlBlocks.size():
      return kXlBlocks;
    case kAllBlocks.size():
      return kAllBlocks;
    default:
      return {};
  }
}

struct Preset {
  std::string_view name, values;
};
constexpr std::array kPresets = {
    Preset{"NONE", "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"},
    Preset{"ALL", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"},
    Preset{"INS", "1,1,1,1,0,0,0,0,0,0,0,0,0,0,0,0,0"},
    Preset{"IND", "1,0,0,0,1,1,1,0,0,0,0,0,0,0,0,0,0"},
    Preset{"INALL", "1,1,1,1,1,1,1,0,0,0,0,0,0,0,0,0,0"},
    Preset{"MIDD", "1,0,0,0,1,1,1,1,1,1,1,1,0,0,0,0,0"},
    Preset{"OUTD", "1,0,0,0,0,0,0,0,1,1,1,1,0,0,0,0,0"},
    Preset{"OUTS", "1,0,0,0,0,0,0,0,0,0,0,0,1,1,1,1,1"},
    Preset{"OUTALL", "1,0,0,0,0,0,0,0,1,1,1,1,1,1,1,1,1"},
    Preset{"ALL0.5", "0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5"},
};

struct RulePreset {
  std::string_view name, first, last, element;
  double ratio;
};
constexpr std::array kRules = {
    RulePreset{"ATTNDEEPON", "IN05", "OUT05", "attn", 1.0},
    RulePreset{"ATTNDEEPOFF", "IN05", "OUT05", "attn", 0.0},
    RulePreset{"PROJDEEPOFF", "IN05", "OUT05", "proj", 0.0},
};

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  return first == text.npos ? std::string_view{}
                            : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> items;
  for (std::size_t from = 0; from <= text.size();) {
    const auto comma = std::min(text.find(',', from), text.size());
    items.push_back(trimmed(text.substr(from, comma - from)));
    from = comma + 1;
  }
  return items;
}

std::optional<double> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// A number, R (random 0 … 1), U (random −0.5 … 1.5), X, X+0.2 or X-0.2.
std::optional<double> block_value(std::string_view text, double base, std::mt19937_64& random) {
  const auto unit = [&] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  if (text == "R") return unit();
  if (text == "U") return unit() * 2 - 0.5;
  if (!text.starts_with("X")) return number(text);
  text.remove_prefix(1);
  if (text.empty()) return base;
  const auto offset = number(text);
  if (!offset || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  return base + *offset;
}

int place_of(std::string_view block) {
  const auto found = std::find(kAllBlocks.begin(), kAllBlocks.end(), block);
  return found == kAllBlocks.end() ? -1 : static_cast<int>(found - kAllBlocks.begin());
}

}  // namespace

std::string block_of(const formats::LayerAddress& layer) {
  if (formats::is_text_encoder(layer.component)) return "BASE";
  const std::string_view path = layer.path;
  if (path.starts_with("middle_block.")) return "M00";
  for (const auto& [prefix, name] :
       {std::pair<std::string_view, std::string_view>{"input_blocks.", "IN"}, {"output_blocks.", "OUT"}}) {
    if (!path.starts_with(prefix)) continue;
    int block = 0;
    std::from_chars(path.data() + prefix.size(), path.data() + path.size(), block);
    return fmt::format("{}{:02}", name, block);
  }
  return "";
}

BlockWeights BlockWeights::parse(const BlockWeightText& text, std::vector<std::string>& warnings) {
  BlockWeights result;
  if (!trimmed(text.weights).empty()) {
    std::string_view list = trimmed(text.weights);
    const auto preset =
        std::find_if(kPresets.begin(), kPresets.end(), [&](const Preset& p) { return p.name == list; });
    if (preset != kPresets.end()) list = preset->values;
    const auto items = split(list);
    const auto names = block_names(items.size());
    std::mt19937_64 random(text.seed);
    std::map<std::string, double, std::less<>> values;
    for (std::size_t i = 0; i < names.size(); ++i)
      if (const auto value = block_value(items[i], text.base.value_or(1), random))
        values.emplace(names[i], *value);
    if (!names.empty() && values.size() == names.size()) {
      result.by_block_ = std::move(values);
    } else if (items.size() == 1) {
      warnings.push_back(
          fmt::format("'{}' is not a known block weight preset; all block weights stay at 1", list));
    } else if (names.empty()) {
      warnings.push_back(fmt::format(
          "{} block weights were given, but only 12, 17, 20 or 26 are supported; all block weights stay at 1",
          items.size()));
    } else {
      warnings.push_back(fmt::format(
          "block weights '{}' contain a value that is not a number; all block weights stay at 1", list));
    }
  }
  if (trimmed(text.elements).empty()) return result;
  for (const std::string_view name : split(text.elements)) {
    const auto rule =
        std::find_if(kRules.begin(), kRules.end(), [&](const RulePreset& r) { return r.name == name; });
    if (rule == kRules.end()) {
      warnings.push_back(fmt::format("the element rule '{}' is unknown and was ignored", name));
    } else {
      result.rules_.push_back(
          {place_of(rule->first), place_of(rule->last), std::string(rule->element), rule->ratio});
    }
  }
  return result;
}

double BlockWeights::at(const formats::LayerAddress& layer) const {
  if (is_neutral()) return 1;
  const std::string block = block_of(layer);
  double value = 1;
  if (by_block_ && !block.empty()) {
    const auto found = by_block_->find(block);
    value = found == by_block_->end() ? 0 : found->second;
  }
  const int place = place_of(block);
  for (const Rule& rule : rules_) {
    const bool inside = place >= rule.first && place <= rule.last;
    if (inside && layer.path.find(rule.element) != std::string::npos) value = rule.ratio;
  }
  return value;
}

}  // namespace lowrank::adapter
