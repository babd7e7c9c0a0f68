#include "adapter/fit.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <utility>

#include "adapter/kinds/kinds.h"
#include "base/error.h"

namespace lowrank::adapter {
namespace {

using formats::AdapterKind;

Formula raw_formula(const Module& module, const LayerShape& layer) {
  switch (module.kind) {
    case AdapterKind::kLora:
    case AdapterKind::kLocon:
    case AdapterKind::kKasa:
    case AdapterKind::kAdalora:
      return kinds::lora(module, layer);
    case AdapterKind::kLoha:
      return kinds::loha(module, layer);
    case AdapterKind::kLokr:
      return kinds::lokr(module, layer);
    case AdapterKind::kIa3:
    case AdapterKind::kIa3Peft:
      return kinds::ia3(module, layer);
    case AdapterKind::kFull:
      return kinds::full(module, layer);
    case AdapterKind::kNorm:
      return kinds::norm(module, layer);
    case AdapterKind::kGlora:
      return kinds::glora(module, layer);
    case AdapterKind::kOft:
      return kinds::oft(module, layer);
    case AdapterKind::kBoft:
      return kinds::boft(module, layer);
    case AdapterKind::kOftPeft:
      return kinds::oft_peft(module, layer);
    case AdapterKind::kBoftPeft:
      return kinds::boft_peft(module, layer);
    case AdapterKind::kHra:
      return kinds::hra(module, layer);
    case AdapterKind::kMiss:
      return kinds::miss(module, layer);
    case AdapterKind::kDelora:
      return kinds::delora(module, layer);
    case AdapterKind::kVera:
      return kinds::vera(module, layer);
    case AdapterKind::kC3a:
      return kinds::c3a(module, layer);
    case AdapterKind::kShira:
      return kinds::shira(module, layer);
    case AdapterKind::kHira:
      return kinds::hira(module, layer);
    case AdapterKind::kFourierFt:
      return kinds::fourierft(module, layer);
    case AdapterKind::kRandLora:
      return kinds::randlora(module, layer);
    case AdapterKind::kBias:
      return {};
  }
  LOWRANK_CHECK(false);
  return {};
}

// Scale, `.scalar` and dense `.bias`, the same for all kinds: ΔW = s·(raw + bias).
Formula scaled(const Module& module, const LayerShape& layer, Formula formula) {
  double scale = 1;
  if (module.has("scale")) {
    scale = module.at("scale").item<double>();
  } else if (module.alpha && formula.rank > 0) {
    scale = static_cast<double>(*module.alpha) / static_cast<double>(formula.rank);
    if (*module.alpha == 0)
      formula.notes.push_back(module.name + ": alpha is 0, so the module has no effect");
  }
  if (module.has("scalar")) scale *= module.at("scalar").item<double>();
  at::Tensor dense;
  if (module.has("bias")) {
    dense = module.parts.find("bias")->second;
    formula.factors.reset();
  }
  formula.scale = scale;
  if (formula.factors) formula.factors->scale = scale;
  if (formula.bias.defined()) formula.bias = formula.bias.reshape(-1) * scale;
  if (module.has("base_layer.bias")) formula.whole_bias = module.at("base_layer.bias").reshape(-1);
  if (!formula.weight) return formula;
  formula.weight = [raw = std::move(formula.weight), dense, scale, sizes = layer.sizes](
                       const at::Tensor& base, Dyn dyn) {
    at::Tensor delta = raw(base, dyn).reshape(sizes);
    if (dense.defined()) delta = delta + dense.to(at::kFloat).reshape(sizes);
    return scale == 1 ? delta : delta * scale;
  };
  return formula;
}

Formula whole_formula(const Module& module, const LayerShape& layer) {
  Formula formula = scaled(module, layer, raw_formula(module, layer));
  if (kinds::has_start(module)) formula = kinds::without_start(module, std::move(formula));
  if (module.has("dora_scale") || module.has("lora_magnitude_vector"))
    formula = kinds::dora(module, layer, std::move(formula));
  return formula;
}

// The formula for the first `narrow` of `wide` input channels of a convolution; the others stay as they are.
Formula padded(Formula formula, const LayerShape& layer) {
  const std::int64_t narrow = formats::kLatentInputs, wide = layer.in();
  if (!formula.weight) return formula;
  formula.weight = [inner = std::move(formula.weight), narrow, wide](const at::Tensor& base, Dyn dyn) {
    const at::Tensor delta = inner(base.defined() ? base.narrow(1, 0, narrow) : base, dyn);
    return at::constant_pad_nd(delta, {0, 0, 0, 0, 0, wide - narrow});
  };
  if (formula.factors) {
    at::Tensor& down = formula.factors->down;
    down =
        at::constant_pad_nd(down.reshape({down.size(0), narrow, layer.kernel_height(), layer.kernel_width()}),
                            {0, 0, 0, 0, 0, wide - narrow});
  }
  return formula;
}

}  // namespace

Fit fit(const Module& module, const LayerShape& layer) {
  const auto shapes = formats::fit_shapes(shapes_of(module), sizes_of(layer));
  if (!shapes.fits()) return Misfit{shapes.reason};
  if (!shapes.is_narrow) return whole_formula(module, layer);
  LayerShape latent = layer;
  latent.sizes[1] = formats::kLatentInputs;
  return padded(whole_formula(module, latent), layer);
}

}  // namespace lowrank::adapter
