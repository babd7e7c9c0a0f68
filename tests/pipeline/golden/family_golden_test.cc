// Every family's text encoders, U-Net, autoencoder, conditioning and sampling runs against references of independent
// programs (tests/fixtures/README.md). The folder in LOWRANK_GOLDENS holds a model of any family, width and depth; a golden
// key that no check asks for fails the test.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "pipeline/generate/size_vectors.h"
#include "pipeline/pictures/latent_picture.h"
#include "pipeline/resident/checkpoint_loader.h"
#include "sampling/run.h"
#include "support/expect_close.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"

namespace lowrank {
namespace {

using formats::SizeConditioning;
using testing::expect_close;
using testing::GoldenModel;

// The network between recorded encodings, without a prompt.
class RecordedConditioning : public sampling::NoiseModel {
 public:
  RecordedConditioning(const model::DiffusionModel& network, model::Conditioning cond,
                       model::Conditioning uncond)
      : network_(network), cond_(std::move(cond)), uncond_(std::move(uncond)) {}

  at::Tensor predict(const at::Tensor& x, const at::Tensor& timesteps,
                     std::span<const sampling::BranchRow> rows, int) override {
    std::vector<at::Tensor> texts, vectors;
    for (const auto& row : rows) {
      const auto& side = row.piece == sampling::BranchRow::kUncond ? uncond_ : cond_;
      texts.push_back(side.text);
      if (side.vector.defined()) vectors.push_back(side.vector);
    }
    return network_.forward(x, timesteps,
                            {at::cat(texts), vectors.empty() ? at::Tensor() : at::cat(vectors)});
  }

 private:
  const model::DiffusionModel& network_;
  model::Conditioning cond_, uncond_;
};

// Of the families after SD 1.x, whose own tests know its goldens' other names.
class FamilyGolden : public ::testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override {
    if (!golden_.has("config.open_clip_heads")) GTEST_SKIP() << "SD 1.x has tests of its own";
    golden_.write_stated(folder_.path() / "model.safetensors");
    model_.emplace(pipeline::load_model(folder_.path() / "model.safetensors"));
  }

  bool has(const std::string& key) const { return golden_.has(key); }
  at::Tensor golden(const std::string& key) {
    asked_.insert(key);
    return golden_[key];
  }
  at::Tensor golden_or_none(const std::string& key) { return has(key) ? golden(key) : at::Tensor(); }
  void compare(const at::Tensor& ours, const std::string& key, double tolerance = 1e-3) {
    if (has(key)) {
      EXPECT_TRUE(expect_close(ours, golden(key), {.rel = tolerance}, key));
    }
  }

  static std::string name_of(const model::TextEncoder& encoder) {
    return encoder.row().kind == formats::TextEncoderKind::kOpenClip ? "open_clip" : "clip_l";
  }
  // The encodings of `prefix`'s ids, side by side as the network reads them.
  at::Tensor contexts(const std::string& prefix, at::Tensor& pooled) {
    std::vector<at::Tensor> sides;
    for (const auto& encoder : model_->text_encoders) {
      const auto output = encoder->read(golden(prefix + name_of(*encoder) + ".input_ids"));
      sides.push_back(output.hidden);
      if (output.pooled.defined()) pooled = output.pooled;
    }
    return at::cat(sides, -1);
  }
  model::Conditioning recorded(const std::string& text, const std::string& vector) {
    return {golden(text), golden_or_none(vector)};
  }

  void check_text();
  void check_size_vectors();
  void check_network();
  void check_autoencoder();
  void check_runs();
  void check_run(const std::string& run, const sampling::NoiseTable& table, sampling::Prediction prediction,
                 double tolerance);

  GoldenModel golden_ = GoldenModel::open(GetParam());
  testing::TemporaryFolder folder_;
  std::optional<pipeline::LoadedModel> model_;
  std::set<std::string> asked_;
  at::NoGradGuard no_grad_;
};

void FamilyGolden::check_text() {
  for (const auto& encoder : model_->text_encoders) {
    const std::string name = name_of(*encoder) + ".";
    const at::Tensor ids = golden(name + "input_ids");
    compare(encoder->hidden(ids, 1), name + "hidden_1");
    const at::Tensor before_last = encoder->hidden(ids, encoder->depth() - 1);
    compare(before_last, name + "penultimate");
    compare(encoder->normed(before_last), name + "penultimate_normed");
    compare(encoder->normed(encoder->hidden(ids, encoder->depth())), name + "last_hidden_normed");
    const auto read = encoder->read(ids);
    EXPECT_TRUE(has(name + "penultimate") || has(name + "penultimate_normed"));
    compare(read.hidden, name + (has(name + "penultimate") ? "penultimate" : "penultimate_normed"));
    compare(read.pooled, name + "pooled");
    // With CLIP skip the layer is counted from the last one, which the web UI reads without the norm.
    if (encoder->row().layer == formats::TextLayer::kPenultimate) {
      compare(encoder->normed(encoder->read(ids, 1).hidden), name + "last_hidden_normed");
      compare(encoder->read(ids, 2).hidden, name + "penultimate");
    }
  }
  at::Tensor pooled;
  compare(contexts("", pooled), "text.context");
  const at::Tensor chunks = contexts("text2.", pooled);  // of one prompt, to be laid end to end
  compare(chunks.reshape({1, chunks.size(0) * chunks.size(1), chunks.size(2)}), "text2.context");
  if (pooled.defined()) compare(pooled.narrow(0, 0, 1), "text2.pooled");
}

void FamilyGolden::check_size_vectors() {
  const SizeConditioning kind = model_->family().size_conditioning;
  if (kind == SizeConditioning::kNone) return;
  const at::Tensor pooled = golden("adm.pooled"), original = golden("adm.original_size"),
                   crop = golden("adm.crop"), target = golden_or_none("adm.target_size"),
                   score = golden_or_none("adm.aesthetic_score");
  std::vector<at::Tensor> rows;
  for (std::int64_t i = 0; i < pooled.size(0); ++i) {
    const auto number = [&](const at::Tensor& t, std::int64_t place) {
      return t.defined() ? t[i][place].item<double>() : 0;
    };
    const pipeline::PictureSize size{.original_height = number(original, 0),
                                     .original_width = number(original, 1),
                                     .crop_top = number(crop, 0),
                                     .crop_left = number(crop, 1),
                                     .target_height = number(target, 0),
                                     .target_width = number(target, 1),
                                     .aesthetic_score = score.defined() ? score[i].item<double>() : 0};
    rows.push_back(at::cat({pooled[i], pipeline::size_vectors(kind, size).prompt}));
  }
  compare(at::stack(rows), "adm.vector");
}

void FamilyGolden::check_network() {
  for (const std::string run : {"unet.a.", "unet.b.", "unet.c."}) {
    const auto eps =
        model_->network->forward(golden(run + "x"), golden(run + "t"), recorded(run + "context", run + "y"),
                                 [&](std::string_view block, const at::Tensor& output) {
                                   compare(output, run + "block." + std::string(block));
                                 });
    compare(eps, run + "eps");
  }
}

void FamilyGolden::check_autoencoder() {
  compare(model_->vae->decode(golden("vae.z")), "vae.decoded");
  compare(model_->vae->encode_moments(golden("vae.image")), "vae.moments");
  EXPECT_NEAR(model_->latent_scale, golden("vae.scale_factor").item<double>(), 1e-6);
}

void FamilyGolden::check_run(const std::string& run, const sampling::NoiseTable& table,
                             sampling::Prediction prediction, double tolerance) {
  const sampling::SamplerRow& euler = *sampling::find_sampler("Euler");
  const at::Tensor levels = golden(run + "sigmas").contiguous();
  sampling::Walk walk;
  walk.sigmas.assign(levels.data_ptr<float>(), levels.data_ptr<float>() + levels.numel());
  walk.steps = static_cast<int>(walk.sigmas.size()) - 1;
  walk.sigma_max = walk.sigmas.front();
  walk.sigma_min = walk.sigmas[walk.sigmas.size() - 2];
  RecordedConditioning network(*model_->network, recorded("sample.cond", "sample.cond_y"),
                               recorded("sample.uncond", "sample.uncond_y"));
  sampling::Denoiser denoiser(
      network, table, prediction,
      {.scale = golden("sample.cfg").item<double>(), .weights = {{1.0}}, .total_calls = walk.steps});
  const at::Tensor start = golden("sample.x_unit_noise") * walk.sigmas.front();
  // Euler draws noise at each step and adds none of it.
  const auto noise =
      sampling::make_recorded_noise(at::zeros_like(start).unsqueeze(0).repeat({8, 1, 1, 1, 1}));
  const at::Tensor end = sampling::walk(euler, denoiser, start, walk, walk.sigmas, *noise, {});
  compare(end, run + "euler", tolerance);
  compare(end, run + "euler_float64", tolerance);
  EXPECT_TRUE(expect_close(end, golden(run + "euler_steps")[-1], {.rel = tolerance}, run + "euler_steps"));
  compare(model_->vae->decode(end / model_->latent_scale), run + "image", tolerance);
}

void FamilyGolden::check_runs() {
  const auto table = sampling::NoiseTable::stable_diffusion();
  check_run("sample.", table, model_->prediction, 1e-3);
  if (!has("vpred.alphas_cumprod")) return;
  // The same inputs as of a v-prediction model with zero terminal SNR, ill-conditioned in float32.
  const auto zero = table.zero_terminal_snr();
  const auto alphas = zero.alphas_cumprod();
  compare(at::tensor(std::vector<float>(alphas.begin(), alphas.end())), "vpred.alphas_cumprod", 1e-6);
  check_run("vpred.", zero, sampling::Prediction::kV, 2e-3);
}

TEST_P(FamilyGolden, EqualsItsReferencesInEveryPart) {
  check_text();
  check_size_vectors();
  check_network();
  check_autoencoder();
  check_runs();
  for (const auto& view : golden_.goldens->tensors()) {
    const bool is_elsewhere = view.name.starts_with("lora.") || view.name.starts_with("config.");
    EXPECT_TRUE(is_elsewhere || asked_.contains(view.name)) << "nothing checks the golden " << view.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, FamilyGolden, ::testing::ValuesIn(GoldenModel::folders()),
                         [](const auto& set) { return GoldenModel::test_name(set.param); });

}  // namespace
}  // namespace lowrank
