#include <ATen/ATen.h>

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

std::int64_t rank_of(const Module& module) {
  for (const char* factor : {"lokr_w2_b", "lokr_w1_b"})
    if (const auto found = module.parts.find(factor); found != module.parts.end())
      return size_at(found->second, 0);
  return module.rank;
}

}  // namespace

Formula lokr(const Module& module, const LayerShape&) {
  Formula formula{.rank = rank_of(module)};
  formula.weight = [module](const at::Tensor&, Dyn) {
    const at::Tensor w1 = first(module), w2 = second(module);
    // [o1, o2, i1, i2·kh·kw]: the kernel's places stay innermost, so the reshape is that of W.
    const at::Tensor product = w1.unsqueeze(1).unsqueeze(3) * w2.unsqueeze(0).unsqueeze(2);
    return product.reshape({w1.size(0) * w2.size(0), w1.size(1) * w2.size(1)});
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
