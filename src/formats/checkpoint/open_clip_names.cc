#include "formats/checkpoint/open_clip_names.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/error.h"

namespace lowrank::formats {
namespace {

struct NamePair {
  std::string_view open_clip, canonical;
};

constexpr std::array kTop = {
    NamePair{"token_embedding", "embeddings.token_embedding"},
    NamePair{"ln_final", "final_layer_norm"},
};
constexpr std::array kBlock = {
    NamePair{"ln_1", "layer_norm1"},
    NamePair{"ln_2", "layer_norm2"},
    NamePair{"attn.out_proj", "self_attn.out_proj"},
    NamePair{"mlp.c_fc", "mlp.fc1"},
    NamePair{"mlp.c_proj", "mlp.fc2"},
};
constexpr std::array<std::string_view, 3> kFused = {"q_proj", "k_proj", "v_proj"};
constexpr std::string_view kBlocks = "transformer.resblocks.";

// "N." and what follows it.
struct InBlock {
  std::string_view number, rest;
};

std::optional<InBlock> in_block(std::string_view name) {
  if (!name.starts_with(kBlocks)) return std::nullopt;
  name.remove_prefix(kBlocks.size());
  const std::size_t dot = name.find('.');
  if (dot == 0 || dot == std::string_view::npos || dot > 3 ||
      name.substr(0, dot).find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  return InBlock{name.substr(0, dot), name.substr(dot + 1)};
}

std::string block_path(std::string_view number, std::string_view layer) {
  return fmt::format("encoder.layers.{}.{}", number, layer);
}

void require_plain(const weights::TensorView& view) {
  if (view.scaling != nullptr)
    throw Error(
        kUnsupported,
        "'{}' is held in 8 bits with scales, which LowRank does not read for this layer; download the "
        "checkpoint with its text encoder in 16 bits.",
        view.name);
}

weights::TensorView transposed(const weights::TensorView& view) {
  require_plain(view);
  if (view.shape.size() != 2)
    throw Error(kBadInput, "'{}' has {} dimensions, but must have 2; download the checkpoint again.",
                view.name, view.shape.size());
  weights::TensorView turned = view;
  turned.shape = {view.shape[1], view.shape[0]};
  turned.scaling = std::make_shared<const weights::Scaling>(
      weights::Scaling{.stored = view.shape, .blocks = {1, 1}, .scales = {1.0F}, .is_transposed = true});
  return turned;
}

}  // namespace

weights::TensorView third_of_rows(const weights::TensorView& view, std::size_t place) {
  weights::TensorView rows = view;
  rows.shape[0] /= 3;
  const std::size_t bytes = view.bytes.size() / 3;
  rows.bytes = view.bytes.subspan(place * bytes, bytes);
  return rows;
}

NamedViews open_clip_parameters(std::string_view name, const weights::TensorView& view) {
  if (name == "positional_embedding") return {{"embeddings.position_embedding.weight", view}};
  if (name == "text_projection") return {{"text_projection.weight", transposed(view)}};
  const auto block = in_block(name);
  if (block && (block->rest == "attn.in_proj_weight" || block->rest == "attn.in_proj_bias")) {
    require_plain(view);
    if (view.shape.empty() || view.shape[0] % 3 != 0)
      throw Error(kBadInput,
                  "'{}' has shape {}, but its rows must be those of query, key and value; download the "
                  "checkpoint again.",
                  view.name, weights::shape_text(view.shape));
    const std::string_view ending = block->rest.ends_with("bias") ? ".bias" : ".weight";
    NamedViews parts;
    for (std::size_t part = 0; part < kFused.size(); ++part)
      parts.emplace_back(block_path(block->number, fmt::format("self_attn.{}{}", kFused[part], ending)),
                         third_of_rows(view, part));
    return parts;
  }
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view ending = name.substr(dot);
  if (ending != ".weight" && ending != ".bias") return {};
  const auto layers = open_clip_layers(name.substr(0, dot));
  if (layers.size() != 1) return {};
  return {{fmt::format("{}{}", layers.front(), ending), view}};
}

std::vector<std::string> open_clip_layers(std::string_view layer) {
  if (layer == "positional_embedding") return {"embeddings.position_embedding"};
  if (layer == "text_projection") return {"text_projection"};
  for (const NamePair& row : kTop)
    if (layer == row.open_clip) return {std::string(row.canonical)};
  const auto block = in_block(layer);
  if (!block) return {};
  for (const NamePair& row : kBlock)
    if (block->rest == row.open_clip) return {block_path(block->number, row.canonical)};
  if (block->rest != "attn.in_proj") return {};
  std::vector<std::string> parts;
  for (const std::string_view part : kFused)
    parts.push_back(block_path(block->number, fmt::format("self_attn.{}", part)));
  return parts;
}

std::string open_clip_name(std::string_view parameter) {
  if (parameter == "embeddings.position_embedding.weight") return "positional_embedding";
  if (parameter == "text_projection.weight") return "text_projection";
  const std::size_t dot = parameter.rfind('.');
  const std::string_view layer = parameter.substr(0, dot), ending = parameter.substr(dot + 1);
  for (const NamePair& row : kTop)
    if (layer == row.canonical) return fmt::format("{}.{}", row.open_clip, ending);
  constexpr std::string_view kLayers = "encoder.layers.";
  const std::string_view in_layers = layer.substr(kLayers.size());
  const std::string_view number = in_layers.substr(0, in_layers.find('.'));
  const std::string_view rest = in_layers.substr(number.size() + 1);
  for (const NamePair& row : kBlock)
    if (rest == row.canonical) return fmt::format("{}{}.{}.{}", kBlocks, number, row.open_clip, ending);
  return fmt::format("{}{}.attn.in_proj_{}", kBlocks, number, ending);
}

}  // namespace lowrank::formats
