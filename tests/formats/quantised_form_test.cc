#include "formats/quantised_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/crafted_models.h"

namespace lowrank::formats {
namespace {

using ::testing::HasSubstr;

struct Stored {
  std::string name;
  DType dtype;
  Shape shape;
  std::string bytes = "";
};

std::shared_ptr<const weights::TensorFile> file_of(const std::filesystem::path& path,
                                                   const std::vector<Stored>& tensors) {
  std::vector<std::string> data;
  std::vector<weights::TensorView> views;
  for (const Stored& tensor : tensors) {
    weights::TensorView view{.name = tensor.name, .dtype = tensor.dtype, .shape = tensor.shape, .bytes = {}};
    const auto size = static_cast<std::size_t>(view.elements()) * weights::item_size(tensor.dtype);
    data.push_back(tensor.bytes.empty() ? std::string(size, '\1') : tensor.bytes);
    views.push_back(std::move(view));
  }
  for (std::size_t i = 0; i < views.size(); ++i) views[i].bytes = weights::as_bytes(data[i]);
  weights::write_safetensors(path, views);
  return weights::TensorFile::open(path);
}

// Keys as the programs write them: bitsandbytes 0.49 and diffusers, optimum-quanto 0.2, torchao 0.14, sdnq 0.2.8,
// ComfyUI 0.4.
TEST(QuantisedForm, IsNamedByItsKeys) {
  const std::string comfy = R"({"format": "int8_blockwise", "group_size": 128})";
  const std::vector<std::pair<std::string, std::vector<Stored>>> forms = {
      {"bitsandbytes nf4",
       {{"a.weight", DType::kU8, {8, 1}},
        {"a.weight.absmax", DType::kF32, {1}},
        {"a.weight.quant_map", DType::kF32, {16}},
        {"a.weight.quant_state.bitsandbytes__nf4", DType::kU8, {80}}}},
      {"bitsandbytes int8", {{"a.weight", DType::kI8, {4, 4}}, {"a.SCB", DType::kF32, {4}}}},
      {"quanto", {{"a.weight._data", DType::kI8, {4, 4}}, {"a.weight._scale", DType::kF32, {4, 1}}}},
      {"torchao", {{"a._weight_qdata", DType::kI8, {4, 4}}, {"a._weight_scale", DType::kF32, {4, 1}}}},
      {"sdnq int8", {{"a.weight", DType::kI8, {4, 4}}, {"a.scale", DType::kF32, {3, 1}}}},  // of other rows
      {"int8", {{"a.weight", DType::kI8, {4, 4}}, {"a.weight_scale", DType::kF32, {4, 1}}}},
      {"sdnq",
       {{"a.weight", DType::kU8, {4, 4}},
        {"a.scale", DType::kF32, {4, 1}},
        {"a.zero_point", DType::kF32, {4, 1}}}},
      {"ComfyUI int8_blockwise",
       {{"a.weight", DType::kI8, {4, 4}},
        {"a.weight_scale", DType::kF32, {1, 1}},
        {"a.comfy_quant", DType::kU8, {static_cast<std::int64_t>(comfy.size())}, comfy}}},
      {"ComfyUI nvfp4",
       {{"a.weight", DType::kU8, {4, 2}},
        {"a.weight_scale", DType::kF8E4M3, {4, 1}},
        {"a.weight_scale_2", DType::kF32, {}}}},
      {"GPTQ or AWQ", {{"a.qweight", DType::kI32, {4, 4}}, {"a.qzeros", DType::kI32, {4, 1}}}},
      {"int8", {{"a.weight", DType::kI8, {4, 4}}}},
  };
  const TemporaryFolder folder;
  int number = 0;
  for (const auto& [form, tensors] : forms) {
    const auto file = file_of(folder.path() / fmt::format("{}.safetensors", number++), tensors);
    EXPECT_EQ(quantised_form(*file, Integers::kAreNone), form);
    const std::string refusal = error_of([&] { refuse_quantised(*file, Integers::kAreNone, "sdnq"); });
    EXPECT_THAT(refusal, HasSubstr("quantised (" + form + "; config.json says sdnq)"));
    EXPECT_THAT(refusal, HasSubstr("16 bits"));
    EXPECT_THAT(refusal, ::testing::Not(HasSubstr("broken")));
  }
}

TEST(QuantisedForm, FloatsAndScaledFloatsAreNone) {
  const TemporaryFolder folder;
  const auto file =
      file_of(folder.path() / "a.safetensors", {{"a.weight", DType::kF8E4M3, {4, 4}},
                                                {"a.scale", DType::kF32, {4, 1}},
                                                {"b.weight", DType::kF8E5M2, {4, 4}},
                                                {"c.weight", DType::kF16, {4, 4}},
                                                {"embeddings.position_ids", DType::kI64, {1, 77}}});
  EXPECT_EQ(quantised_form(*file, Integers::kAreNone), std::nullopt);
}

// A LoRA's factors in 8 bits with their scales are numbers; the same as a model's weights are somebody's format.
TEST(QuantisedForm, FactorsOfALoraMayBeScaledIntegers) {
  const TemporaryFolder folder;
  const auto file = file_of(folder.path() / "a.safetensors", {{"a.lora_down.weight", DType::kI8, {4, 4}},
                                                              {"a.lora_down.scale", DType::kF32, {4, 1}}});
  EXPECT_EQ(quantised_form(*file, Integers::kMayHaveScales), std::nullopt);
}

// A checkpoint that is quantised is whole, but not for us; without a look at its form it lacks "its U-Net".
TEST(QuantisedForm, CheckpointsSayItInsteadOfWhatTheySeemToLack) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  file_of(path,
          {{"model.diffusion_model.input_blocks.0.0._weight_qdata", DType::kI8, {4, 36}},
           {"cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", DType::kF32, {8, 4}},
           {"first_stage_model.decoder.conv_in.weight", DType::kF32, {4, 4, 3, 3}}});
  EXPECT_THAT(error_of([&] { open_checkpoint(path); }), HasSubstr("quantised (torchao)"));
}

}  // namespace
}  // namespace lowrank::formats
