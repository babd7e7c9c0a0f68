// How near the kernels come to the limit of this machine: GFLOP/s for each kind of layer of Stable
// Diffusion 1.5 at 512×512 and of SDXL at 1024×1024, with guidance, as a share of the peak of float32 multiply-add, measured in the
// same run.
//
//   [LOWRANK_SIMD=AVX2] kernel_bench [THREADS] [REPETITIONS] [wall|cpu] [PART OF A NAME]
//
// "cpu" counts processor time, shared out evenly: on a machine that is busy with other work, wall time says
// little.
#include <fmt/format.h>
#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/parallel.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/convolution/convolution.h"
#include "kernels/convolution/winograd.h"
#include "kernels/fma_peak.h"
#include "kernels/norm.h"
#include "kernels/product/product.h"
#include "kernels/simd_limit.h"

namespace lowrank::kernels {
namespace {

struct Run {
  int threads, repetitions;
  bool cpu_time;
  std::string_view only;  // layers whose name holds this
  double peak;            // GFLOP/s

  double now() const {
    timespec time{};
    clock_gettime(cpu_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec)) /
           (cpu_time ? threads : 1);
  }
};

double fastest_seconds(const Run& run, const std::function<void()>& body) {
  double best = 1e30;
  for (int i = 0; i < run.repetitions; ++i) {
    const double start = run.now();
    body();
    best = std::min(best, run.now() - start);
  }
  return best;
}

void print(const Run& run, std::string_view what, std::string_view kernel, double gflop, double seconds) {
  fmt::print("{:<44} {:<5} {:9.2f} ms {:8.1f} GFLOP/s {:5.0f} % of peak\n", what, kernel, seconds * 1e3,
             gflop / seconds, 100 * gflop / seconds / run.peak);
}

std::vector<float> numbers(std::int64_t count) {
  std::vector<float> all(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<float>(i * 7919 % 2003) / 1001.5F - 1;
  return all;
}

// Weights of 16 bits, as checkpoints have them: the pattern is that of small float16 numbers. `number`: how they are held.
PackedWeights weights(WeightShape shape, PanelOrder order, int threads, Number number = Number::kFloat16) {
  std::vector<std::uint16_t> halves(static_cast<std::size_t>(shape.outputs * shape.inputs * shape.taps));
  for (std::size_t i = 0; i < halves.size(); ++i)
    halves[i] = static_cast<std::uint16_t>(0x2000 + i * 7919 % 0x400);
  if (number == Number::kInt8)
    return PackedWeights::in_int8(halves.data(), Number::kFloat16, shape, order, threads);
  return PackedWeights(halves.data(), Number::kFloat16, shape, order, threads);
}

struct LayerSize {
  const char* name;
  std::int64_t side, inputs, outputs, kernel;
  bool gated = false;
  std::int64_t seen = 1, batch = 2;  // each pixel this often in each direction
  Number number = Number::kFloat16;
};
constexpr LayerSize kLayers[] = {
    {"convolution 3x3, 64x64, 320 to 320", 64, 320, 320, 3},
    {"convolution 3x3, 64x64, 960 to 320", 64, 960, 320, 3},
    {"convolution 3x3, 32x32, 640 to 640", 32, 640, 640, 3},
    {"convolution 3x3, 16x16, 1280 to 1280", 16, 1280, 1280, 3},
    {"convolution 3x3, 8x8, 1280 to 1280", 8, 1280, 1280, 3},
    {"convolution 3x3, 4x4, 1280 to 1280", 4, 1280, 1280, 3},
    {"convolution 3x3, 16x16, 1280, int8", 16, 1280, 1280, 3, false, 1, 2, Number::kInt8},
    {"convolution 3x3, 8x8 to 16x16, 1280", 8, 1280, 1280, 3, false, 2},
    {"convolution 3x3, 16x16 to 32x32, 1280", 16, 1280, 1280, 3, false, 2},
    {"convolution 3x3, 32x32 to 64x64, 640", 32, 640, 640, 3, false, 2},
    {"convolution 3x3, 256x256 to 512x512, 256", 256, 256, 256, 3, false, 2, 1},
    {"convolution 3x3, 512x512, 128", 512, 128, 128, 3, false, 1, 1},
    {"linear, 64x64, 320 to 320", 64, 320, 320, 1},
    {"linear GEGLU, 64x64, 320 to 2560", 64, 320, 2560, 1, true},
    {"linear, 64x64, 1280 to 320", 64, 1280, 320, 1},
    {"linear, 16x16, 1280 to 1280", 16, 1280, 1280, 1},
    {"linear GEGLU, 16x16, 1280 to 10240", 16, 1280, 10240, 1, true},
    {"linear, 16x16, 1280 to 1280, int8", 16, 1280, 1280, 1, false, 1, 2, Number::kInt8},
    {"SDXL convolution 3x3, 128x128, 320 to 320", 128, 320, 320, 3},
    {"SDXL convolution 3x3, 128x128, 960 to 320", 128, 960, 320, 3},
    {"SDXL convolution 3x3, 64x64, 640 to 640", 64, 640, 640, 3},
    {"SDXL convolution 3x3, 32x32, 1280 to 1280", 32, 1280, 1280, 3},
    {"SDXL convolution 3x3, 32x32, 2560 to 1280", 32, 2560, 1280, 3},
    {"SDXL convolution 3x3, 32x32 to 64x64, 1280", 32, 1280, 1280, 3, false, 2},
    {"SDXL convolution 3x3, 64x64 to 128x128, 640", 64, 640, 640, 3, false, 2},
    {"SDXL linear, 64x64, 640 to 640", 64, 640, 640, 1},
    {"SDXL linear GEGLU, 64x64, 640 to 5120", 64, 640, 5120, 1, true},
    {"SDXL linear, 64x64, 2560 to 640", 64, 2560, 640, 1},
    {"SDXL linear, 32x32, 1280 to 1280", 32, 1280, 1280, 1},
    {"SDXL linear GEGLU, 32x32, 1280 to 10240", 32, 1280, 10240, 1, true},
    {"SDXL linear, 32x32, 5120 to 1280", 32, 5120, 1280, 1},
    {"SDXL linear, 32x32, 5120 to 1280, int8", 32, 5120, 1280, 1, false, 1, 2, Number::kInt8},
};

void bench_layers(const Run& run) {
  for (const LayerSize& layer : kLayers) {
    if (std::string_view(layer.name).find(run.only) == std::string_view::npos) continue;
    const std::int64_t side = layer.side * layer.seen, rows = layer.batch * side * side,
                       taps = layer.kernel * layer.kernel;
    const auto x = numbers(layer.batch * layer.side * layer.side * layer.inputs);
    const PackedWeights packed =
        weights({layer.outputs, layer.inputs, taps}, layer.gated ? PanelOrder::kGated : PanelOrder::kPlain,
                run.threads, layer.number);
    const Map map{x.data(), layer.batch, layer.side, layer.side, layer.inputs};
    const std::int64_t pad = layer.kernel / 2;
    const Window window =
        make_window(layer.kernel, layer.kernel, 1, {pad, pad, pad, pad}, layer.side, layer.side, side, side);
    const LeftFactor left = layer.kernel == 1 ? LeftFactor::matrix(x.data(), layer.inputs, layer.inputs)
                                              : LeftFactor::convolution(map, window);
    const std::int64_t columns = layer.gated ? layer.outputs / 2 : layer.outputs;
    std::vector<float> result(static_cast<std::size_t>(rows * columns));
    const std::array<Term, 1> terms = {{{&left, &packed}}};
    std::vector<const BlockKernel*> kernels = block_kernels();
    if (packed.number() == Number::kInt8 && vnni_block_kernel() != nullptr)
      kernels.push_back(vnni_block_kernel());
    for (const BlockKernel* kernel : kernels) {
      const double seconds = fastest_seconds(run, [&] {
        product(terms, rows, result.data(), columns,
                {.activation = layer.gated ? Activation::kGated : Activation::kNone}, run.threads, *kernel);
      });
      print(run, layer.name, kernel->name, 2e-9 * static_cast<double>(rows * packed.depth() * layer.outputs),
            seconds);
    }
    if (layer.kernel != 3) continue;
    const auto chosen = winograd_form(map, window, packed, simd_block_kernel());
    constexpr std::pair<WinogradForm, const char*> kForms[] = {
        {WinogradForm::kFour, "F4"}, {WinogradForm::kTwo, "F2"}, {WinogradForm::kDoubled, "F5x2"}};
    for (const auto& each : kForms) {
      const WinogradForm form = each.first;
      if (form == WinogradForm::kDoubled && layer.seen == 1) continue;
      const double seconds = fastest_seconds(
          run, [&] { winograd(form, map, window, packed, result.data(), Start::kZero, {}, run.threads); });
      print(run, layer.name, fmt::format("{}{}", each.second, form == chosen ? "*" : ""),
            2e-9 * static_cast<double>(rows * packed.depth() * layer.outputs), seconds);
    }
  }
}

// Of a convolution that halves a map, as the plain convolution with as many outputs would count it.
void bench_strided_gradient(const Run& run) {
  const std::int64_t side = 64, channels = 320, batch = 1;
  const auto dy = numbers(batch * side / 2 * side / 2 * channels);
  const PackedWeights turned = weights({channels, channels, 9}, PanelOrder::kPlain, run.threads);
  const Map map{dy.data(), batch, side / 2, side / 2, channels};
  const Window window = make_gradient_window(3, 3, 2, 1, side / 2, side / 2, side, side);
  std::vector<float> result(static_cast<std::size_t>(batch * side * side * channels));
  const Convolution convolution(map, window, turned, run.threads);
  const double seconds = fastest_seconds(run, [&] {
    if (convolution.is_winograd()) return convolution.run(dy.data(), Start::kZero, {}, result.data());
    const LeftFactor left = LeftFactor::convolution(map, window);
    product({{{&left, &turned}}}, batch * side * side, result.data(), channels, {}, run.threads);
  });
  print(run, "gradient of 3x3 by 2, 64x64 to 32x32, 320", "",
        2e-9 * static_cast<double>(dy.size()) * 9 * static_cast<double>(channels), seconds);
}

void bench_attention(const Run& run) {
  struct Case {
    const char* name;
    AttentionShape shape;
  };
  for (const Case& each : {Case{"attention, 64x64, 8 heads of 40", {2, 8, 4096, 4096, 40}},
                           {"attention, 64x64 to 77, 8 heads of 40", {2, 8, 4096, 77, 40}},
                           {"attention, 32x32, 8 heads of 80", {2, 8, 1024, 1024, 80}},
                           {"attention, 64x64, 1 head of 512", {1, 1, 4096, 4096, 512}},
                           {"SDXL attention, 64x64, 10 heads of 64", {2, 10, 4096, 4096, 64}},
                           {"SDXL attention, 64x64 to 77, 10 heads of 64", {2, 10, 4096, 77, 64}},
                           {"SDXL attention, 32x32, 20 heads of 64", {2, 20, 1024, 1024, 64}},
                           {"SDXL attention, 32x32 to 77, 20 heads of 64", {2, 20, 1024, 77, 64}}}) {
    if (std::string_view(each.name).find(run.only) == std::string_view::npos) continue;
    const AttentionShape& s = each.shape;
    const std::int64_t width = s.heads * s.head;
    const auto q = numbers(s.batch * s.queries * width), k = numbers(s.batch * s.keys * width);
    std::vector<float> result(q.size());
    for (const BlockKernel* kernel : block_kernels()) {
      const double seconds = fastest_seconds(
          run, [&] { attention(q.data(), k.data(), k.data(), s, result.data(), run.threads, *kernel); });
      print(run, each.name, kernel->name, 4e-9 * static_cast<double>(s.batch * s.queries * s.keys * width),
            seconds);
    }
  }
}

void bench_passes(const Run& run) {
  const std::int64_t pixels = 4096, channels = 320, batch = 2;
  const auto x = numbers(batch * pixels * channels), scale = numbers(channels);
  std::vector<float> result(x.size());
  const double bytes = static_cast<double>(x.size()) * 4;
  const NormWeights weights{scale.data(), scale.data(), 1e-5};
  const auto show = [&](const char* name, double passes, double seconds) {
    fmt::print("{:<50} {:9.2f} ms {:8.1f} GB/s\n", name, seconds * 1e3, passes * bytes / seconds * 1e-9);
  };
  show("group norm and SiLU, 64x64, 320", 3, fastest_seconds(run, [&] {
         const GroupFactors factors(x.data(), batch, 64, 64, channels, 32, weights, run.threads);
         for (std::int64_t image = 0; image < batch; ++image) {
           const std::int64_t at = image * pixels * channels;
           factors.apply(x.data() + at, image, pixels, AfterNorm::kSilu, result.data() + at, run.threads);
         }
       }));
  show("layer norm, 64x64, 320", 2, fastest_seconds(run, [&] {
         layer_norm(x.data(), batch * pixels, channels, weights, result.data(), run.threads);
       }));
  auto w = numbers(static_cast<std::int64_t>(x.size())), m = w, v = w;
  for (float& each : v) each *= each;
  show("AdamW, 2.6 million parameters, 1 thread", 7, fastest_seconds(run, [&] {
         adamw_update(w.data(), m.data(), v.data(), x.data(), static_cast<std::int64_t>(x.size()),
                      {0.9F, 0.999F, 1e-8F, 1e-4F, 1.0F, 1.0F});
       }));
}

}  // namespace
}  // namespace lowrank::kernels

int main(int argc, char** argv) {
  using namespace lowrank::kernels;
  try {
    limit_simd_as_asked();
  } catch (const lowrank::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  Run run{.threads = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency()),
          .repetitions = argc > 2 ? std::atoi(argv[2]) : 3,
          .cpu_time = argc > 3 && std::string_view(argv[3]) == "cpu",
          .only = argc > 4 ? argv[4] : "",
          .peak = 0};
  for (int i = 0; i < 8; ++i) {  // a peak is what can be reached when nobody else is in the way
    const double start = run.now();
    const double flop = fma_flops(run.threads);
    run.peak = std::max(run.peak, flop * 1e-9 / (run.now() - start));
  }
  fmt::print("float32 multiply-add peak {:.1f} GFLOP/s on {} threads\n", run.peak, run.threads);
  bench_layers(run);
  bench_attention(run);
  if (!run.only.empty()) return 0;
  bench_strided_gradient(run);
  bench_passes(run);
  return 0;
}
