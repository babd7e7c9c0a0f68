// Models of random weights have the parameters of the real ones.
#include "model/random.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "formats/checkpoint/checkpoint.h"
#include "formats/checkpoint/open_clip_names.h"
#include "weights/crafted.h"

namespace lowrank::model {
namespace {

using formats::BaseModel;
using formats::Component;

const nlohmann::json& real_shapes() {
  static const auto shapes = nlohmann::json::parse(std::ifstream(weights::fixture("family-shapes.json")));
  return shapes;
}

std::int64_t elements(const ParameterSpec& parameter) {
  std::int64_t count = 1;
  for (const std::int64_t side : parameter.shape) count *= side;
  return count;
}

// Networks by diffusers and transformers of the dimensions that the publishers state (make_family_shapes.py).
TEST(RandomModels, HaveTheNamesAndShapesOfTheRealFiles) {
  ASSERT_EQ(real_shapes().size(), 4u);
  for (const auto& [family, real] : real_shapes().items()) {
    std::string lines;
    const auto parameters = file_parameters(model_spec(family));
    for (const ParameterSpec& parameter : parameters)
      lines += fmt::format("{} {}\n", parameter.name, fmt::join(parameter.shape, "x"));
    EXPECT_EQ(parameters.size(), real.at("tensors").get<std::size_t>()) << family;
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(lines.data(), lines.size()))),
              real.at("sha256").get<std::string>())
        << family;
  }
}

TEST(RandomModels, HaveAsManyParametersInEachNetworkAsTheRealOnes) {
  for (const auto& [name, real] : real_shapes().items()) {
    const ModelSpec spec = model_spec(name);
    const auto encoders = formats::family(spec.family)->text_encoders;
    std::map<Component, std::int64_t> counted;
    for (const ParameterSpec& parameter : parameter_specs(spec))
      counted[parameter.component] += elements(parameter);
    const auto& published = real.at("parameters");
    EXPECT_EQ(counted.size(), published.size()) << name;
    EXPECT_EQ(counted[Component::kUnet], published.at("U-Net").get<std::int64_t>()) << name;
    EXPECT_EQ(counted[Component::kVae], published.at("VAE").get<std::int64_t>()) << name;
    EXPECT_EQ(counted[encoders[0].component], published.at("text encoder").get<std::int64_t>()) << name;
    if (encoders.size() > 1) {
      EXPECT_EQ(counted[encoders[1].component], published.at("second text encoder").get<std::int64_t>());
    }
  }
  // As published for SDXL.
  EXPECT_EQ(real_shapes().at("sdxl").at("parameters").at("U-Net"), 2'567'463'684);
}

// The file's header, and behind it a hole of the file system where the numbers would lie.
void write_hollow(const std::filesystem::path& path, const std::vector<ParameterSpec>& parameters) {
  nlohmann::ordered_json json;
  json["__metadata__"] = {{"modelspec.prediction_type", "epsilon"}};
  std::int64_t at = 0;
  for (const ParameterSpec& parameter : parameters) {
    const std::int64_t end = at + 2 * elements(parameter);
    json[parameter.name] = {{"dtype", "F16"}, {"shape", parameter.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  const std::string head = json.dump();
  const std::uint64_t length = head.size();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&length), 8) << head;
  std::filesystem::resize_file(path, 8 + length + static_cast<std::uint64_t>(at));
}

TEST(RandomModels, AreReadAsTheirFamilyWithNothingMissingOrLeftOver) {
  for (const auto& [name, family] :
       {std::pair("sd15", BaseModel::kSd1), std::pair("sd2", BaseModel::kSd2),
        std::pair("sdxl", BaseModel::kSdxl), std::pair("sdxl-refiner", BaseModel::kSdxlRefiner)}) {
    const weights::TemporaryFolder folder;
    const ModelSpec spec = model_spec(name);
    write_hollow(folder.path() / "hollow.safetensors", file_parameters(spec));
    const auto checkpoint = formats::open_checkpoint(folder.path() / "hollow.safetensors");
    EXPECT_EQ(checkpoint.base_model, family) << name;
    // SD 2.x's file holds a last layer of the text encoder and a projection that pictures do not need.
    for (const std::string& unused : checkpoint.unused)
      EXPECT_TRUE(family == BaseModel::kSd2 && unused.starts_with("cond_stage_model.model."))
          << name << ": " << unused;
    for (const ParameterSpec& parameter : parameter_specs(spec)) {
      const auto& views = checkpoint[parameter.component];
      const auto view = views.find(parameter.name);
      if (view == views.end()) {
        EXPECT_EQ(family, BaseModel::kSd2) << parameter.name;
        EXPECT_EQ(parameter.component, Component::kTextEncoder) << parameter.name;
      } else {
        EXPECT_EQ(view->second.shape, parameter.shape) << name << " " << parameter.name;
      }
    }
  }
}

TEST(RandomModels, AnUnknownShapeIsRefusedWithTheChoices) {
  try {
    model_spec("sd3");
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_NE(std::string(error.what()).find("sdxl-refiner"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lowrank::model
