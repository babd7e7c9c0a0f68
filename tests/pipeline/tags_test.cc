// Network tags and embeddings of a prompt, from the words to the picture: what is written either acts or is named.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "pipeline/tiny_session.h"
#include "tensor/state_dict.h"
#include "weights/tensor_file.h"
#include "weights/tensor_writer.h"

namespace lowrank {
namespace {

namespace fs = std::filesystem;
using pipeline::GenerationResult;
using pipeline::Session;
using request::GenerationRequest;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

image::Picture picture_of(Session& session, const std::string& prompt, int steps = 4) {
  request::GenerationRequest request = testing::tiny_request(prompt);
  request.steps = steps;
  return session.generate(request).pictures.at(0).picture;
}

std::vector<std::string> warnings_of(Session& session, const std::string& prompt) {
  return session.generate(testing::tiny_request(prompt)).warnings;
}

int difference(const image::Picture& a, const image::Picture& b) {
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

// A folder of LoRAs and embeddings for one test.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / fmt::format("lowrank-tags-{}", ::getpid())) {
    fs::remove_all(path_);
    fs::create_directories(path_ / "embeddings");
  }
  ~Folder() { fs::remove_all(path_); }

  fs::path embeddings() const { return path_ / "embeddings"; }

  // A LoRA of the fixtures under another name, with an embedding inside.
  void add_bundle(const std::string& name, const std::string& word, const at::Tensor& vectors) {
    const auto file = weights::TensorFile::open(testing::tiny_folder() / "sd15-tiny-lora_attn.safetensors");
    std::vector<weights::TensorView> views(file->tensors().begin(), file->tensors().end());
    weights::TensorView inner{fmt::format("bundle_emb.{}.string_to_param.*", word),
                              weights::DType::kF32,
                              vectors.sizes().vec(),
                              {reinterpret_cast<const std::byte*>(vectors.data_ptr<float>()),
                               static_cast<std::size_t>(vectors.numel()) * sizeof(float)}};
    views.push_back(inner);
    weights::write_safetensors(path_ / (name + ".safetensors"), views, {});
  }

  Session session() const {
    pipeline::Resources resources = testing::tiny_resources();
    resources.lora = [path = path_, others = resources.lora](const std::string& name) -> fs::path {
      const fs::path own = path / (name + ".safetensors");
      return fs::exists(own) ? own : others(name);
    };
    resources.embeddings = embeddings();
    return Session(std::move(resources),
                   {.threads = 1, .version = "LowRank test", .packed_cache = {}, .int8 = false});
  }

 private:
  fs::path path_;
};

at::Tensor some_vectors(std::int64_t count, std::int64_t width = 64) {
  return (at::arange(count * width, at::kFloat).remainder(7) - 3).reshape({count, width}).div(8).contiguous();
}

// ── prompt editing around a tag ──

TEST(TagsInEditing, ActWhileAWordInTheirPlaceWouldBeThere) {
  Session session = testing::tiny_session();
  for (const char* lora : {"lora_attn", "lora_te"}) {
    const auto tag = [&](const char* form) {
      return fmt::format(fmt::runtime(form), fmt::format("<lora:{}:1>", lora));
    };
    const auto without = picture_of(session, "a fox"), with = picture_of(session, tag("a fox {}"));
    ASSERT_GT(difference(without, with), 0) << lora;
    EXPECT_EQ(picture_of(session, tag("a fox [{}:0]")), with) << lora;
    EXPECT_EQ(picture_of(session, tag("a fox [{}::0]")), without) << lora;
    EXPECT_EQ(picture_of(session, tag("a fox [{}:99]")), without) << lora;
    EXPECT_EQ(picture_of(session, tag("a fox [{0}:{0}:0.5]")), with) << lora;
    EXPECT_EQ(picture_of(session, tag("a fox [{0}|{0}]")), with) << lora;
    const auto first_half = picture_of(session, tag("a fox [{}::0.5]")),
               second_half = picture_of(session, tag("a fox [{}:0.5]"));
    EXPECT_GT(difference(first_half, without), 0) << lora;
    EXPECT_GT(difference(first_half, with), 0) << lora;
    EXPECT_GT(difference(second_half, without), 0) << lora;
    EXPECT_GT(difference(second_half, first_half), 0) << lora;
    EXPECT_EQ(picture_of(session, "a fox"), without) << lora;  // nothing is left behind
  }
}

// Of a LoRA of the U-Net alone the same can be said with start= and stop=, which count sampling steps.
TEST(TagsInEditing, EqualTheBlockWeightExtensionsStartAndStop) {
  Session session = testing::tiny_session();
  // Of four calls the entry that ends at step 2 has the first three.
  EXPECT_EQ(picture_of(session, "a fox [<lora:lora_attn:1>::0.5]"),
            picture_of(session, "a fox <lora:lora_attn:1:stop=4>"));
  EXPECT_EQ(picture_of(session, "a fox [<lora:lora_attn:1>:0.5]"),
            picture_of(session, "a fox <lora:lora_attn:1:start=4>"));
}

// Text and LoRA change over together, and no text is encoded under a set that it is not read with.
TEST(TagsInEditing, ATextIsEncodedUnderTheLorasOfItsTime) {
  Session session = testing::tiny_session();
  const std::string editing = "a [cat <lora:lora_te:4>:dog:0.5]";
  const auto before = session.residents().text_encodings();
  const auto picture = picture_of(session, editing, 10);
  // "cat" with the LoRA, "dog" without, and the negative prompt under both.
  EXPECT_EQ(session.residents().text_encodings() - before, 4);
  EXPECT_GT(difference(picture, picture_of(session, "a [cat:dog:0.5]", 10)), 0);
  EXPECT_GT(difference(picture, picture_of(session, "a [cat:dog:0.5] <lora:lora_te:4>", 10)), 0);
  // Of two calls both are the first entry's, so nothing of the second half is seen.
  EXPECT_LE(difference(picture_of(session, editing, 2), picture_of(session, "a cat <lora:lora_te:4>", 2)), 1);
}

// ── the same LoRA twice ──

TEST(TagsTwice, WeightsOfOneLoraAddUp) {
  Session session = testing::tiny_session();
  for (const char* lora : {"lora_attn", "lora_te", "locon_all"}) {
    const auto twice =
        session.generate(testing::tiny_request(fmt::format("a fox <lora:{0}:0.5><lora:{0}:0.25>", lora)));
    const auto once = session.generate(testing::tiny_request(fmt::format("a fox <lora:{}:0.75>", lora)));
    const auto half = session.generate(testing::tiny_request(fmt::format("a fox <lora:{}:0.5>", lora)));
    EXPECT_EQ(twice.pictures[0].picture, once.pictures[0].picture) << lora;
    EXPECT_GT(difference(twice.pictures[0].picture, half.pictures[0].picture), 1) << lora;
    ASSERT_EQ(twice.loras.size(), 2u) << lora;
    EXPECT_EQ(twice.loras[0].unet.weight, 0.5);
    EXPECT_EQ(twice.loras[1].unet.weight, 0.25);
  }
}

// ── what does not act is named ──

TEST(TagsWithoutEffect, AreNamedInTheResult) {
  Session session = testing::tiny_session();
  EXPECT_THAT(warnings_of(session, "a fox <hypernet:x:1>"),
              ElementsAre(HasSubstr("hypernetworks are not supported")));
  EXPECT_THAT(warnings_of(session, "a fox < lora:lora_attn:1>"),
              ElementsAre(HasSubstr("'< lora:lora_attn:1>'")));
  EXPECT_THAT(warnings_of(session, "a fox # <lora:lora_attn:1>"), ElementsAre(HasSubstr("comment")));
  EXPECT_THAT(warnings_of(session, "a fox {<lora:lora_attn:1>|<lora:lora_attn:0.5>}"),
              Contains(HasSubstr("braces")));
  EXPECT_THAT(warnings_of(session, "a fox <lora:lora_attn:1>"), IsEmpty());
}

TEST(TagsWithoutEffect, AWeightBeyondFloatsIsAnErrorInWords) {
  Session session = testing::tiny_session();
  for (const char* weight : {"1e39", "-1e39", "1:1e300", "1e7"}) {
    try {
      session.generate(testing::tiny_request(fmt::format("a fox <lora:lora_attn:{}>", weight)));
      ADD_FAILURE() << weight << " was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), kBadInput);
      EXPECT_THAT(error.what(), HasSubstr("the weight exceeds"));
    }
  }
}

// ── embeddings ──

TEST(EmbeddingsInPrompts, ThoseThatCannotBeUsedAreNamedWhereThePromptNamesThem) {
  const Folder folder;
  tensor::save_state_dict(folder.embeddings() / "wideone.safetensors", {{"emb_params", at::ones({3, 768})}});
  std::ofstream(folder.embeddings() / "junkone.pt") << "nothing of the kind";
  std::ofstream(folder.embeddings() / "pointerone.safetensors")
      << "version https://git-lfs.github.com/spec/v1\n";
  std::ofstream(folder.embeddings() / "pictureone.png") << "x";
  std::ofstream(folder.embeddings() / "goodone.preview.png") << "x";
  tensor::save_state_dict(folder.embeddings() / "goodone.safetensors", {{"emb_params", some_vectors(2)}});
  Session session = folder.session();
  EXPECT_THAT(warnings_of(session, "a fox, goodone"), IsEmpty());
  const auto warnings = warnings_of(session, "a fox, WideOne, (junkone:1.1), pointerone, pictureone");
  EXPECT_THAT(warnings, Contains(HasSubstr("768")));
  EXPECT_THAT(warnings, Contains(HasSubstr("'junkone' cannot be used")));
  EXPECT_THAT(warnings, Contains(HasSubstr("git-lfs pointer")));
  EXPECT_THAT(warnings, Contains(HasSubstr("inside a picture")));
  EXPECT_EQ(warnings.size(), 4u);
}

// A1111 looks for new files before each picture, too.
TEST(EmbeddingsInPrompts, AFileThatComesOrChangesLaterActs) {
  const Folder folder;
  Session session = folder.session();
  const auto word = picture_of(session, "a zorbo fox");
  tensor::save_state_dict(folder.embeddings() / "zorbo.safetensors", {{"emb_params", some_vectors(2)}});
  const auto first = picture_of(session, "a zorbo fox");
  EXPECT_GT(difference(word, first), 0);
  tensor::save_state_dict(folder.embeddings() / "zorbo.safetensors", {{"emb_params", some_vectors(3)}});
  EXPECT_GT(difference(picture_of(session, "a zorbo fox"), first), 0);
  fs::remove(folder.embeddings() / "zorbo.safetensors");
  EXPECT_EQ(picture_of(session, "a zorbo fox"), word);
}

TEST(EmbeddingsInPrompts, OneInsideALoraActsAsItsFileWould) {
  Folder folder;
  const at::Tensor vectors = some_vectors(2);
  folder.add_bundle("bundled", "zorbo", vectors);
  Session session = folder.session();
  const auto inside = session.generate(testing::tiny_request("a zorbo fox <lora:bundled:0.5>"));
  EXPECT_THAT(inside.warnings, IsEmpty());
  EXPECT_EQ(inside.loras.at(0).keys_unknown + inside.loras.at(0).keys_skipped, 0);
  EXPECT_EQ(inside.loras.at(0).keys_applied, inside.loras.at(0).keys_total);
  EXPECT_THAT(inside.pictures[0].metadata, Not(HasSubstr("TI hashes")));
  // Without the LoRA the name is a word, and with another LoRA too.
  const auto word = picture_of(session, "a zorbo fox <lora:lora_attn:0.5>", 3);
  EXPECT_GT(difference(word, inside.pictures[0].picture), 0);

  tensor::save_state_dict(folder.embeddings() / "zorbo.safetensors", {{"emb_params", vectors}});
  Session with_file = folder.session();
  EXPECT_EQ(picture_of(with_file, "a zorbo fox <lora:lora_attn:0.5>", 3), inside.pictures[0].picture);
  // The user's own file of the name wins.
  tensor::save_state_dict(folder.embeddings() / "zorbo.safetensors", {{"emb_params", vectors * -1}});
  Session with_other = folder.session();
  EXPECT_GT(
      difference(picture_of(with_other, "a zorbo fox <lora:bundled:0.5>", 3), inside.pictures[0].picture), 0);
}

TEST(EmbeddingsInPrompts, OneInsideALoraOfAnotherWidthIsSkippedWithTheReason) {
  Folder folder;
  folder.add_bundle("wide", "zorbo", some_vectors(1, 768));
  Session session = folder.session();
  const auto result = session.generate(testing::tiny_request("a zorbo fox <lora:wide:0.5>"));
  const auto& report = result.loras.at(0);
  EXPECT_EQ(report.keys_skipped, 1);
  EXPECT_EQ(report.keys_applied + report.keys_skipped + report.keys_unknown, report.keys_total);
  EXPECT_THAT(report.skipped.at(0).reason, HasSubstr("vectors 768 wide"));
}

}  // namespace
}  // namespace lowrank
