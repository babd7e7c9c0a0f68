#include "formats/lora/kind_shapes.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/lora/kind_table.h"
#include "formats/lora/shape_check.h"

namespace lowrank::formats {
namespace {

using weights::Shape;
using weights::shape_text;

void check_lora(ShapeCheck& check) {
  const std::int64_t rank = check.size("lora_down.weight", 0);
  check.part("lora_up.weight", {check.layer().out(), rank});
  if (check.has("lora_mid.weight")) {
    check.part("lora_down.weight", {rank, check.layer().in()})
        .part("lora_mid.weight", {rank, rank, check.layer().size(2), check.layer().size(3)});
  } else {
    check.kernel("lora_down.weight", rank);
  }
  if (check.has("lora_up.bias")) check.part("lora_up.bias", {check.layer().out()});
  for (const char* vector : {"lora_diag", "lora_E"})
    if (check.has(vector) && check.count(vector) != rank)
      check.fail("{} is {}, but the rank is {}", vector, shape_text(check.shape(vector)), rank);
  if (check.module().kind == AdapterKind::kKasa) {
    check.linear_only();
    if (rank >= std::min(check.layer().out(), check.layer().in()))
      check.fail("its rank {} removes all of the layer {}", rank, shape_text(check.layer().sizes));
  }
}

void check_loha(ShapeCheck& check) {
  const std::int64_t rank = check.size("hada_w1_b", 0), rank2 = check.size("hada_w2_b", 0);
  const LayerSizes& layer = check.layer();
  if (check.has("hada_t1") && check.has("hada_t2")) {
    check.part("hada_w1_a", {rank, layer.out()}).part("hada_w1_b", {rank, layer.in()});
    check.part("hada_w2_a", {rank2, layer.out()}).part("hada_w2_b", {rank2, layer.in()});
    check.part("hada_t1", {rank, rank, layer.size(2), layer.size(3)});
    check.part("hada_t2", {rank2, rank2, layer.size(2), layer.size(3)});
  } else {
    check.part("hada_w1_a", {layer.out(), rank}).kernel("hada_w1_b", rank);
    check.part("hada_w2_a", {layer.out(), rank2}).kernel("hada_w2_b", rank2);
  }
}

struct Split {
  std::int64_t out = 0, columns = 0;
};

Split whole(const Shape& shape) {
  return {shape.empty() ? 1 : shape[0], product(shape, 1)};
}

void check_lokr(ShapeCheck& check) {
  const LayerSizes& layer = check.layer();
  Split one, two;
  if (check.has("lokr_w1")) {
    one = whole(check.shape("lokr_w1"));
  } else {
    one = {check.size("lokr_w1_a", 0), check.size("lokr_w1_b", 1)};
    const std::int64_t rank = check.size("lokr_w1_b", 0);
    check.part("lokr_w1_a", {one.out, rank}).part("lokr_w1_b", {rank, one.columns});
  }
  if (check.has("lokr_w2")) {
    two = whole(check.shape("lokr_w2"));
  } else if (check.has("lokr_t2")) {
    const std::int64_t rank = check.size("lokr_w2_b", 0);
    two = {check.size("lokr_w2_a", 1), check.size("lokr_w2_b", 1) * layer.size(2) * layer.size(3)};
    check.part("lokr_t2", {rank, rank, layer.size(2), layer.size(3)}).part("lokr_w2_a", {rank, two.out});
  } else {
    two = {check.size("lokr_w2_a", 0), product(check.shape("lokr_w2_b"), 1)};
    check.part("lokr_w2_a", {two.out, check.size("lokr_w2_b", 0)});
  }
  if (one.out * two.out != layer.out() || one.columns * two.columns != layer.columns()) {
    check.fail("its Kronecker product is [{}, {}], but the layer {} needs [{}, {}]", one.out * two.out,
               one.columns * two.columns, shape_text(layer.sizes), layer.out(), layer.columns());
  } else if (layer.in() % one.columns != 0) {
    check.fail("lokr_w1 has {} columns, which do not divide the layer's {} inputs", one.columns, layer.in());
  }
}

void check_glora(ShapeCheck& check) {
  const LayerSizes& layer = check.layer();
  const auto [is_old, rank] = glora_layout(check.module(), layer.out());
  const char *outer_b = is_old ? "b2.weight" : "b1.weight", *inner_b = is_old ? "b1.weight" : "b2.weight";
  const char *outer_a = is_old ? "a2.weight" : "a1.weight", *inner_a = is_old ? "a1.weight" : "a2.weight";
  const std::int64_t rank_a = check.size(inner_a, 0);
  check.part(outer_a, {layer.in(), rank_a})
      .part(inner_a, {rank_a, layer.in()})
      .part(outer_b, {layer.out(), rank});
  if (check.has("bm.weight")) {
    check.part("bm.weight", {rank, rank, layer.size(2), layer.size(3)}).part(inner_b, {rank, layer.in()});
  } else {
    check.kernel(inner_b, rank);
  }
}

void check_full(ShapeCheck& check) {
  const LayerSizes& layer = check.layer();
  if (layer.sizes.size() == 1) {
    check.part("diff", {layer.out()});
  } else {
    check.kernel("diff", layer.out());
  }
  if (check.has("diff_b")) check.part("diff_b", {layer.out()});
}

void check_norm(ShapeCheck& check) {
  check.part("w_norm", {check.layer().out()});
  if (check.has("b_norm")) check.part("b_norm", {check.layer().out()});
}

void check_oft(ShapeCheck& check) {
  const char* name = check.has("oft_diag") ? "oft_diag" : "oft_blocks";
  const Shape& blocks = check.shape(name);
  if (blocks.size() != 3 || blocks[1] != blocks[2] || blocks[0] * blocks[1] != check.layer().out())
    check.fail("{} is {}, but the layer {} needs [k, n, n] with k·n = {}", name, shape_text(blocks),
               shape_text(check.layer().sizes), check.layer().out());
  if (check.has("rescale")) check.elements("rescale", check.layer().out(), "outputs");
}

void check_boft(ShapeCheck& check) {
  const Shape& blocks = check.shape("oft_blocks");
  const std::int64_t out = check.layer().out();
  if (blocks.size() != 4 || blocks[2] != blocks[3] || blocks[1] * blocks[2] != out) {
    check.fail("oft_blocks is {}, but the layer {} needs [stages, k, n, n] with k·n = {}", shape_text(blocks),
               shape_text(check.layer().sizes), out);
    return;
  }
  // The last stage exchanges rows at distance 2^(stages − 1)·n/2, in pairs.
  const std::int64_t stages = blocks[0], side = blocks[2];
  if (side % 2 != 0 || stages > 30 || ((side / 2) << stages) > out || out % ((side / 2) << stages) != 0)
    check.fail("oft_blocks has {} stages of blocks of width {}, which do not divide the layer's {} outputs",
               stages, side, out);
  if (check.has("rescale")) check.elements("rescale", out, "outputs");
}

void check_kind(ShapeCheck& check) {
  const LayerSizes& layer = check.layer();
  switch (check.module().kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
    case AdapterKind::kKasa:
    case AdapterKind::kAdalora:
      return check_lora(check);
    case AdapterKind::kLoha:
      return check_loha(check);
    case AdapterKind::kLokr:
      return check_lokr(check);
    case AdapterKind::kIa3:
      check.elements("weight", check.module().facts.on_input ? layer.in() : layer.out(),
                     check.module().facts.on_input ? "inputs" : "outputs");
      return;
    case AdapterKind::kFull:
      return check_full(check);
    case AdapterKind::kNorm:
      return check_norm(check);
    case AdapterKind::kGlora:
      return check_glora(check);
    case AdapterKind::kOft:
      return check_oft(check);
    case AdapterKind::kBoft:
      return check_boft(check);
    default:
      return check_peft_kind(check);
  }
}

// What may stand beside any kind.
void check_common(ShapeCheck& check) {
  const LayerSizes& layer = check.layer();
  for (const char* number : {"scale", "scalar"})
    if (check.has(number) && check.count(number) != 1) check.fail("{} is not a single number", number);
  if (check.has("bias") && check.count("bias") != layer.out() * layer.columns())
    check.fail("bias is {}, but the layer's weight is {}", shape_text(check.shape("bias")),
               shape_text(layer.sizes));
  if (check.has("base_layer.bias")) check.elements("base_layer.bias", layer.out(), "outputs");
  const bool is_peft = check.has("lora_magnitude_vector");
  if (!is_peft && !check.has("dora_scale")) return;
  const char* name = is_peft ? "lora_magnitude_vector" : "dora_scale";
  if (!dora_norm(check.module(), layer))
    check.fail("{} is {}, but the layer {} needs [{}, 1]{}", name, shape_text(check.shape(name)),
               shape_text(layer.sizes), layer.out(), is_peft ? "" : fmt::format(" or [1, {}]", layer.in()));
}

std::string_view form_name(LayerForm form) {
  switch (form) {
    case LayerForm::kLinear:
      return "linear layer";
    case LayerForm::kConvolution:
      return "convolution";
    case LayerForm::kNorm:
      return "norm";
    case LayerForm::kEmbedding:
      break;
  }
  return "embedding";
}

bool suits(AdapterKind kind, LayerForm layer) {
  switch (layer) {
    case LayerForm::kLinear:
    case LayerForm::kConvolution:
      return kind != AdapterKind::kNorm;
    case LayerForm::kNorm:
      return kind == AdapterKind::kNorm || kind == AdapterKind::kFull || kind == AdapterKind::kBias;
    case LayerForm::kEmbedding:
      return kind == AdapterKind::kFull;
  }
  return false;
}

std::string reason_against(const ModuleShapes& module, const LayerSizes& layer) {
  ShapeCheck check(module, layer);
  check_kind(check);
  if (check.ok()) check_common(check);
  return check.reason();
}

}  // namespace

ShapeFit fit_shapes(const ModuleShapes& module, const LayerSizes& layer) {
  if (!suits(module.kind, layer.form))
    return {
        fmt::format("a {} module cannot change a {}", adapter_kind_name(module.kind), form_name(layer.form))};
  for (const auto& [part, shape] : module.parts)
    if (product(shape) == 0) return {fmt::format("{} is empty: {}", part, shape_text(shape))};
  ShapeFit fit{reason_against(module, layer)};
  if (fit.fits() || layer.form != LayerForm::kConvolution || layer.in() != kInpaintingInputs) return fit;
  LayerSizes latent = layer;
  latent.sizes[1] = kLatentInputs;
  if (reason_against(module, latent).empty()) return {.reason = "", .is_narrow = true};
  return fit;
}

std::vector<RankPair> rank_pairs(const ModuleShapes& module) {
  switch (module.kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
    case AdapterKind::kKasa:
    case AdapterKind::kAdalora:
      return {{"lora_down.weight", 0, "lora_up.weight", 1}};
    case AdapterKind::kLoha: {
      const std::size_t inner = module.has("hada_t1") ? 0 : 1;  // Tucker keeps the first factor transposed
      return {{"hada_w1_b", 0, "hada_w1_a", inner}, {"hada_w2_b", 0, "hada_w2_a", inner}};
    }
    case AdapterKind::kLokr: {
      std::vector<RankPair> pairs;
      if (!module.has("lokr_w2"))
        pairs.push_back({"lokr_w2_b", 0, "lokr_w2_a", module.has("lokr_t2") ? 0u : 1u});
      if (!module.has("lokr_w1")) pairs.push_back({"lokr_w1_b", 0, "lokr_w1_a", 1});
      return pairs;
    }
    case AdapterKind::kGlora: {
      // In the old layout b1 and b2 change places.
      if (glora_layout(module, std::nullopt).is_old) return {{"b1.weight", 0, "b2.weight", 1}};
      return {{"b2.weight", 0, "b1.weight", 1}};
    }
    case AdapterKind::kDelora:
      return {{"delora_A", 0, "delora_B", 1}};
    case AdapterKind::kHira:
      return {{"hira_A", 0, "hira_B", 1}};
    case AdapterKind::kVera:
      return {{"vera_lambda_d", 0, "vera_lambda_d", 0}};
    case AdapterKind::kHra:
      return {{"hra_u", 1, "hra_u", 1}};
    case AdapterKind::kRandLora:
      return {{"randlora_lambda", 0, "randlora_lambda", 0}};
    case AdapterKind::kMiss: {
      // Its first size, in blocks [out/r, r, r] its second.
      const std::size_t at = module.parts.find("miss_block")->second.size() == 3 ? 1 : 0;
      return {{"miss_block", at, "miss_block", at}};
    }
    case AdapterKind::kIa3:
    case AdapterKind::kFull:
    case AdapterKind::kNorm:
    case AdapterKind::kOft:
    case AdapterKind::kBoft:
    case AdapterKind::kOftPeft:
    case AdapterKind::kBoftPeft:
    case AdapterKind::kIa3Peft:
    case AdapterKind::kC3a:
    case AdapterKind::kShira:
    case AdapterKind::kFourierFt:
    case AdapterKind::kBias:
      return {};
  }
  return {};
}

GloraLayout glora_layout(const ModuleShapes& module, std::optional<std::int64_t> out) {
  const auto size = [&](const char* part, std::size_t dimension) -> std::int64_t {
    const Shape& shape = module.parts.find(part)->second;
    return dimension < shape.size() ? shape[dimension] : 1;
  };
  const std::int64_t old_rank = size("b2.weight", 1), rank = size("b2.weight", 0);
  const bool is_old = old_rank == size("b1.weight", 0) && old_rank == size("a1.weight", 0) &&
                      old_rank == size("a2.weight", 1);
  const bool is_current =
      rank == size("b1.weight", 1) && rank == size("a1.weight", 1) && rank == size("a2.weight", 0);
  const bool both_mean_old = out ? size("a2.weight", 0) == *out : old_rank < rank;
  if (is_old && (!is_current || both_mean_old)) return {.is_old = true, .rank = old_rank};
  return {.is_old = false, .rank = rank};
}

std::optional<DoraNorm> dora_norm(const ModuleShapes& module, const LayerSizes& layer) {
  if (layer.sizes.size() < 2) return std::nullopt;
  if (const auto vector = module.parts.find("lora_magnitude_vector"); vector != module.parts.end())
    return product(vector->second) == layer.out() ? std::optional(DoraNorm::kRows) : std::nullopt;
  const Shape& scale = module.parts.find("dora_scale")->second;
  const std::int64_t count = product(scale);
  if (scale.size() <= 1) {
    if (count == layer.out()) return DoraNorm::kRows;
    if (count == layer.in()) return DoraNorm::kColumns;
    return std::nullopt;
  }
  if (scale[0] == layer.out() && count == layer.out()) return DoraNorm::kRows;
  if (scale[0] == 1 && scale[1] == layer.in() && count == layer.in() &&
      !(module.facts.is_magnitude_of_outputs && layer.in() == layer.out()))
    return DoraNorm::kColumns;
  // PEFT's [1, out, 1, 1] under LyCORIS' name: no other reading fits.
  if (scale[0] == 1 && scale[1] == layer.out() && count == layer.out()) return DoraNorm::kRows;
  return std::nullopt;
}

std::int64_t triangle_side(std::int64_t elements) {
  std::int64_t side = 2;
  while (side < (1 << 20) && side * (side - 1) / 2 < elements) ++side;
  return side * (side - 1) / 2 == elements ? side : 0;
}

}  // namespace lowrank::formats
