// Every sampler against the reference implementations, on an analytic network (fixtures/samplers/README.md).
#include <gtest/gtest.h>

#include <map>

#include "analytic_model.h"
#include "fixture.h"
#include "sampling/run.h"
#include "support/expect_close.h"

namespace lowrank::sampling {
namespace {

using lowrank::testing::expect_close;
using testing::AnalyticModel;
using testing::read_json;

// Counts what a sampler draws, besides handing it on.
class CountingNoise : public NoiseSource {
 public:
  explicit CountingNoise(std::unique_ptr<NoiseSource> source) : source_(std::move(source)) {}
  at::Tensor next() override { return ++draws, source_->next(); }
  void set_sigma_range(float low, float high) override { source_->set_sigma_range(low, high); }
  at::Tensor between(float from, float to) override { return ++draws, source_->between(from, to); }
  int draws = 0;

 private:
  std::unique_ptr<NoiseSource> source_;
};

SamplerSettings settings_of(const nlohmann::json& options, const SamplerRow& row) {
  SamplerSettings settings{.eta = options.value("eta", row.default_eta),
                           .s_churn = options.value("s_churn", 0.0),
                           .s_tmin = options.value("s_tmin", 0.0),
                           .s_noise = options.value("s_noise", 1.0)};
  if (options.contains("s_tmax")) settings.s_tmax = options["s_tmax"].get<double>();
  if (options.value("uni_pc_variant", "") == "bh2") settings.unipc_variant = UniPcVariant::kBh2;
  const auto spacing = options.value("uni_pc_skip_type", "");
  if (spacing == "logSNR") settings.unipc_spacing = UniPcSpacing::kLogSnr;
  if (spacing == "time_quadratic") settings.unipc_spacing = UniPcSpacing::kTimeQuadratic;
  settings.unipc_order = options.value("uni_pc_order", 3);
  settings.unipc_lower_order_final = options.value("uni_pc_lower_order_final", true);
  return settings;
}

std::unique_ptr<NoiseSource> noise_of(const nlohmann::json& golden, const at::Tensor& recorded,
                                      const Walk& walk) {
  if (golden["brownian_seeds"].is_null()) return make_recorded_noise(recorded);
  auto noise = make_image_noise({.rng = RngKind::kCpu,
                                 .seeds = golden["brownian_seeds"].get<std::vector<std::uint64_t>>(),
                                 .height = recorded.size(3),
                                 .width = recorded.size(4)});
  noise->set_sigma_range(walk.sigmas[walk.sigmas.size() - 2], walk.sigmas.front());
  return noise;
}

NoiseTable table_of(const nlohmann::json& golden, const SamplerRow& row) {
  auto table = NoiseTable::stable_diffusion();
  if (golden["zero_snr"].get<bool>()) table = table.zero_terminal_snr();
  return row.is_lcm ? table.lcm() : table;
}

TEST(SamplerGoldens, EqualTheReferences) {
  const testing::Tensors goldens("samplers/samplers.safetensors");
  const auto document = read_json("samplers/samplers.json");
  std::map<std::string_view, int> cases_of;
  for (const auto& golden : document["cases"]) {
    const auto* row = find_sampler(golden["sampler"].get<std::string>());
    ASSERT_NE(row, nullptr) << golden["sampler"];
    ++cases_of[row->label];
    const auto name = golden["name"].get<std::string>();

    const auto table = table_of(golden, *row);
    Walk walk{
        .sigma_min = table.sigma_min(), .sigma_max = table.sigma_max(), .steps = golden["steps"].get<int>()};
    if (golden.contains("sigmas")) walk.sigmas = golden["sigmas"].get<std::vector<float>>();
    if (golden.contains("timesteps")) walk.timesteps = golden["timesteps"].get<std::vector<int>>();
    walk.from_image = golden["options"].value("is_img2img", false);

    AnalyticModel model;
    const Guidance guidance{.scale = golden["scale"].get<double>(),
                            .weights = document["weights"].get<std::vector<std::vector<double>>>()};
    const auto prediction = golden["prediction"] == "v" ? Prediction::kV : Prediction::kEpsilon;
    Denoiser denoiser(model, table, prediction, guidance);
    CountingNoise noise(noise_of(golden, goldens["noise"], walk));
    StepContext context(noise, settings_of(golden["options"], *row), {}, {});
    const auto result = row->run(denoiser, start_latent(*row, walk, goldens["x"], false), walk, context);

    // Float32 on both sides, but summed in another order; measured 2.2e-5 at most (two steps of an exploding
    // walk).
    EXPECT_TRUE(expect_close(result, goldens[name], {.rel = 5e-5},
                             name + " " + golden["sampler"].dump() + " steps " + golden["steps"].dump() +
                                 golden["options"].dump()));
    EXPECT_EQ(denoiser.calls(), golden["calls"].get<int>()) << name << golden["sampler"];
    if (golden["brownian_seeds"].is_null()) {
      EXPECT_EQ(noise.draws, golden["draws"].get<int>()) << name << golden["sampler"];
    }
  }
  for (const auto& golden : read_json("samplers/few_steps.json", "cases"))  // few_steps_test.cc
    if (golden["sampler"] == "TCD") ++cases_of["TCD"];
  for (const auto& row : sampler_table()) EXPECT_GE(cases_of[row.label], 4) << row.label << " lacks goldens";
}

}  // namespace
}  // namespace lowrank::sampling
