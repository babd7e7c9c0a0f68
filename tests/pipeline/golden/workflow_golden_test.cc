// img2img, inpainting, hires fix, refiner and tiling against pictures made by diffusers, k-diffusion and the
// web UI's rules (tools/fixtures/make_workflow_goldens.py).
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "image/codec/codec.h"
#include "pipeline/tiny_session.h"
#include "request/field_table.h"
#include "support/expect_close.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using request::GenerationRequest;

const fs::path kFixtures = LOWRANK_TEST_FIXTURES;

// The tiny model's two variants, as the script describes them.
class Models {
 public:
  Models() : folder_(fs::temp_directory_path() / ("lowrank-workflow-test-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    const auto file = weights::TensorFile::open(testing::tiny_folder() / "sd15-tiny.safetensors");
    tensor::StateDict state;
    for (const auto& view : file->tensors()) state.emplace(view.name, tensor::as_tensor(view, file));
    tensor::StateDict other = state;
    for (const char* key : {"model.diffusion_model.out.2.weight", "model.diffusion_model.out.2.bias",
                            "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"})
      other.at(key) = other.at(key) * 0.5;
    tensor::save_state_dict(path("other"), other);
    auto& first = state.at("model.diffusion_model.input_blocks.0.0.weight");
    const at::Tensor i = at::arange(first.size(0) * 5 * 9, at::kDouble);
    const at::Tensor more = (at::sin(i * 0.37 + 1) * 0.05).to(at::kHalf).view({first.size(0), 5, 3, 3});
    first = at::cat({first, more}, 1);
    tensor::save_state_dict(path("inpainting"), state);
  }
  ~Models() { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / (name + ".safetensors")).string(); }

 private:
  fs::path folder_;
};

class Workflow : public ::testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    models = new Models();
    auto resources = testing::tiny_resources();
    resources.checkpoint = [](const std::string& name) -> fs::path {
      return name.empty() || name == "tiny" ? testing::tiny_folder() / "sd15-tiny.safetensors"
                                            : fs::path(models->path(name));
    };
    resources.upscalers = [] { return std::vector<fs::path>{kFixtures / "upscalers/old-4x.pth"}; };
    session = new pipeline::Session(resources, {.threads = 1, .version = "LowRank test"});
  }
  static void TearDownTestSuite() {
    delete session;
    delete models;
  }
  static Models* models;
  static pipeline::Session* session;
};
Models* Workflow::models = nullptr;
pipeline::Session* Workflow::session = nullptr;

nlohmann::ordered_json all_cases() {
  std::ifstream file(kFixtures / "workflow/cases.json");
  return nlohmann::ordered_json::parse(file);
}

std::vector<std::string> names() {
  std::vector<std::string> names;
  const auto cases = all_cases();
  for (const auto& [name, value] : cases.items()) names.push_back(name);
  return names;
}

request::GenerationRequest request_of(const nlohmann::ordered_json& json) {
  request::GenerationRequest request;
  for (const auto& [key, value] : json.items()) {
    const fs::path pictures = kFixtures / "image/masking";
    if (key == "kind") continue;
    if (key == "init") {
      request.init_images = {image::load_picture(pictures / value.get<std::string>())};
    } else if (key == "mask") {
      request.mask = image::load_mask(pictures / value.get<std::string>());
    } else {
      const std::string api = key == "negative"  ? "negative_prompt"
                              : key == "sampler" ? "sampler_name"
                              : key == "model"   ? "sd_model_checkpoint"
                              : key == "refiner" ? "refiner_checkpoint"
                                                 : key;
      const auto* row = request::field_by_api(api);
      if (row == nullptr) throw Error(kInternal, "no field {}", key);
      request::set_field(request, *row, value.is_string() ? value.get<std::string>() : value.dump(), key);
    }
  }
  if (request.checkpoint.empty()) request.checkpoint = "tiny";
  request.rng = "NV";
  return request;
}

// The latents tell right from wrong: a random model's pictures hardly depend on them. Float32 sums in another
// order move a pixel by less than one level, so the cut to 8 bits may fall one level lower.
TEST_P(Workflow, EqualsTheReference) {
  const request::GenerationRequest request = request_of(all_cases().at(GetParam()));
  at::Tensor latents;
  pipeline::Listener listener;
  listener.on_latents = [&](const at::Tensor& z) { latents = z.clone(); };
  const auto result = session->generate(request, listener);
  const auto goldens = weights::TensorFile::open(kFixtures / "workflow/latents.safetensors");
  // An upscaler model's picture is cut to 8 bits and encoded again: one pixel that falls to the next level moves the
  // latents further than sums in another order do.
  const double tolerance = GetParam() == "hires-model" ? 1e-3 : 2e-4;
  EXPECT_TRUE(testing::expect_close(latents, tensor::as_tensor(*goldens->find(GetParam()), goldens),
                                    {.rel = tolerance}));
  ASSERT_EQ(static_cast<int>(result.pictures.size()), request.batch_size);
  for (std::size_t i = 0; i < result.pictures.size(); ++i) {
    const auto golden =
        image::load_picture(kFixtures / "workflow" / (GetParam() + "-" + std::to_string(i) + ".png"));
    const auto& ours = result.pictures[i].picture;
    ASSERT_EQ(ours.width, golden.width);
    ASSERT_EQ(ours.height, golden.height);
    int largest = 0;
    for (std::size_t k = 0; k < ours.rgb.size(); ++k)
      largest = std::max(largest, std::abs(ours.rgb[k] - golden.rgb[k]));
    EXPECT_LE(largest, 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, Workflow, ::testing::ValuesIn(names()), [](const auto& parameter) {
  std::string name = parameter.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace lowrank
