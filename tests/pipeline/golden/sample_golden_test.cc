// Every recorded sampling run of a reference program, repeated with our samplers, guidance and U-Net. The
// folder in LOWRANK_GOLDENS holds NAME.safetensors and NAME-goldens.safetensors of any width and depth.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "pipeline/resident/checkpoint_loader.h"
#include "sampling/run.h"
#include "support/expect_close.h"
#include "support/golden_model.h"

namespace lowrank {
namespace {

using testing::expect_close;
using testing::GoldenModel;

// The U-Net between recorded encodings, without a prompt.
class RecordedConditioning : public sampling::NoiseModel {
 public:
  RecordedConditioning(const model::DiffusionModel& unet, at::Tensor cond, at::Tensor uncond)
      : unet_(unet), cond_(std::move(cond)), uncond_(std::move(uncond)) {}

  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps,
                     std::span<const sampling::BranchRow> rows, int) override {
    std::vector<at::Tensor> contexts;
    for (const auto& row : rows)
      contexts.push_back(row.piece == sampling::BranchRow::kUncond ? uncond_ : cond_);
    return unet_.forward(x, timesteps, {at::cat(contexts)});
  }

 private:
  const model::DiffusionModel& unet_;
  at::Tensor cond_, uncond_;
};

class SampleGolden : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    goldens = new GoldenModel(GoldenModel::open());
    model = new pipeline::LoadedModel(pipeline::load_model(goldens->checkpoint_path()));
  }
  static void TearDownTestSuite() {
    delete model;
    delete goldens;
  }

  static at::Tensor golden(const std::string& key) { return (*goldens)[key]; }
  static std::vector<float> floats(const std::string& key) {
    const at::Tensor t = golden(key).contiguous();
    return {t.data_ptr<float>(), t.data_ptr<float>() + t.numel()};
  }

  static pipeline::LoadedModel* model;
  static GoldenModel* goldens;
};
pipeline::LoadedModel* SampleGolden::model = nullptr;
GoldenModel* SampleGolden::goldens = nullptr;

struct Run {
  const char* sampler;  // A1111's label
  const char* sigmas;   // key of its levels
};

const std::map<std::string, Run>& sigma_runs() {
  static const std::map<std::string, Run> runs = {
      {"sample.euler", {"Euler", "sample.sigmas"}},
      {"sample.euler_ancestral", {"Euler a", "sample.sigmas"}},
      {"sample.heun", {"Heun", "sample.sigmas"}},
      {"sample.dpm_2", {"DPM2", "sample.sigmas"}},
      {"sample.dpm_2_ancestral", {"DPM2 a", "sample.sigmas"}},
      {"sample.lms", {"LMS", "sample.sigmas"}},
      {"sample.dpmpp_2s_ancestral", {"DPM++ 2S a", "sample.sigmas"}},
      {"sample.dpmpp_sde", {"DPM++ SDE", "sample.sigmas"}},
      {"sample.dpmpp_2m", {"DPM++ 2M", "sample.sigmas"}},
      {"sample.dpmpp_2m_sde", {"DPM++ 2M SDE", "sample.sigmas"}},
      {"sample.dpmpp_2m_sde_heun", {"DPM++ 2M SDE Heun", "sample.sigmas"}},
      {"sample.dpmpp_3m_sde", {"DPM++ 3M SDE", "sample.sigmas"}},
      {"sample.dpmpp_2m_karras", {"DPM++ 2M", "sample.sigmas_karras"}},
  };
  return runs;
}

sampling::Guidance guidance(int calls) {
  return {.scale = 7.5, .weights = {{1.0}}, .total_calls = calls};
}

TEST_F(SampleGolden, SigmaSamplersEqualTheReference) {
  const at::NoGradGuard no_grad;
  for (const auto& [key, run] : sigma_runs()) {
    const sampling::SamplerRow* sampler = sampling::find_sampler(run.sampler);
    ASSERT_NE(sampler, nullptr) << run.sampler;
    sampling::Walk walk;
    walk.sigmas = floats(run.sigmas);
    walk.steps = static_cast<int>(walk.sigmas.size()) - 1;
    walk.sigma_max = walk.sigmas.front();
    walk.sigma_min = walk.sigmas[walk.sigmas.size() - 2];
    RecordedConditioning network(*model->network, golden("sample.cond"), golden("sample.uncond"));
    sampling::Denoiser denoiser(network, sampling::NoiseTable::stable_diffusion(),
                                sampling::Prediction::kEpsilon,
                                guidance(sampling::planned_calls(*sampler, walk.steps)));
    const auto noise = sampling::make_recorded_noise(golden("sample.noise"));
    const at::Tensor latent =
        sampling::walk(*sampler, denoiser, golden("sample.x_unit_noise") * walk.sigmas.front(), walk,
                       walk.sigmas, *noise, {});
    EXPECT_TRUE(expect_close(latent, golden(key), {}, key));
  }
}

TEST_F(SampleGolden, DdimEqualsTheReference) {
  const at::NoGradGuard no_grad;
  const sampling::SamplerRow* sampler = sampling::find_sampler("DDIM");
  ASSERT_NE(sampler, nullptr);
  const at::Tensor timesteps = golden("sample.ddim10_timesteps").contiguous();
  sampling::Walk walk;
  // The reference's last step falls to the level of timestep 0; A1111's walk ends one entry earlier.
  walk.timesteps = {0};
  walk.timesteps.insert(walk.timesteps.end(), timesteps.data_ptr<std::int64_t>(),
                        timesteps.data_ptr<std::int64_t>() + timesteps.numel());
  walk.steps = static_cast<int>(walk.timesteps.size());
  RecordedConditioning network(*model->network, golden("sample.cond"), golden("sample.uncond"));
  sampling::Denoiser denoiser(network, sampling::NoiseTable::stable_diffusion(),
                              sampling::Prediction::kEpsilon, guidance(walk.steps));
  const auto noise = sampling::make_recorded_noise(golden("sample.noise"));
  const at::Tensor latent =
      sampling::walk(*sampler, denoiser, golden("sample.x_unit_noise"), walk, {}, *noise, {.eta = 0});
  EXPECT_TRUE(expect_close(latent, golden("sample.ddim10"), {}, "sample.ddim10"));
}

TEST_F(SampleGolden, NamedSchedulesEqualTheReference) {
  const sampling::NoiseTable table = sampling::NoiseTable::stable_diffusion();
  for (const char* name : {"uniform", "karras", "exponential", "polyexponential"}) {
    const std::string key =
        std::string("sample.sigmas") + (name == std::string("uniform") ? "" : "_" + std::string(name));
    const at::Tensor expected = golden(key);
    const auto ours = sampling::make_schedule(*sampling::find_schedule(name), table,
                                              static_cast<int>(expected.numel()) - 1);
    EXPECT_TRUE(expect_close(at::tensor(ours), expected, {}, key));
  }
}

TEST_F(SampleGolden, NoRecordedRunIsLeftOut) {
  std::set<std::string> known = {
      "sample.cond",   "sample.uncond",          "sample.x_unit_noise",       "sample.noise",
      "sample.sigmas", "sample.sigmas_karras",   "sample.sigmas_exponential", "sample.sigmas_polyexponential",
      "sample.ddim10", "sample.ddim10_timesteps"};
  for (const auto& [key, run] : sigma_runs()) known.insert(key);
  for (const auto& view : goldens->goldens->tensors()) {
    if (view.name.starts_with("sample.")) {
      EXPECT_TRUE(known.contains(view.name)) << view.name << " is compared with nothing";
    }
  }
}

}  // namespace
}  // namespace lowrank
