#include <fmt/format.h>

#include <algorithm>

#include "formats/lora/kind_shapes.h"
#include "formats/lora/shape_check.h"

namespace lowrank::formats {
namespace {

using weights::Shape;
using weights::shape_text;

void check_oft_peft(ShapeCheck& check) {
  const std::int64_t blocks = check.size("oft_R", 0), side = triangle_side(check.size("oft_R", 1));
  const std::int64_t columns = check.layer().columns();
  const bool fits = check.shape("oft_R").size() == 2 && side > 0 && columns % side == 0 &&
                    (blocks == 1 || blocks == columns / side);
  if (!fits)
    check.fail("oft_R is {}, but the layer {} needs [k, n(n − 1)/2] with k·n = {}",
               shape_text(check.shape("oft_R")), shape_text(check.layer().sizes), columns);
}

void check_boft_peft(ShapeCheck& check) {
  const Shape& blocks = check.shape("boft_R");
  const std::int64_t columns = check.layer().columns();
  if (blocks.size() != 4 || blocks[2] != blocks[3] || blocks[1] * blocks[2] != columns) {
    check.fail("boft_R is {}, but the layer {} needs [factors, k, n, n] with k·n = {}", shape_text(blocks),
               shape_text(check.layer().sizes), columns);
    return;
  }
  const std::int64_t factors = blocks[0];
  if (factors > 1 &&
      (factors > 30 || blocks[2] % 2 != 0 || blocks[1] % (std::int64_t{1} << (factors - 1)) != 0))
    check.fail("boft_R has {} factors of {} blocks of width {}, which cannot be paired", factors, blocks[1],
               blocks[2]);
  check.elements("boft_s", check.layer().out(), "outputs");
}

void check_miss(ShapeCheck& check) {
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

void check_delora(ShapeCheck& check) {
  const std::int64_t rank = check.size("delora_A", 0);
  check.linear_only()
      .part("delora_A", {rank, check.layer().in()})
      .part("delora_B", {check.layer().out(), rank});
  check.elements("delora_w_norm", check.layer().in(), "inputs");
  if (check.count("delora_lambda") != 1) check.fail("delora_lambda is not a single number");
}

// vera_A and vera_B are as wide as the widest layer; each takes its first columns and rows. Where they are not in the file
// they are drawn as large as the layers need.
void check_vera(ShapeCheck& check) {
  const std::int64_t rank = check.count("vera_lambda_d");
  const LayerSizes& layer = check.layer();
  check.linear_only().elements("vera_lambda_b", layer.out(), "outputs");
  if (!check.has("vera_A")) return;
  if (check.shape("vera_A").size() != 2 || check.size("vera_A", 0) != rank ||
      check.size("vera_A", 1) < layer.in())
    check.fail("vera_A is {}, but the layer {} needs [{}, {}] or wider", shape_text(check.shape("vera_A")),
               shape_text(layer.sizes), rank, layer.in());
  if (check.shape("vera_B").size() != 2 || check.size("vera_B", 1) != rank ||
      check.size("vera_B", 0) < layer.out())
    check.fail("vera_B is {}, but the layer {} needs [{}, {}] or longer", shape_text(check.shape("vera_B")),
               shape_text(layer.sizes), layer.out(), rank);
}

// randlora_A [r, 1, n] and randlora_B [m, k, r] likewise, n the shorter and m the longer side of the largest layer.
void check_randlora(ShapeCheck& check) {
  const LayerSizes& layer = check.linear_only().layer();
  const std::int64_t shorter = std::min(layer.out(), layer.columns()),
                     longer = std::max(layer.out(), layer.columns());
  const std::int64_t rank = check.size("randlora_lambda", 0), bases = check.size("randlora_lambda", 1);
  check.part("randlora_lambda", {rank, bases}).part("randlora_gamma", {bases, shorter});
  if (bases != (shorter + rank - 1) / rank)
    check.fail("randlora_lambda is {}, but the layer {} needs [{}, {}]",
               shape_text(check.shape("randlora_lambda")), shape_text(layer.sizes), rank,
               (shorter + rank - 1) / rank);
  if (!check.has("randlora_A")) return;
  const Shape &a = check.shape("randlora_A"), &b = check.shape("randlora_B");
  if (a.size() != 3 || a[0] != rank || a[1] != 1 || a[2] < shorter)
    check.fail("randlora_A is {}, but the layer {} needs [{}, 1, {}] or wider", shape_text(a),
               shape_text(layer.sizes), rank, shorter);
  if (b.size() != 3 || b[0] < longer || b[1] < bases || b[2] != rank)
    check.fail("randlora_B is {}, but the layer {} needs [{}, {}, {}] or larger", shape_text(b),
               shape_text(layer.sizes), longer, bases, rank);
}

void check_fourierft(ShapeCheck& check) {
  const LayerSizes& layer = check.linear_only().layer();
  if (check.count("fourierft_spectrum") > layer.out() * layer.columns())
    check.fail("fourierft_spectrum has {} frequencies, but the layer {} has {} positions",
               check.count("fourierft_spectrum"), shape_text(layer.sizes), layer.out() * layer.columns());
}

void check_c3a(ShapeCheck& check) {
  const Shape& kernel = check.shape("c3a_kernel");
  const LayerSizes& layer = check.linear_only().layer();
  if (kernel.size() != 3 || kernel[0] * kernel[2] != layer.out() || kernel[1] * kernel[2] != layer.in())
    check.fail("c3a_kernel is {}, but the layer {} needs [{} / b, {} / b, b]", shape_text(kernel),
               shape_text(layer.sizes), layer.out(), layer.in());
}

void check_shira(ShapeCheck& check) {
  const std::int64_t count = check.count("shira_weight");
  const LayerSizes& layer = check.linear_only().part("shira_indices", {2, count}).layer();
  if (check.module().facts.rows > layer.out() || check.module().facts.columns > layer.in())
    check.fail("shira_indices contains row {} and column {}, outside the layer {}", check.module().facts.rows,
               check.module().facts.columns, shape_text(layer.sizes));
}

}  // namespace

void check_peft_kind(ShapeCheck& check) {
  const LayerSizes& layer = check.layer();
  switch (check.module().kind) {
    case AdapterKind::kIa3Peft:
      check.elements("ia3_l", check.module().facts.on_input ? layer.in() : layer.out(),
                     check.module().facts.on_input ? "inputs" : "outputs");
      return;
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
    case AdapterKind::kFourierFt:
      return check_fourierft(check);
    case AdapterKind::kRandLora:
      return check_randlora(check);
    case AdapterKind::kBias:
      return;  // as beside any kind
    default:
      check.fail("its kind is not supported");
  }
}

}  // namespace lowrank::formats
