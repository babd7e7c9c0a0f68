// The session as a whole: what must not change a picture, and what must.
#include "pipeline/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stop_token>
#include <utility>

#include "model/ops/ops.h"
#include "pipeline/tiny_session.h"
#include "request/metadata.h"
#include "sampling/sampler_table.h"

namespace lowrank {
namespace {

using pipeline::GenerationResult;
using pipeline::Session;
using request::GenerationRequest;
using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using testing::tiny_request;
using testing::tiny_session;

int largest_difference(const image::Picture& a, const image::Picture& b) {
  int largest = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i) largest = std::max(largest, std::abs(a.rgb[i] - b.rgb[i]));
  return largest;
}

image::Picture only_picture(Session& session, const request::GenerationRequest& request) {
  return session.generate(request).pictures.at(0).picture;
}

TEST(Session, SameSeedTwiceGivesTheSameBytes) {
  Session session = tiny_session();
  const request::GenerationRequest request = tiny_request();
  EXPECT_EQ(only_picture(session, request), only_picture(session, request));
}

TEST(Session, ThreadCountDoesNotChangeAByte) {
  const request::GenerationRequest request = tiny_request("a (fox:1.3) <lora:locon_all:0.7>");
  Session two = tiny_session(2);
  const image::Picture with_two = only_picture(two, request);
  Session one = tiny_session(1);
  EXPECT_EQ(with_two, only_picture(one, request));
}

// Sides whose maps are of all sizes at which another form of a convolution may be the cheapest; with a LoRA on
// convolutions, with guidance and without.
TEST(Session, ABatchEqualsItsPicturesMadeAloneByteForByte) {
  Session session = tiny_session();
  for (const int side : {64, 72, 128}) {
    for (const double cfg : {1.0, 7.0}) {
      for (const int size : {2, 4}) {
        request::GenerationRequest request = tiny_request("a (fox:1.2) <lora:locon_all:0.7>");
        request.sampler = "Euler a";
        request.width = side;
        request.height = side == 72 ? 104 : side;
        request.cfg_scale = request::Decimal(cfg);
        request.batch_size = size;
        const GenerationResult batch = session.generate(request);
        ASSERT_EQ(batch.pictures.size(), static_cast<std::size_t>(size));
        request.batch_size = 1;
        for (const auto& together : batch.pictures) {
          request.seed = static_cast<std::int64_t>(together.seed);
          EXPECT_EQ(together.picture, only_picture(session, request))
              << side << " pixels, CFG " << cfg << ", batch of " << size << ", seed " << request.seed;
        }
      }
    }
  }
}

TEST(Session, BatchesContinueTheSeeds) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  request.batch_count = 2;
  const GenerationResult result = session.generate(request);
  request.batch_count = 1;
  request.seed = 43;
  EXPECT_EQ(result.pictures.at(1).seed, 43u);
  EXPECT_EQ(result.pictures.at(1).picture, only_picture(session, request));
}

TEST(Session, AnyHistoryOfLorasLeavesThePictureAsItWas) {
  Session session = tiny_session();
  const image::Picture before = only_picture(session, tiny_request());
  for (const char* prompt :
       {"a fox <lora:lora_attn:1>", "a fox <lora:loha_attn:0.5><lora:lora_te:1>",
        "a fox <lora:full_attn:-1><lora:lora_attn:0.3:0.9>", "a fox <lora:lora_attn:1:stop=2>"})
    EXPECT_NE(before, only_picture(session, tiny_request(prompt))) << prompt;
  EXPECT_EQ(before, only_picture(session, tiny_request()));
}

TEST(Session, EveryLoraIsReported) {
  Session session = tiny_session();
  const GenerationResult result = session.generate(tiny_request("a fox <lora:lora_attn:0.8><lora:lora_te>"));
  ASSERT_EQ(result.loras.size(), 2u);
  for (const auto& report : result.loras) {
    EXPECT_EQ(report.keys_applied + report.keys_skipped + report.keys_unknown, report.keys_total);
    EXPECT_GT(report.keys_applied, 0);
    EXPECT_TRUE(report.measured);
  }
  EXPECT_THAT(result.pictures[0].metadata, HasSubstr("Lora hashes: \"lora_attn: "));
}

TEST(Session, GuidanceOneRunsTheUnetOncePerCall) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  request.sampler = "Euler";
  request.cfg_scale = 1;
  EXPECT_EQ(session.generate(request).unet_passes, 3);
  request.cfg_scale = 7;  // cond and uncond are equally long: one pass holds both
  EXPECT_EQ(session.generate(request).unet_passes, 3);
  for (int i = 0; i < 80; ++i) request.prompt += " fox";  // two chunks against one
  EXPECT_EQ(session.generate(request).unet_passes, 6);
  request.pad_conds = true;
  const GenerationResult padded = session.generate(request);
  EXPECT_EQ(padded.unet_passes, 3);
  EXPECT_THAT(padded.pictures[0].metadata, HasSubstr("Pad conds: True"));
}

TEST(Session, ShortcutsChangeThePictureAndAreTold) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  const image::Picture exact = only_picture(session, request);
  request.step_cache = 2;
  const GenerationResult cached = session.generate(request);
  EXPECT_NE(cached.pictures[0].picture, exact);
  EXPECT_THAT(cached.pictures[0].metadata, HasSubstr("Step cache: 2"));
  request.step_cache = 1;
  request.token_merging_ratio = 0.5;
  const GenerationResult merged = session.generate(request);
  EXPECT_NE(merged.pictures[0].picture, exact);
  EXPECT_THAT(merged.pictures[0].metadata, HasSubstr("Token merging ratio: 0.5"));
  request.token_merging_ratio = 0;
  EXPECT_EQ(only_picture(session, request), exact);
}

TEST(Session, Bfloat16ChangesLittleAndOnlyWhereItIsAsked) {
  if (!model::ops::multiplies_bfloat16()) GTEST_SKIP() << "no products of bfloat16 here";
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  request.prompt = "a fox <lora:lora_attn:1>";
  const image::Picture exact = only_picture(session, request);
  request.precision = "bf16";
  const GenerationResult rounded = session.generate(request);
  EXPECT_THAT(rounded.pictures[0].metadata, HasSubstr("Precision: bf16"));
  const auto& pixels = rounded.pictures[0].picture.rgb;
  ASSERT_EQ(pixels.size(), exact.rgb.size());
  double sum = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) sum += std::abs(int{pixels[i]} - int{exact.rgb[i]});
  EXPECT_GT(sum, 0);
  EXPECT_LT(sum / static_cast<double>(pixels.size()), 4);  // of 255 levels, with random weights
  request.precision = "float32";
  EXPECT_EQ(only_picture(session, request), exact);
}

TEST(Session, EightBitProductsChangeLittleAndNeedWeightsOfEightBits) {
  if (!model::ops::multiplies_int8()) GTEST_SKIP() << "no 8-bit products here";
  Session held = tiny_session(1, {}, true);
  request::GenerationRequest request = tiny_request();
  request.prompt = "a fox <lora:lora_attn:1>";
  const image::Picture exact = only_picture(held, request);
  request.precision = "int8";
  const GenerationResult rounded = held.generate(request);
  EXPECT_THAT(rounded.pictures[0].metadata,
              AllOf(HasSubstr("Precision: int8"), HasSubstr("U-Net weights: int8")));
  const auto& pixels = rounded.pictures[0].picture.rgb;
  double sum = 0;
  for (std::size_t i = 0; i < pixels.size(); ++i) sum += std::abs(int{pixels[i]} - int{exact.rgb[i]});
  EXPECT_GT(sum, 0);
  EXPECT_LT(sum / static_cast<double>(pixels.size()), 8);  // of 255 levels, with random weights
  Session plain = tiny_session();
  EXPECT_THAT(error_of(plain, request), AllOf(HasSubstr("--precision int8"), HasSubstr("add --int8")));
}

// The features that a step left belong to its text and its LoRAs: where these change, the next step is a whole one. In the
// first three a change comes at the third call (A1111's editing counts so), at which a cache of every second is whole anyway.
TEST(Session, AStepIsNotReusedForAnotherTextOrOtherLoras) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  const auto drawn = [&](const char* prompt, int steps, int step_cache) {
    request.prompt = prompt;
    request.steps = steps;
    request.step_cache = step_cache;
    return only_picture(session, request);
  };
  for (const char* prompt :
       {"[a fox:a blue house:1]", "[a fox|a blue house]", "a fox [<lora:lora_attn:1>::1]"}) {
    EXPECT_EQ(drawn(prompt, 3, 4), drawn(prompt, 3, 2)) << prompt;
    EXPECT_NE(drawn(prompt, 3, 4), drawn(prompt, 3, 1)) << prompt;
  }
  const char* const window = "a fox <lora:lora_attn:1:start=2>";
  EXPECT_EQ(drawn(window, 2, 4), drawn(window, 2, 1));
}

// Each set of LoRAs that act on the text encoder has the texts encoded anew: two sets, of them one text and the negative
// prompt, are four chunks.
TEST(Session, LorasThatSwitchCountAmongWhatIsEncoded) {
  pipeline::SessionOptions options{.threads = 1, .version = "LowRank test"};
  options.prompt_limits.chunks = 3;
  Session session(testing::tiny_resources(), options);
  EXPECT_EQ(session.generate(tiny_request("a fox <lora:lora_te:1>")).pictures.size(), 1u);
  EXPECT_EQ(session.generate(tiny_request("a fox [<lora:lora_attn:1>::1]")).pictures.size(), 1u);
  try {
    session.generate(tiny_request("a fox [<lora:lora_te:1>::1]"));
    FAIL() << "four chunks are more than the three that are allowed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kBadInput);
    EXPECT_THAT(error.what(), HasSubstr("4 chunks"));
    EXPECT_THAT(error.what(), HasSubstr("--prompt-limits chunks=4"));
  }
}

// A step of a large picture takes seconds: who ends a job waits for a block of the U-Net only.
TEST(Session, EndingActsWithinAStep) {
  Session session = tiny_session();
  const request::GenerationRequest request = tiny_request();  // three steps
  int asked = 0, steps = 0;
  std::stop_source stop;
  pipeline::Listener listener;
  listener.on_step = [&](const pipeline::StepEvent&) { ++steps; };
  listener.decide = [&] {
    return ++asked < 2 ? pipeline::StepDecision::kContinue : pipeline::StepDecision::kFinish;
  };
  EXPECT_EQ(session.generate(request, listener, stop.get_token()).pictures.size(), 1u);
  EXPECT_EQ(steps, 1);
  asked = steps = 0;
  listener.decide = [&] {
    if (++asked == 2) stop.request_stop();
    return pipeline::StepDecision::kContinue;
  };
  EXPECT_THROW(session.generate(request, listener, stop.get_token()), Error);
  EXPECT_EQ(steps, 1);
}

TEST(Session, GuidanceOneIgnoresTheNegativePrompt) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  request.cfg_scale = 1;
  const image::Picture first = only_picture(session, request);
  request.negative_prompt = "something else entirely";
  EXPECT_EQ(first, only_picture(session, request));
}

TEST(Session, AMissingLoraIsAnErrorWithTheRemedy) {
  Session session = tiny_session();
  EXPECT_THAT(error_of(session, tiny_request("a fox <lora:nothing:1>")),
              HasSubstr("did you mean lora_attn?"));
}

TEST(Session, AMissingLoraIsReportedWhenAllowed) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request("a fox <lora:nothing:1><lora:lora_attn:1>");
  request.allow_missing_loras = true;
  const GenerationResult result = session.generate(request);
  ASSERT_EQ(result.missing_loras.size(), 1u);
  EXPECT_EQ(result.missing_loras[0].name, "nothing");
  EXPECT_EQ(result.loras.size(), 1u);
  EXPECT_THAT(result.pictures[0].metadata, HasSubstr("Lora not found: nothing"));
  EXPECT_EQ(result.pictures[0].picture, only_picture(session, tiny_request("a fox <lora:lora_attn:1>")));
}

// Neither a locked index nor one of a newer program says that a LoRA is missing.
TEST(Session, ACollectionThatCannotBeAskedIsNoMissingLora) {
  for (const ErrorCode code : {kIo, kUnsupported, kConflict}) {
    pipeline::Resources resources = testing::tiny_resources();
    bool is_broken = true;
    resources.lora = [&, find = resources.lora](const std::string& name) {
      if (is_broken) throw Error(code, "the index cannot be opened.");
      return find(name);
    };
    Session session(resources, {.threads = 1, .version = "LowRank test"});
    request::GenerationRequest request = tiny_request("a fox <lora:lora_attn:1>");
    request.allow_missing_loras = true;
    EXPECT_THAT(error_of(session, request), HasSubstr("the index cannot be opened"));
    is_broken = false;
    EXPECT_EQ(session.generate(request).loras.size(), 1u);
  }
}

TEST(Session, EncodingsAreKeptUntilSomethingOfTheTextEncoderChanges) {
  Session session = tiny_session();
  session.generate(tiny_request());
  const auto first = session.residents().text_encodings();
  EXPECT_EQ(first, 2);  // prompt and negative prompt
  session.generate(tiny_request("a fox <lora:lora_te:0.5>"));
  EXPECT_EQ(session.residents().text_encodings(), first + 2);
  session.generate(tiny_request());
  EXPECT_EQ(session.residents().text_encodings(), first + 2);
  session.generate(tiny_request("a fox <lora:lora_attn:0.5>"));  // of the U-Net alone
  EXPECT_EQ(session.residents().text_encodings(), first + 2);
}

TEST(Session, PromptEditingReachesTheUnet) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request("a [fox:cat:2]");
  request.steps = 6;
  request::GenerationRequest fox = request, cat = request;
  fox.prompt = "a fox";
  cat.prompt = "a cat";
  const image::Picture edited = only_picture(session, request);
  EXPECT_NE(edited, only_picture(session, fox));
  EXPECT_NE(edited, only_picture(session, cat));
  request.prompt = "a [fox:cat:6]";  // the switch comes after the last call
  EXPECT_EQ(only_picture(session, request), only_picture(session, fox));
}

TEST(Session, PiecesOfACompositionAddUp) {
  Session session = tiny_session();
  const image::Picture whole = only_picture(session, tiny_request("a fox"));
  // u + ½·s·(c − u) + ½·s·(c − u) is the same guidance as one piece of weight 1, up to rounding.
  EXPECT_LE(largest_difference(whole, only_picture(session, tiny_request("a fox :0.5 AND a fox :0.5"))), 1);
  EXPECT_NE(whole, only_picture(session, tiny_request("a fox :0.5 AND a cat :0.5")));
}

TEST(Session, AStopIsHeardWithinAStep) {
  Session session = tiny_session();
  request::GenerationRequest request = tiny_request();
  request.steps = 20;
  std::stop_source source;
  int steps = 0;
  const pipeline::Listener listener{.on_step =
                                        [&](const pipeline::StepEvent&) {
                                          if (++steps == 2) source.request_stop();
                                        },
                                    .on_picture = {},
                                    .preview = pipeline::Preview::kNone};
  try {
    session.generate(request, listener, source.get_token());
    FAIL() << "the generation went on to its end";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), kCancelled);
  }
  EXPECT_EQ(steps, 2);
  EXPECT_EQ(only_picture(session, tiny_request()), only_picture(session, tiny_request()));
}

TEST(Session, EveryStepIsReportedWithAPreview) {
  Session session = tiny_session();
  std::vector<int> steps;
  const pipeline::Listener listener{.on_step =
                                        [&](const pipeline::StepEvent& event) {
                                          steps.push_back(event.step);
                                          EXPECT_EQ(event.steps, 3);
                                          ASSERT_TRUE(event.preview.has_value());
                                          EXPECT_EQ(event.preview->width, 8);
                                        },
                                    .on_picture = {},
                                    .preview = pipeline::Preview::kEachStep};
  session.generate(tiny_request(), listener);
  EXPECT_THAT(steps, ElementsAre(1, 2, 3));
}

TEST(Session, EverySamplerMakesAPicture) {
  Session session = tiny_session();
  for (const auto& row : sampling::sampler_table()) {
    request::GenerationRequest request = tiny_request();
    request.sampler = row.label;
    request.steps = 4;
    const GenerationResult result = session.generate(request);
    EXPECT_EQ(result.pictures.at(0).picture.width, 64) << row.label;
    EXPECT_THAT(result.pictures[0].metadata, HasSubstr("Sampler: " + std::string(row.label)));
  }
}

TEST(Session, BadRequestsAreOneSentence) {
  Session session = tiny_session();
  const auto with = [](auto change) {
    request::GenerationRequest request = tiny_request();
    change(request);
    return request;
  };
  EXPECT_THAT(error_of(session, with([](auto& r) { r.sampler = "Foo"; })),
              HasSubstr("unknown sampler 'Foo'"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.scheduler = "Foo"; })),
              HasSubstr("unknown schedule 'Foo'"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.steps = 0; })), HasSubstr("--steps is 0"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.width = 65; })), HasSubstr("multiple of 8"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.clip_skip = 9; })), HasSubstr("clip skip 9"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.rng = "dice"; })), HasSubstr("dice"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.emphasis = "Loud"; })), HasSubstr("Loud"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.checkpoint = "none"; })),
              HasSubstr("no checkpoint named 'none'"));
  EXPECT_THAT(error_of(session, with([](auto& r) { r.styles = {"none"}; })), HasSubstr("no style 'none'"));
}

}  // namespace
}  // namespace lowrank
