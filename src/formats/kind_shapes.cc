#include "formats/kind_shapes.h"

#include <fmt/format.h>

#include <initializer_list>

#include "formats/kind_table.h"

namespace lowrank::formats {
namespace {

using weights::Shape;
using weights::shape_text;

// Trailing dimensions of 1 beyond the second do not count.
Shape without_trailing_ones(Shape shape) {
  while (shape.size() > 2 && shape.back() == 1) shape.pop_back();
  return shape;
}

std::int64_t product(const Shape& shape, std::size_t first = 0) {
  std::int64_t value = 1;
  for (std::size_t i = first; i < shape.size(); ++i) value *= shape[i];
  return value;
}

// Collects the first mismatch.
class Check {
 public:
  Check(const ModuleShapes& module, const LayerSizes& layer) : module_(module), layer_(layer) {}

  const Shape& shape(std::string_view part) const { return module_.parts.find(part)->second; }
  std::int64_t size(std::string_view part, std::size_t dimension) const {
    const Shape& sizes = shape(part);
    return dimension < sizes.size() ? sizes[dimension] : 1;
  }
  std::int64_t count(std::string_view part) const { return product(shape(part)); }
  bool has(std::string_view part) const { return module_.has(part); }
  const LayerSizes& layer() const { return layer_; }
  const ModuleShapes& module() const { return module_; }

  Check& part(std::string_view name, std::initializer_list<std::int64_t> wanted) {
    const Shape need = without_trailing_ones(wanted);
    if (ok() && without_trailing_ones(shape(name)) != need)
      fail("{} is {}, the layer {} needs {}", name, shape_text(shape(name)), shape_text(layer_.sizes),
           shape_text(need));
    return *this;
  }
  // [rows, in, kh, kw], or the same flattened to [rows, in·kh·kw].
  Check& kernel(std::string_view name, std::int64_t rows) {
    if (shape(name) == Shape{rows, layer_.columns()}) return *this;
    return part(name, {rows, layer_.in(), layer_.size(2), layer_.size(3)});
  }
  Check& elements(std::string_view name, std::int64_t wanted, std::string_view what) {
    if (ok() && count(name) != wanted)
      fail("{} has {} elements, the layer {} has {} {}", name, count(name), shape_text(layer_.sizes), wanted,
           what);
    return *this;
  }
  Check& linear_only() {
    if (ok() && layer_.columns() != layer_.in())
      fail("a {} module cannot change a convolution of {}x{}", adapter_kind_name(module_.kind),
           layer_.size(2), layer_.size(3));
    return *this;
  }
  template <typename... Values>
  void fail(fmt::format_string<Values...> form, Values&&... values) {
    if (ok()) reason_ = fmt::format(form, std::forward<Values>(values)...);
  }
  bool ok() const { return reason_.empty(); }
  const std::string& reason() const { return reason_; }

 private:
  const ModuleShapes& module_;
  const LayerSizes& layer_;
  std::string reason_;
};

void check_lora(Check& check) {
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
      check.fail("{} is {}, the rank is {}", vector, shape_text(check.shape(vector)), rank);
  if (check.module().kind == AdapterKind::kKasa) {
    check.linear_only();
    if (rank >= std::min(check.layer().out(), check.layer().in()))
      check.fail("its rank {} takes all of the layer {} away", rank, shape_text(check.layer().sizes));
  }
}

void check_loha(Check& check) {
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

void check_lokr(Check& check) {
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
    check.fail("its Kronecker product is [{}, {}], the layer {} needs [{}, {}]", one.out * two.out,
               one.columns * two.columns, shape_text(layer.sizes), layer.out(), layer.columns());
  } else if (layer.in() % one.columns != 0) {
    check.fail("lokr_w1 has {} columns, which do not divide the layer's {} inputs", one.columns, layer.in());
  }
}

void check_glora(Check& check) {
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

void check_full(Check& check) {
  const LayerSizes& layer = check.layer();
  if (layer.sizes.size() == 1) {
    check.part("diff", {layer.out()});
  } else {
    check.kernel("diff", layer.out());
  }
  if (check.has("diff_b")) check.part("diff_b", {layer.out()});
}

void check_norm(Check& check) {
  check.part("w_norm", {check.layer().out()});
  if (check.has("b_norm")) check.part("b_norm", {check.layer().out()});
}

void check_oft(Check& check) {
  const char* name = check.has("oft_diag") ? "oft_diag" : "oft_blocks";
  const Shape& blocks = check.shape(name);
  if (blocks.size() != 3 || blocks[1] != blocks[2] || blocks[0] * blocks[1] != check.layer().out())
    check.fail("{} is {}, the layer {} needs [k, n, n] with k·n = {}", name, shape_text(blocks),
               shape_text(check.layer().sizes), check.layer().out());
  if (check.has("rescale")) check.elements("rescale", check.layer().out(), "outputs");
}

void check_boft(Check& check) {
  const Shape& blocks = check.shape("oft_blocks");
  const std::int64_t out = check.layer().out();
  if (blocks.size() != 4 || blocks[2] != blocks[3] || blocks[1] * blocks[2] != out) {
    check.fail("oft_blocks is {}, the layer {} needs [stages, k, n, n] with k·n = {}", shape_text(blocks),
               shape_text(check.layer().sizes), out);
    return;
  }
  // The last stage exchanges rows at distance 2^(stages − 1)·n/2, in pairs.
  const std::int64_t stages = blocks[0], side = blocks[2];
  if (side % 2 != 0 || stages > 30 || ((side / 2) << stages) > out || out % ((side / 2) << stages) != 0)
    check.fail("oft_blocks has {} stages of blocks {} wide, which do not divide the layer's {} outputs",
               stages, side, out);
  if (check.has("rescale")) check.elements("rescale", out, "outputs");
}

void check_oft_peft(Check& check) {
  const std::int64_t blocks = check.size("oft_R", 0), side = triangle_side(check.size("oft_R", 1));
  const std::int64_t columns = check.layer().columns();
  const bool fits = check.shape("oft_R").size() == 2 && side > 0 && columns % side == 0 &&
                    (blocks == 1 || blocks == columns / side);
  if (!fits)
    check.fail("oft_R is {}, the layer {} needs [k, n(n − 1)/2] with k·n = {}",
               shape_text(check.shape("oft_R")), shape_text(check.layer().sizes), columns);
}

void check_boft_peft(Check& check) {
  const Shape& blocks = check.shape("boft_R");
  const std::int64_t columns = check.layer().columns();
  if (blocks.size() != 4 || blocks[2] != blocks[3] || blocks[1] * blocks[2] != columns) {
    check.fail("boft_R is {}, the layer {} needs [factors, k, n, n] with k·n = {}", shape_text(blocks),
               shape_text(check.layer().sizes), columns);
    return;
  }
  const std::int64_t factors = blocks[0];
  if (factors > 1 &&
      (factors > 30 || blocks[2] % 2 != 0 || blocks[1] % (std::int64_t{1} << (factors - 1)) != 0))
    check.fail("boft_R has {} factors of {} blocks {} wide, which cannot be exchanged pairwise", factors,
               blocks[1], blocks[2]);
  check.elements("boft_s", check.layer().out(), "outputs");
}

void check_miss(Check& check) {
  check.linear_only();
  const Shape& block = check.shape("miss_block");
  const LayerSizes& layer = check.layer();
  // By blocks [out/r, r, r], or one row of numbers for every r inputs [r, out], its outputs perhaps repeated.
  const bool fits = block.size() == 3 ? block[1] == block[2] && block[0] * block[1] == layer.out() &&
                                            layer.in() % block[1] == 0
                                      : block.size() == 2 && layer.out() % block[1] == 0;
  if (!fits)
    check.fail("miss_block is {}, which does not divide the layer {}", shape_text(block),
               shape_text(layer.sizes));
}

void check_delora(Check& check) {
  const std::int64_t rank = check.size("delora_A", 0);
  check.linear_only()
      .part("delora_A", {rank, check.layer().in()})
      .part("delora_B", {check.layer().out(), rank});
  check.elements("delora_w_norm", check.layer().in(), "inputs");
  if (check.count("delora_lambda") != 1) check.fail("delora_lambda is no single number");
}

// vera_A and vera_B are as wide as the widest layer; each takes its first columns and rows.
void check_vera(Check& check) {
  const std::int64_t rank = check.count("vera_lambda_d");
  const LayerSizes& layer = check.layer();
  check.linear_only().elements("vera_lambda_b", layer.out(), "outputs");
  if (check.shape("vera_A").size() != 2 || check.size("vera_A", 0) != rank ||
      check.size("vera_A", 1) < layer.in())
    check.fail("vera_A is {}, the layer {} needs [{}, {}] or wider", shape_text(check.shape("vera_A")),
               shape_text(layer.sizes), rank, layer.in());
  if (check.shape("vera_B").size() != 2 || check.size("vera_B", 1) != rank ||
      check.size("vera_B", 0) < layer.out())
    check.fail("vera_B is {}, the layer {} needs [{}, {}] or longer", shape_text(check.shape("vera_B")),
               shape_text(layer.sizes), layer.out(), rank);
}

void check_c3a(Check& check) {
  const Shape& kernel = check.shape("c3a_kernel");
  const LayerSizes& layer = check.linear_only().layer();
  if (kernel.size() != 3 || kernel[0] * kernel[2] != layer.out() || kernel[1] * kernel[2] != layer.in())
    check.fail("c3a_kernel is {}, the layer {} needs [{} / b, {} / b, b]", shape_text(kernel),
               shape_text(layer.sizes), layer.out(), layer.in());
}

void check_shira(Check& check) {
  const std::int64_t count = check.count("shira_weight");
  const LayerSizes& layer = check.linear_only().part("shira_indices", {2, count}).layer();
  if (check.module().facts.rows > layer.out() || check.module().facts.columns > layer.in())
    check.fail("shira_indices reaches row {} and column {} of the layer {}", check.module().facts.rows,
               check.module().facts.columns, shape_text(layer.sizes));
}

void check_kind(Check& check) {
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
    case AdapterKind::kIa3Peft:
      check.elements("ia3_l", check.module().facts.on_input ? layer.in() : layer.out(),
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
    case AdapterKind::kOftPeft:
      return check_oft_peft(check);
    case AdapterKind::kBoftPeft:
      return check_boft_peft(check);
    case AdapterKind::kHra:
      check.part("hra_u", {layer.columns(), check.size("hra_u", 1)});
      return;
    case AdapterKind::kMiss:
      return check_miss(check);
    case AdapterKind::kDelora:
      return check_delora(check);
    case AdapterKind::kVera:
      return check_vera(check);
    case AdapterKind::kC3a:
      return check_c3a(check);
    case AdapterKind::kShira:
      return check_shira(check);
    case AdapterKind::kHira: {
      const std::int64_t rank = check.size("hira_A", 0);
      check.kernel("hira_A", rank).part("hira_B", {layer.out(), rank});
      return;
    }
  }
}

// What may stand beside any kind.
void check_common(Check& check) {
  const LayerSizes& layer = check.layer();
  for (const char* number : {"scale", "scalar"})
    if (check.has(number) && check.count(number) != 1) check.fail("{} is no single number", number);
  if (check.has("bias") && check.count("bias") != layer.out() * layer.columns())
    check.fail("bias is {}, the layer's weight {}", shape_text(check.shape("bias")), shape_text(layer.sizes));
  const bool is_peft = check.has("lora_magnitude_vector");
  if (!is_peft && !check.has("dora_scale")) return;
  const char* name = is_peft ? "lora_magnitude_vector" : "dora_scale";
  if (!dora_norm(check.module(), layer))
    check.fail("{} is {}, the layer {} needs [{}, 1]{}", name, shape_text(check.shape(name)),
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
      return kind == AdapterKind::kNorm || kind == AdapterKind::kFull;
    case LayerForm::kEmbedding:
      return kind == AdapterKind::kFull;
  }
  return false;
}

std::string reason_against(const ModuleShapes& module, const LayerSizes& layer) {
  Check check(module, layer);
  check_kind(check);
  if (check.ok()) check_common(check);
  return check.reason();
}

}  // namespace

std::int64_t LayerSizes::columns() const {
  return product(sizes, 1);
}

ModuleShapes shapes_of(const LoraEntry& entry) {
  ModuleShapes shapes{.kind = entry.kind, .parts = {}, .facts = entry.facts};
  for (const auto& [part, view] : entry.parts) shapes.parts.emplace(part, view.shape);
  if (entry.shared)
    for (const auto& [part, view] : *entry.shared) shapes.parts.emplace(part, view.shape);
  return shapes;
}

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
  if (scale[0] == 1 && scale[1] == layer.in() && count == layer.in()) return DoraNorm::kColumns;
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
