#include <ATen/ATen.h>

#include <random>
#include <unordered_map>

#include "adapter/kinds/kinds.h"

namespace lowrank::adapter::kinds {
namespace {

// The first `count` of torch.randperm(`places`) from a CPU generator with that seed: a Fisher-Yates shuffle of which only
// the places that were exchanged are kept.
std::vector<std::int64_t> drawn_places(std::int64_t places, std::int64_t count, std::int64_t seed) {
  std::mt19937 engine(static_cast<std::uint32_t>(seed));
  std::unordered_map<std::int64_t, std::int64_t> moved;
  std::vector<std::int64_t> drawn;
  for (std::int64_t i = 0; i < count; ++i) {
    // The last place is not drawn for.
    const std::int64_t j = i + 1 < places ? i + static_cast<std::int64_t>(engine()) % (places - i) : i;
    const auto at = [&](std::int64_t place) {
      const auto found = moved.find(place);
      return found == moved.end() ? place : found->second;
    };
    drawn.push_back(at(j));
    moved[j] = at(i);
  }
  return drawn;
}

}  // namespace

Formula fourierft(const Module& module, const LayerShape& layer) {
  Formula formula;
  formula.weight = [module, out = layer.out(), in = layer.columns()](const at::Tensor&, Dyn) {
    const at::Tensor values = module.at("fourierft_spectrum").reshape(-1);
    const auto places = drawn_places(out * in, values.numel(), module.settings.seed.value_or(0));
    at::Tensor spectrum = at::zeros({out * in}, at::kFloat);
    spectrum.index_put_({at::tensor(places, at::kLong)}, values);
    return at::real(at::fft_ifft2(spectrum.reshape({out, in}))) * module.settings.gain;
  };
  return formula;
}

}  // namespace lowrank::adapter::kinds
