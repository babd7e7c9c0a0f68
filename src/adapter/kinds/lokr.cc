#include <ATen/ATen.h>
#include <fmt/format.h>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// w1 [o1, i1], whole or as a product.
at::Tensor first(const Module& module) {
  if (module.has("lokr_w1")) return flat(module.at("lokr_w1"));
  return at::matmul(flat(module.at("lokr_w1_a")), flat(module.at("lokr_w1_b")));
}

// w2 [o2, i2·kh·kw], whole, as a product, or in Tucker form.
at::Tensor second(const Module& module) {
  if (module.has("lokr_w2")) return flat(module.at("lokr_w2"));
  const at::Tensor a = flat(module.at("lokr_w2_a")), b = flat(module.at("lokr_w2_b"));
  return module.has("lokr_t2") ? flat(tucker(a.t(), module.at("lokr_t2"), b)) : at::matmul(a, b);
}

std::int64_t columns_of(const at::Tensor& tensor) {
  return tensor.numel() / size_at(tensor, 0);
}

struct Split {
  std::int64_t out = 0, columns = 0, rank = 0;  // rank 0: whole
};

Split first_split(const Module& module) {
  if (module.has("lokr_w1")) {
    const auto& w1 = module.parts.find("lokr_w1")->second;
    return {size_at(w1, 0), columns_of(w1), 0};
  }
  const auto &a = module.parts.find("lokr_w1_a")->second, &b = module.parts.find("lokr_w1_b")->second;
  return {size_at(a, 0), size_at(b, 1), size_at(b, 0)};
}

Split second_split(const Module& module, const LayerShape& layer) {
  if (module.has("lokr_w2")) {
    const auto& w2 = module.parts.find("lokr_w2")->second;
    return {size_at(w2, 0), columns_of(w2), 0};
  }
  const auto &a = module.parts.find("lokr_w2_a")->second, &b = module.parts.find("lokr_w2_b")->second;
  if (module.has("lokr_t2")) {
    return {size_at(a, 1), size_at(b, 1) * layer.kernel_height() * layer.kernel_width(), size_at(b, 0)};
  }
  return {size_at(a, 0), columns_of(b), size_at(b, 0)};
}

}  // namespace

Fit lokr(const Module& module, const LayerShape& layer) {
  const Split one = first_split(module), two = second_split(module, layer);
  ShapeCheck check(module, layer);
  if (one.rank > 0) check.part("lokr_w1_a", {one.out, one.rank}).part("lokr_w1_b", {one.rank, one.columns});
  if (two.rank > 0 && module.has("lokr_t2")) {
    check.part("lokr_t2", {two.rank, two.rank, layer.kernel_height(), layer.kernel_width()});
    check.part("lokr_w2_a", {two.rank, two.out});
  } else if (two.rank > 0) {
    check.part("lokr_w2_a", {two.out, two.rank});
  }
  if (!check.ok()) return check.misfit();
  if (one.out * two.out != layer.out() || one.columns * two.columns != layer.columns()) {
    return Misfit{fmt::format("its Kronecker product is [{}, {}], the layer {} needs [{}, {}]",
                              one.out * two.out, one.columns * two.columns, sizes_text(layer.sizes),
                              layer.out(), layer.columns())};
  }
  if (layer.in() % one.columns != 0)
    return Misfit{fmt::format("lokr_w1 has {} columns, which do not divide the layer's {} inputs",
                              one.columns, layer.in())};
  Formula formula{.rank = two.rank > 0 ? two.rank : one.rank};
  formula.weight = [module](const at::Tensor&, Dyn) {
    const at::Tensor w1 = first(module), w2 = second(module);
    // [o1, o2, i1, i2·kh·kw]: the kernel's places stay innermost, so the reshape is that of W.
    const at::Tensor product = w1.unsqueeze(1).unsqueeze(3) * w2.unsqueeze(0).unsqueeze(2);
    return product.reshape({w1.size(0) * w2.size(0), w1.size(1) * w2.size(1)});
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
