#include "formats/checkpoint/diffusers_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

namespace lowrank::formats {
namespace {

struct Pair {
  std::string_view diffusers, canonical;
};

// Whole paths of the U-Net outside the blocks.
constexpr std::array kUnetTop = {
    Pair{"conv_in", "input_blocks.0.0"},
    Pair{"time_embedding.linear_1", "time_embed.0"},
    Pair{"time_embedding.linear_2", "time_embed.2"},
    Pair{"add_embedding.linear_1", "label_emb.0.0"},
    Pair{"add_embedding.linear_2", "label_emb.0.2"},
    Pair{"conv_norm_out", "out.0"},
    Pair{"conv_out", "out.2"},
};

constexpr std::array kUnetResnet = {
    Pair{"norm1", "in_layers.0"},          Pair{"conv1", "in_layers.2"},
    Pair{"norm2", "out_layers.0"},         Pair{"conv2", "out_layers.3"},
    Pair{"time_emb_proj", "emb_layers.1"}, Pair{"conv_shortcut", "skip_connection"},
};

// Attention parts have the same name in both; listed so that nothing else slips through.
constexpr std::array kUnetAttention = {
    Pair{"norm", "norm"},
    Pair{"proj_in", "proj_in"},
    Pair{"proj_out", "proj_out"},
    Pair{"transformer_blocks", "transformer_blocks"},
};

constexpr std::array kVaeResnet = {
    Pair{"norm1", "norm1"},
    Pair{"conv1", "conv1"},
    Pair{"norm2", "norm2"},
    Pair{"conv2", "conv2"},
    Pair{"conv_shortcut", "nin_shortcut"},
};

// Older diffusers wrote query, key, value, proj_attn; the first row of a canonical name is the one written.
constexpr std::array kVaeAttention = {
    Pair{"group_norm", "norm"},    Pair{"to_q", "q"},  Pair{"to_k", "k"}, Pair{"to_v", "v"},
    Pair{"to_out.0", "proj_out"},  Pair{"query", "q"}, Pair{"key", "k"},  Pair{"value", "v"},
    Pair{"proj_attn", "proj_out"},
};

constexpr std::array kVaeTop = {
    Pair{"encoder.conv_in", "encoder.conv_in"},
    Pair{"encoder.conv_norm_out", "encoder.norm_out"},
    Pair{"encoder.conv_out", "encoder.conv_out"},
    Pair{"decoder.conv_in", "decoder.conv_in"},
    Pair{"decoder.conv_norm_out", "decoder.norm_out"},
    Pair{"decoder.conv_out", "decoder.conv_out"},
    Pair{"quant_conv", "quant_conv"},
    Pair{"post_quant_conv", "post_quant_conv"},
};

// Takes `head` off the front of `path` where it is a whole run of segments; the rest keeps its leading dot.
bool take(std::string_view& path, std::string_view head) {
  if (!path.starts_with(head)) return false;
  if (path.size() > head.size() && path[head.size()] != '.') return false;
  path.remove_prefix(head.size());
  return true;
}

// Takes ".TEXT".
bool consume_segment(std::string_view& path, std::string_view text) {
  std::string_view rest = path;
  if (!rest.starts_with('.')) return false;
  rest.remove_prefix(1);
  if (!take(rest, text)) return false;
  path = rest;
  return true;
}

// Takes ".NUMBER", below 1000.
std::optional<int> consume_number(std::string_view& path) {
  if (path.size() < 2 || path[0] != '.') return std::nullopt;
  int number = 0;
  const auto [end, problem] = std::from_chars(path.data() + 1, path.data() + path.size(), number);
  const auto used = static_cast<std::size_t>(end - path.data());
  if (problem != std::errc{} || used > 4 || number < 0 || (used < path.size() && path[used] != '.'))
    return std::nullopt;
  if (used > 2 && path[1] == '0') return std::nullopt;
  path.remove_prefix(used);
  return number;
}

enum class To { kDiffusers, kCanonical };

// `path` begins with one side of a row: the other side plus the rest.
std::optional<std::string> swap_part(std::span<const Pair> table, std::string_view path, To to) {
  for (const Pair& row : table) {
    std::string_view rest = path;
    if (take(rest, to == To::kCanonical ? row.diffusers : row.canonical))
      return fmt::format("{}{}", to == To::kCanonical ? row.canonical : row.diffusers, rest);
  }
  return std::nullopt;
}

// The same for a part after a dot, put behind `place`.
std::optional<std::string> place_part(const std::string& place, std::span<const Pair> table,
                                      std::string_view path, To to) {
  if (!path.starts_with('.')) return std::nullopt;
  const auto part = swap_part(table, path.substr(1), to);
  return part ? std::optional(fmt::format("{}.{}", place, *part)) : std::nullopt;
}

}  // namespace

// ── U-Net ──

UnetNames UnetNames::from_canonical(std::span<const std::string> paths) {
  int last_input = 0, last_output = -1;
  std::set<int> down_samplers;
  std::map<int, int> up_samplers;  // block → place of `.conv` in it
  for (const std::string& path : paths) {
    std::string_view rest = path;
    if (take(rest, "input_blocks")) {
      const auto block = consume_number(rest);
      if (!block) continue;
      last_input = std::max(last_input, *block);
      if (consume_segment(rest, "0") && consume_segment(rest, "op")) down_samplers.insert(*block);
    } else if (take(rest, "output_blocks")) {
      const auto block = consume_number(rest);
      if (!block) continue;
      last_output = std::max(last_output, *block);
      const auto place = consume_number(rest);
      if (place && consume_segment(rest, "conv")) up_samplers[*block] = *place;
    }
  }
  UnetNames names;
  Level level{.first = 1};
  for (int block = 1; block <= last_input; ++block) {
    if (!down_samplers.contains(block)) {
      ++level.resnets;
      continue;
    }
    level.sampler = 0;
    names.down_.push_back(level);
    level = {.first = block + 1};
  }
  if (level.resnets > 0) names.down_.push_back(level);
  level = {};
  for (int block = 0; block <= last_output; ++block) {
    ++level.resnets;
    const auto sampler = up_samplers.find(block);
    if (sampler == up_samplers.end()) continue;
    level.sampler = sampler->second;
    names.up_.push_back(level);
    level = {.first = block + 1};
  }
  if (level.resnets > 0) names.up_.push_back(level);
  return names;
}

UnetNames UnetNames::from_diffusers(std::span<const std::string> paths) {
  struct Found {
    int resnets = 0;
    bool has_sampler = false, has_attention = false;
  };
  std::map<int, Found> down, up;
  for (const std::string& path : paths) {
    std::string_view rest = path;
    const bool goes_down = take(rest, "down_blocks");
    if (!goes_down && !take(rest, "up_blocks")) continue;
    const auto level = consume_number(rest);
    if (!level) continue;
    Found& found = (goes_down ? down : up)[*level];
    if (consume_segment(rest, "resnets")) {
      if (const auto resnet = consume_number(rest)) found.resnets = std::max(found.resnets, *resnet + 1);
    } else if (consume_segment(rest, "attentions")) {
      found.has_attention = true;
    } else if (consume_segment(rest, "downsamplers") || consume_segment(rest, "upsamplers")) {
      found.has_sampler = true;
    }
  }
  UnetNames names;
  int next = 1;
  for (const auto& [number, found] : down) {
    if (number != static_cast<int>(names.down_.size())) break;  // a gap: what follows has no translation
    names.down_.push_back({.first = next, .resnets = found.resnets, .sampler = found.has_sampler ? 0 : -1});
    next += found.resnets + (found.has_sampler ? 1 : 0);
  }
  next = 0;
  for (const auto& [number, found] : up) {
    if (number != static_cast<int>(names.up_.size())) break;
    const int place = found.has_attention ? 2 : 1;
    names.up_.push_back({.first = next, .resnets = found.resnets, .sampler = found.has_sampler ? place : -1});
    next += found.resnets;
  }
  return names;
}

std::optional<std::string> UnetNames::to_canonical(std::string_view diffusers) const {
  if (auto top = swap_part(kUnetTop, diffusers, To::kCanonical)) return top;
  std::string_view rest = diffusers;
  if (take(rest, "mid_block")) {
    const bool is_attention = consume_segment(rest, "attentions");
    if (!is_attention && !consume_segment(rest, "resnets")) return std::nullopt;
    const auto number = consume_number(rest);
    if (!number) return std::nullopt;
    const auto place = fmt::format("middle_block.{}", 2 * *number + (is_attention ? 1 : 0));
    return is_attention ? place_part(place, kUnetAttention, rest, To::kCanonical)
                        : place_part(place, kUnetResnet, rest, To::kCanonical);
  }
  const bool goes_down = take(rest, "down_blocks");
  if (!goes_down && !take(rest, "up_blocks")) return std::nullopt;
  const auto& levels = goes_down ? down_ : up_;
  const auto number = consume_number(rest);
  if (!number || *number >= static_cast<int>(levels.size())) return std::nullopt;
  const Level& level = levels[static_cast<std::size_t>(*number)];
  const std::string_view blocks = goes_down ? "input_blocks" : "output_blocks";
  const bool is_resnet = consume_segment(rest, "resnets");
  if (is_resnet || consume_segment(rest, "attentions")) {
    const auto part = consume_number(rest);
    if (!part || *part >= level.resnets) return std::nullopt;
    const auto place = fmt::format("{}.{}.{}", blocks, level.first + *part, is_resnet ? 0 : 1);
    return is_resnet ? place_part(place, kUnetResnet, rest, To::kCanonical)
                     : place_part(place, kUnetAttention, rest, To::kCanonical);
  }
  if (level.sampler < 0 || !consume_segment(rest, goes_down ? "downsamplers" : "upsamplers") ||
      !consume_segment(rest, "0") || !consume_segment(rest, "conv"))
    return std::nullopt;
  if (goes_down) return fmt::format("input_blocks.{}.0.op{}", level.first + level.resnets, rest);
  return fmt::format("output_blocks.{}.{}.conv{}", level.first + level.resnets - 1, level.sampler, rest);
}

std::optional<std::string> UnetNames::to_diffusers(std::string_view canonical) const {
  if (auto top = swap_part(kUnetTop, canonical, To::kDiffusers)) return top;
  std::string_view rest = canonical;
  if (take(rest, "middle_block")) {
    const auto number = consume_number(rest);
    if (!number) return std::nullopt;
    const bool is_attention = *number % 2 == 1;
    const auto place = fmt::format("mid_block.{}.{}", is_attention ? "attentions" : "resnets", *number / 2);
    return is_attention ? place_part(place, kUnetAttention, rest, To::kDiffusers)
                        : place_part(place, kUnetResnet, rest, To::kDiffusers);
  }
  const bool goes_down = take(rest, "input_blocks");
  if (!goes_down && !take(rest, "output_blocks")) return std::nullopt;
  const auto block = consume_number(rest);
  const auto slot = consume_number(rest);
  if (!block || !slot) return std::nullopt;
  const auto& levels = goes_down ? down_ : up_;
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const Level& level = levels[i];
    const int part = *block - level.first;
    if (part < 0 || part > level.resnets || (part == level.resnets && !(goes_down && level.sampler == 0)))
      continue;
    const auto place = fmt::format("{}.{}", goes_down ? "down_blocks" : "up_blocks", i);
    if (goes_down && part == level.resnets) {
      if (*slot != 0 || !consume_segment(rest, "op")) return std::nullopt;
      return fmt::format("{}.downsamplers.0.conv{}", place, rest);
    }
    if (!goes_down && part == level.resnets - 1 && *slot == level.sampler) {
      std::string_view after = rest;
      if (consume_segment(after, "conv")) return fmt::format("{}.upsamplers.0.conv{}", place, after);
    }
    if (*slot == 0)
      return place_part(fmt::format("{}.resnets.{}", place, part), kUnetResnet, rest, To::kDiffusers);
    if (*slot == 1)
      return place_part(fmt::format("{}.attentions.{}", place, part), kUnetAttention, rest, To::kDiffusers);
    return std::nullopt;
  }
  return std::nullopt;
}

// ── VAE ──

namespace {

int count_levels(std::span<const std::string> paths, std::string_view blocks) {
  int levels = 0;
  for (const std::string& path : paths) {
    std::string_view rest = path;
    if (!take(rest, blocks)) continue;
    if (const auto level = consume_number(rest)) levels = std::max(levels, *level + 1);
  }
  return levels;
}

}  // namespace

VaeNames VaeNames::from_canonical(std::span<const std::string> paths) {
  VaeNames names;
  names.decoder_levels_ = count_levels(paths, "decoder.up");
  return names;
}

VaeNames VaeNames::from_diffusers(std::span<const std::string> paths) {
  VaeNames names;
  names.decoder_levels_ = count_levels(paths, "decoder.up_blocks");
  return names;
}

std::optional<std::string> VaeNames::to_canonical(std::string_view diffusers) const {
  if (auto top = swap_part(kVaeTop, diffusers, To::kCanonical)) return top;
  std::string_view rest = diffusers;
  const bool is_encoder = take(rest, "encoder");
  if (!is_encoder && !take(rest, "decoder")) return std::nullopt;
  const std::string_view half = is_encoder ? "encoder" : "decoder";
  if (consume_segment(rest, "mid_block")) {
    const bool is_attention = consume_segment(rest, "attentions");
    if (!is_attention && !consume_segment(rest, "resnets")) return std::nullopt;
    const auto number = consume_number(rest);
    if (!number) return std::nullopt;
    const auto place = fmt::format("{}.mid.{}_{}", half, is_attention ? "attn" : "block", *number + 1);
    return is_attention ? place_part(place, kVaeAttention, rest, To::kCanonical)
                        : place_part(place, kVaeResnet, rest, To::kCanonical);
  }
  if (!consume_segment(rest, is_encoder ? "down_blocks" : "up_blocks")) return std::nullopt;
  const auto number = consume_number(rest);
  if (!number || (!is_encoder && *number >= decoder_levels_)) return std::nullopt;
  const auto place = is_encoder ? fmt::format("encoder.down.{}", *number)
                                : fmt::format("decoder.up.{}", decoder_levels_ - 1 - *number);
  if (consume_segment(rest, "resnets")) {
    const auto resnet = consume_number(rest);
    if (!resnet) return std::nullopt;
    return place_part(fmt::format("{}.block.{}", place, *resnet), kVaeResnet, rest, To::kCanonical);
  }
  if (!consume_segment(rest, is_encoder ? "downsamplers" : "upsamplers") || !consume_segment(rest, "0") ||
      !consume_segment(rest, "conv"))
    return std::nullopt;
  return fmt::format("{}.{}.conv{}", place, is_encoder ? "downsample" : "upsample", rest);
}

std::optional<std::string> VaeNames::to_diffusers(std::string_view canonical) const {
  if (auto top = swap_part(kVaeTop, canonical, To::kDiffusers)) return top;
  std::string_view rest = canonical;
  const bool is_encoder = take(rest, "encoder");
  if (!is_encoder && !take(rest, "decoder")) return std::nullopt;
  const std::string_view half = is_encoder ? "encoder" : "decoder";
  if (consume_segment(rest, "mid")) {
    for (const int number : {0, 1}) {
      if (consume_segment(rest, number == 0 ? "block_1" : "block_2"))
        return place_part(fmt::format("{}.mid_block.resnets.{}", half, number), kVaeResnet, rest,
                          To::kDiffusers);
    }
    if (!consume_segment(rest, "attn_1")) return std::nullopt;
    return place_part(fmt::format("{}.mid_block.attentions.0", half), kVaeAttention, rest, To::kDiffusers);
  }
  if (!consume_segment(rest, is_encoder ? "down" : "up")) return std::nullopt;
  const auto number = consume_number(rest);
  if (!number || (!is_encoder && *number >= decoder_levels_)) return std::nullopt;
  const auto place = is_encoder ? fmt::format("encoder.down_blocks.{}", *number)
                                : fmt::format("decoder.up_blocks.{}", decoder_levels_ - 1 - *number);
  if (consume_segment(rest, "block")) {
    const auto resnet = consume_number(rest);
    if (!resnet) return std::nullopt;
    return place_part(fmt::format("{}.resnets.{}", place, *resnet), kVaeResnet, rest, To::kDiffusers);
  }
  if (!consume_segment(rest, is_encoder ? "downsample" : "upsample") || !consume_segment(rest, "conv"))
    return std::nullopt;
  return fmt::format("{}.{}.0.conv{}", place, is_encoder ? "downsamplers" : "upsamplers", rest);
}

}  // namespace lowrank::formats
