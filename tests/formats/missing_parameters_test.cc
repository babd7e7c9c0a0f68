#include "formats/checkpoint/missing_parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

void remove_all(ParameterViews& views, std::string_view prefix) {
  std::erase_if(views, [&](const auto& item) { return item.first.starts_with(prefix); });
}

TEST(MissingParameters, AWholeModelLacksNone) {
  const auto checkpoint = open_checkpoint(tiny_model());
  EXPECT_THAT(missing_parameters(Component::kUnet, checkpoint[Component::kUnet]), IsEmpty());
  EXPECT_THAT(missing_parameters(Component::kTextEncoder, checkpoint[Component::kTextEncoder]), IsEmpty());
  EXPECT_THAT(missing_parameters(Component::kVae, checkpoint[Component::kVae]), IsEmpty());
}

// Each parameter of the network alone, except the ends of lists that may be shorter.
TEST(MissingParameters, EveryMissingBiasAndWeightIsNoticed) {
  const auto checkpoint = open_checkpoint(tiny_model());
  for (const auto& [component, views] :
       {std::pair(Component::kUnet, &checkpoint[Component::kUnet]),
        std::pair(Component::kTextEncoder, &checkpoint[Component::kTextEncoder]),
        std::pair(Component::kVae, &checkpoint[Component::kVae])}) {
    for (const auto& [name, view] : *views) {
      const bool has_partner = !name.starts_with("embeddings.") && name.find(".to_q.") == std::string::npos &&
                               name.find(".to_k.") == std::string::npos &&
                               name.find(".to_v.") == std::string::npos;
      if (!has_partner) continue;
      auto rest = *views;
      rest.erase(name);
      EXPECT_THAT(missing_parameters(component, rest), ::testing::Contains(name));
    }
  }
}

// Networks are built from what is there: without these rules each of these would draw as a smaller one.
TEST(MissingParameters, BlocksThatAreMissingAreNoticed) {
  const auto checkpoint = open_checkpoint(tiny_model());
  for (const char* part : {"input_blocks.1.0.", "input_blocks.1.1.", "output_blocks.1.1.", "middle_block.0.",
                           "middle_block.1.", "middle_block.2.", "input_blocks.2."}) {
    auto rest = checkpoint[Component::kUnet];
    remove_all(rest, part);
    if (rest.size() == checkpoint[Component::kUnet].size()) continue;  // the tiny model has no such block
    EXPECT_FALSE(missing_parameters(Component::kUnet, rest).empty()) << part;
  }
  auto text = checkpoint[Component::kTextEncoder];
  remove_all(text, "encoder.layers.1.");
  EXPECT_THAT(missing_parameters(Component::kTextEncoder, text), ElementsAre("encoder.layers.1.*"));
}

TEST(MissingParameters, ACheckpointWithoutBiasesIsRefusedInWords) {
  const auto file = weights::TensorFile::open(tiny_model());
  std::vector<weights::TensorView> rest;
  std::size_t left_out = 0;
  for (const auto& view : file->tensors()) {
    const bool goes =
        view.name.starts_with("model.diffusion_model.output_blocks.") && view.name.ends_with("norm.bias");
    left_out += goes;
    if (!goes) rest.push_back(view);
  }
  ASSERT_GT(left_out, 1u);
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  weights::write_safetensors(path, rest, file->metadata());
  const std::string refusal = error_of([&] { open_checkpoint(path); });
  EXPECT_THAT(refusal, HasSubstr(fmt::format("the U-Net lacks {} of its parameters", left_out)));
  EXPECT_THAT(refusal, HasSubstr("norm.bias'"));
}

}  // namespace
}  // namespace lowrank::formats
