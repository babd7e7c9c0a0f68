// A picture is repeated from its own parameters text.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "pipeline/tiny_session.h"
#include "request/metadata.h"

namespace lowrank {
namespace {

using request::apply_metadata;
using request::Decimal;
using request::GenerationRequest;
using ::testing::IsEmpty;

// Every field that is written comes back: a picture repeated from its own metadata is the same, byte for
// byte, and so is the metadata.
TEST(PictureMetadata, APictureRepeatsFromItsOwnText) {
  pipeline::Session session = testing::tiny_session();
  std::vector<GenerationRequest> requests(
      9, testing::tiny_request("a (red:1.2) fox, [day:night:2] <lora:lora_attn:0.8>"));
  requests[1].sampler = "Euler a";
  requests[1].eta = Decimal(0.5);
  requests[1].ensd = 31337;
  requests[1].rng = "CPU";
  requests[2].sampler = "DDIM";
  requests[2].eta_ddim = Decimal(0.25);
  requests[2].clip_skip = 2;
  requests[2].width = 72;
  requests[3].sampler = "Heun";
  requests[3].scheduler = "Exponential";
  requests[3].sigma_churn = 3;
  requests[3].sigma_max = Decimal(10.5);
  requests[3].emphasis = "No norm";
  requests[3].noise_schedule = "Zero Terminal SNR";
  requests[3].cfg_scale = Decimal(3.5);
  requests[4].sampler = "DPM++ 2M SDE Karras";
  requests[4].subseed = 7;
  requests[4].subseed_strength = Decimal(0.3);
  requests[4].sigma_noise = Decimal(1.1);
  requests[4].discard_penultimate_sigma = true;
  requests[4].skip_early_cfg = Decimal(0.4);
  requests[5].sampler = "DPM++ 2S a";
  requests[5].seed_resize_width = 96;
  requests[5].seed_resize_height = 48;
  requests[5].ngms = Decimal(2.5);
  requests[5].ngms_all_steps = true;
  requests[5].old_prompt_editing = true;
  requests[5].downcast_alphas = true;
  requests[5].pad_conds = true;
  requests[6].sampler = "TCD";
  requests[6].eta = Decimal(0.6);
  requests[7].prediction = "flow";
  requests[7].flow_shift = Decimal(4.5);
  requests[8].sampler = "DDIM";
  requests[8].scheduler = "Trailing";
  requests[8].prediction = "v";
  for (const GenerationRequest& request : requests) {
    const auto first = session.generate(request).pictures.at(0);
    GenerationRequest again;
    EXPECT_THAT(apply_metadata(again, prompt::parse_infotext(first.metadata)), IsEmpty()) << first.metadata;
    const auto second = session.generate(again).pictures.at(0);
    EXPECT_EQ(first.metadata, second.metadata);
    EXPECT_EQ(first.picture, second.picture) << first.metadata;
  }
}

}  // namespace
}  // namespace lowrank
