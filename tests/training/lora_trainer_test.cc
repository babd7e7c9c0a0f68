#include "training/lora/lora_trainer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <stop_token>

#include "adapter/trainable.h"
#include "base/error.h"
#include "formats/hashes.h"
#include "formats/lora/lora_file.h"
#include "support/expect_close.h"
#include "training/data/caption_encoder.h"
#include "training/lora_runs.h"
#include "weights/tensor_file.h"

namespace lowrank::training {
namespace {

using ::testing::HasSubstr;
using testing::write_example;

using LoraTrainer = LoraRuns;

TEST_F(LoraTrainer, InterruptedAndResumedEqualsUninterruptedBitForBit) {
  LoraTrainOptions whole = options("whole"), parts = options("parts");
  for (auto* o : {&whole, &parts}) {
    o->scheduler = "cosine";
    o->warmup_steps = 2;
    o->gradient_accumulation = 2;
  }
  train(whole);
  interrupt(parts, 3);
  interrupt(parts, 6);
  std::vector<std::string> said;
  RunControl control;
  control.say = [&](const std::string& text) { said.push_back(text); };
  const auto result = train(parts, control);
  EXPECT_EQ(result.losses.size(), 4u);
  EXPECT_THAT(said, ::testing::Contains(HasSubstr("after step 6 of 10")));
  EXPECT_EQ(data_hash(whole.output_file()), data_hash(parts.output_file()));
}

// Of a run whose learning rate does not depend on its length.
TEST_F(LoraTrainer, AFinishedRunIsTrainedFurtherAsIfItHadNotEnded) {
  LoraTrainOptions whole = options("whole"), parts = options("parts");
  train(whole);
  parts.max_steps = 6;
  const auto first = train(parts);
  EXPECT_EQ(first.state, parts.state_file());
  EXPECT_TRUE(std::filesystem::exists(parts.state_file()));
  parts.max_steps = 10;
  EXPECT_EQ(train(parts).losses.size(), 4u);
  EXPECT_EQ(data_hash(whole.output_file()), data_hash(parts.output_file()));
  // Asked for once more there is nothing to do, and nothing is written.
  const std::string before = testing::bytes_of(parts.output_file());
  int encoded = 0;
  RunControl control;
  control.report = [&](const TrainEvent&) { ++encoded; };
  const auto again = train(parts, control);
  EXPECT_EQ(again.losses.size(), 0u);
  EXPECT_EQ(again.modules, first.modules);
  EXPECT_EQ(encoded, 0);
  EXPECT_EQ(testing::bytes_of(parts.output_file()), before);
  parts.max_steps = 12;
  parts.delete_state = true;
  EXPECT_EQ(train(parts).state, "");
  EXPECT_FALSE(std::filesystem::exists(parts.state_file()));
}

TEST_F(LoraTrainer, OfFilesOnTheWayTheLastAreKept) {
  LoraTrainOptions o = options();
  o.save_every_steps = 2;
  o.save_last_steps = 4;  // by kohya's rule those of steps 4, 6 and 8, when 8 was the last
  o.save_every_epochs = 1;
  o.save_last_epochs = 1;
  train(o);
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(o.output_dir))
    names.insert(entry.path().filename().string());
  EXPECT_THAT(names,
              ::testing::ElementsAre("style-000002.safetensors", "style-state.safetensors",
                                     "style-step00000004.safetensors", "style-step00000006.safetensors",
                                     "style-step00000008.safetensors", "style.safetensors"));
}

TEST_F(LoraTrainer, ALossThatIsNotFiniteNamesThePictures) {
  auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
  tensor::StateDict weights;
  const auto file = weights::TensorFile::open(folder_.path() / "tiny.safetensors");
  for (const auto& view : file->tensors()) weights.emplace(view.name, tensor::as_tensor(view, file).clone());
  for (auto& [name, value] : weights)
    if (name == "model.diffusion_model.out.2.bias") value.fill_(std::numeric_limits<float>::quiet_NaN());
  tensor::save_state_dict((folder_.path() / "tiny.safetensors").string(), weights);
  LoraTrainOptions o = options();
  try {
    train(o);
    FAIL() << "the run was not stopped";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("the loss of step 1 is nan"));
    EXPECT_THAT(error.what(),
                ::testing::ContainsRegex("2_3dmm style/[0-3]\\.png, .*2_3dmm style/[0-3]\\.png"));
    EXPECT_THAT(error.what(), HasSubstr("style-state.safetensors"));
  }
  EXPECT_FALSE(std::filesystem::exists(o.output_file()));
}

TEST_F(LoraTrainer, TheLossOfHeldOutPicturesIsMeasuredOnTheSameNoiseAndDisturbsNothing) {
  LoraTrainOptions seldom = options("seldom"), often = options("often"), still = options("still");
  for (auto* o : {&seldom, &often, &still}) o->validation.split = 0.25;
  often.validation.every_steps = 2;
  still.validation.every_steps = 5;
  still.learning_rate = 0;
  const auto a = train(seldom), b = train(often), c = train(still);
  EXPECT_EQ(data_hash(seldom.output_file()), data_hash(often.output_file()));
  // 3 pictures twice in batches of 2: 3 steps an epoch.
  const auto steps = [](const LoraTrainResult& result) {
    std::vector<std::int64_t> all;
    for (const auto& [step, loss] : result.validation) all.push_back(step);
    return all;
  };
  EXPECT_THAT(steps(a), ::testing::ElementsAre(3, 6, 9, 10));
  EXPECT_THAT(steps(b), ::testing::ElementsAre(2, 4, 6, 8, 10));
  EXPECT_EQ(a.validation.at(6), b.validation.at(6));
  EXPECT_NE(a.validation.at(6), a.validation.at(10)) << "what was learned shows";
  EXPECT_EQ(c.validation.at(5), c.validation.at(10)) << "nothing was learned";
  const auto metadata = weights::TensorFile::open(seldom.output_file())->metadata();
  EXPECT_EQ(metadata.at("ss_num_train_images"), "6");
  EXPECT_EQ(metadata.at("ss_num_validation_images"), "2");
  EXPECT_EQ(metadata.at("lowrank.validation_loss"), request::python_text(a.validation.at(10)));
}

TEST_F(LoraTrainer, TheChartsOfARunThatWasKilledAreThoseOfOneThatWasNot) {
  LoraTrainOptions whole = options("whole"), killed = options("killed");
  const auto logs = [&](const LoraTrainOptions& o) {
    std::filesystem::path found;
    for (const auto& entry : std::filesystem::directory_iterator(o.logging_dir)) {
      EXPECT_TRUE(found.empty()) << "one folder for the whole run";
      EXPECT_TRUE(entry.path().filename().string().starts_with("fox-20"));
      found = entry.path();
    }
    return found;
  };
  // step,epoch,loss,average_loss,learning_rate: without the seconds. The average begins anew with a resume.
  const auto lines = [](const std::filesystem::path& file, int columns) {
    std::vector<std::string> all;
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) {
      std::size_t end = 0;
      for (int i = 0; i < columns && end != std::string::npos; ++i) end = line.find(',', end + 1);
      all.push_back(line.substr(0, end));
    }
    return all;
  };
  for (auto* o : {&whole, &killed}) {
    o->logging_dir = o->output_dir / "logs";
    o->log_prefix = "fox-";
    o->validation = {.split = 0.25, .every_steps = 2};
  }
  train(whole);
  RunControl control;
  control.save_every = 4;
  control.after_step = [](std::int64_t done) {
    if (done == 6) throw std::runtime_error("killed");
  };
  EXPECT_THROW(train(killed, control), std::runtime_error);
  train(killed);
  const auto steps = lines(logs(whole) / "steps.csv", 3);
  EXPECT_EQ(steps.size(), 11u);
  EXPECT_EQ(steps[0], "step,epoch,loss");
  EXPECT_TRUE(steps[4].starts_with("4,2,")) << steps[4];
  EXPECT_EQ(lines(logs(killed) / "steps.csv", 3), steps);
  const auto validation = lines(logs(whole) / "validation.csv", 2);
  EXPECT_EQ(validation.size(), 6u);
  EXPECT_EQ(lines(logs(killed) / "validation.csv", 2), validation);
}

TEST_F(LoraTrainer, AKilledRunLosesAtMostOneSaveInterval) {
  const LoraTrainOptions whole = options("whole"), killed = options("killed");
  train(whole);
  RunControl control;
  control.save_every = 4;
  control.after_step = [](std::int64_t done) {
    if (done == 6) throw std::runtime_error("killed");
  };
  EXPECT_THROW(train(killed, control), std::runtime_error);
  EXPECT_EQ(train(killed).losses.size(), 6u) << "goes on after step 4";
  EXPECT_EQ(data_hash(whole.output_file()), data_hash(killed.output_file()));
}

TEST_F(LoraTrainer, AStateOfOtherSettingsIsRefusedAndFreshForgetsIt) {
  LoraTrainOptions o = options();
  interrupt(o, 3);
  o.network_rank = 8;
  try {
    train(o);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("--network-dim 4, but now uses --network-dim 8"));
    EXPECT_THAT(error.what(), HasSubstr("--fresh"));
  }
  o.fresh = true;
  EXPECT_EQ(train(o).losses.size(), 10u);
}

TEST_F(LoraTrainer, ThirtyStepsOnFourPicturesLowerTheLoss) {
  LoraTrainOptions o = options();
  o.max_steps = 30;
  o.noise_offset = 0;
  o.data.captions = {};
  o.data.batch_size = 4;
  o.learning_rate = 4e-3;
  // Each step draws its own timesteps, so steps cannot be compared with each other: compare the same draws
  // with and without what was learned, by running them again at learning rate 0.
  LoraTrainOptions still = options("still");
  still.max_steps = 30;
  still.noise_offset = 0;
  still.data.captions = {};
  still.data.batch_size = 4;
  still.learning_rate = 0;
  const auto learned = train(o).losses, base = train(still).losses;
  const auto last_ten = [](const std::vector<double>& l) {
    return std::accumulate(l.end() - 10, l.end(), 0.0) / 10;
  };
  EXPECT_EQ(learned[0], base[0]);
  EXPECT_LT(last_ten(learned), 0.95 * last_ten(base));
}

TEST_F(LoraTrainer, TheFileReadsAsALoraOfThisModelAndChangesItsOutput) {
  const auto result = train(options());
  const formats::LoraFile file = formats::open_lora(result.file);
  EXPECT_EQ(file.alias, "style");
  EXPECT_TRUE(file.unknown.empty());
  EXPECT_TRUE(file.skipped.empty());
  EXPECT_EQ(static_cast<std::int64_t>(file.entries.size()), result.modules);
  for (const auto& entry : file.entries) {
    EXPECT_EQ(entry.rank, 4) << entry.module;
    EXPECT_EQ(entry.alpha, 2.0f) << entry.module;
  }
  EXPECT_TRUE(std::any_of(file.entries.begin(), file.entries.end(), [](const auto& e) {
    return e.module.starts_with("lora_te_text_model_encoder_layers_0_");
  }));

  auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
  const at::NoGradGuard no_grad;
  const at::Tensor x = at::ones({1, 4, 8, 8}), t = at::full({1}, 500.0),
                   context = at::ones({1, 77, model.text_encoders.front()->width()});
  const at::Tensor before = model.network->forward(x, t, {context});
  adapter::TrainableLora lora(model.family(), model.adaptable().parts, {.rank = 4, .alpha = 2});
  tensor::StateDict state;
  for (const auto& view : file.file->tensors()) state.emplace(view.name, tensor::as_tensor(view, file.file));
  lora.load(state);
  const at::Tensor after = model.network->forward(x, t, {context});
  EXPECT_GT((after - before).norm().item<double>(), 1e-3 * before.norm().item<double>());
  lora.set_weight(0);
  EXPECT_TRUE(testing::expect_close(model.network->forward(x, t, {context}), before, {.rel = 1e-5}));
}

TEST_F(LoraTrainer, MetadataIsComplete) {
  LoraTrainOptions o = options();
  o.save_precision = SavePrecision::kFp16;
  o.conv_rank = 2;
  o.clip_skip = 2;
  o.card.title = "A style";
  o.card.author = "me";
  o.card.license = "CC0-1.0";
  o.card.tags = "disc, flat";
  const auto result = train(o);
  const auto file = weights::TensorFile::open(result.file);
  const auto& m = file->metadata();
  for (const auto& view : file->tensors()) EXPECT_EQ(view.dtype, weights::DType::kF16) << view.name;
  for (const char* key :
       {"ss_v2", "ss_base_model_version", "ss_network_module", "ss_network_dim", "ss_network_alpha",
        "ss_network_args", "ss_output_name", "ss_sd_model_name", "ss_sd_model_hash", "ss_new_sd_model_hash",
        "ss_resolution", "ss_num_train_images", "ss_learning_rate", "ss_unet_lr", "ss_text_encoder_lr",
        "ss_steps", "ss_epoch", "ss_seed", "ss_tag_frequency", "ss_dataset_dirs", "ss_bucket_info",
        "ss_clip_skip", "ss_training_started_at", "ss_training_finished_at", "sshs_model_hash",
        "sshs_legacy_hash", "modelspec.architecture", "modelspec.title", "modelspec.trigger_phrase",
        "modelspec.date", "modelspec.hash_sha256",
        // All that kohya's train_network.py writes (sd-scripts of February 2026).
        "ss_session_id", "ss_num_validation_images", "ss_num_reg_images", "ss_num_batches_per_epoch",
        "ss_num_epochs", "ss_gradient_checkpointing", "ss_gradient_accumulation_steps", "ss_max_train_steps",
        "ss_lr_warmup_steps", "ss_lr_scheduler", "ss_network_dropout", "ss_mixed_precision", "ss_full_fp16",
        "ss_max_token_length", "ss_cache_latents", "ss_lowram", "ss_noise_offset",
        "ss_multires_noise_iterations", "ss_multires_noise_discount", "ss_adaptive_noise_scale",
        "ss_zero_terminal_snr", "ss_training_comment", "ss_sd_scripts_commit_hash", "ss_optimizer",
        "ss_max_grad_norm", "ss_caption_dropout_rate", "ss_caption_dropout_every_n_epochs",
        "ss_caption_tag_dropout_rate", "ss_face_crop_aug_range", "ss_prior_loss_weight", "ss_min_snr_gamma",
        "ss_scale_weight_norms", "ss_ip_noise_gamma", "ss_debiased_estimation",
        "ss_noise_offset_random_strength", "ss_ip_noise_gamma_random_strength", "ss_loss_type",
        "ss_huber_schedule", "ss_huber_scale", "ss_huber_c", "ss_fp8_base", "ss_fp8_base_unet",
        "ss_validation_seed", "ss_validation_split", "ss_max_validation_steps", "ss_validate_every_n_epochs",
        "ss_validate_every_n_steps", "ss_resize_interpolation", "ss_batch_size_per_device",
        "ss_total_batch_size", "ss_color_aug", "ss_flip_aug", "ss_random_crop", "ss_shuffle_caption",
        "ss_enable_bucket", "ss_bucket_no_upscale", "ss_min_bucket_reso", "ss_max_bucket_reso",
        "ss_keep_tokens", "ss_reg_dataset_dirs", "modelspec.sai_model_spec", "modelspec.implementation",
        "modelspec.resolution", "modelspec.prediction_type", "modelspec.timestep_range"})
    EXPECT_TRUE(m.contains(key)) << key;
  EXPECT_EQ(m.at("ss_network_dim"), "4");
  EXPECT_EQ(m.at("ss_network_alpha"), "2.0");
  EXPECT_EQ(m.at("ss_resolution"), "(64, 64)");
  EXPECT_EQ(m.at("ss_num_train_images"), "8");
  EXPECT_EQ(m.at("ss_steps"), "10");
  EXPECT_EQ(m.at("ss_epoch"), "3");
  EXPECT_EQ(m.at("ss_v2"), "False");
  EXPECT_EQ(m.at("ss_base_model_version"), "sd_v1");
  EXPECT_EQ(m.at("modelspec.architecture"), "stable-diffusion-v1/lora");
  EXPECT_EQ(m.at("modelspec.trigger_phrase"), "3dmm style");
  EXPECT_EQ(m.at("modelspec.title"), "A style");
  EXPECT_EQ(m.at("modelspec.author"), "me");
  EXPECT_EQ(m.at("modelspec.license"), "CC0-1.0");
  EXPECT_EQ(m.at("modelspec.tags"), "disc, flat");
  EXPECT_FALSE(m.contains("modelspec.description")) << "nobody wrote one";
  EXPECT_EQ(m.at("ss_validate_every_n_steps"), "None");
  const auto tags = nlohmann::json::parse(m.at("ss_tag_frequency"));
  EXPECT_EQ(tags["2_3dmm style"]["3dmm style"], 4);
  EXPECT_EQ(tags["2_3dmm style"]["disc 1"], 1);
  const auto dirs = nlohmann::json::parse(m.at("ss_dataset_dirs"));
  EXPECT_EQ(dirs["2_3dmm style"], (nlohmann::json{{"n_repeats", 2}, {"img_count", 4}}));
  const auto buckets = nlohmann::json::parse(m.at("ss_bucket_info"));
  EXPECT_EQ(buckets["buckets"]["0"], (nlohmann::json{{"resolution", {64, 64}}, {"count", 8}}));
  EXPECT_EQ(nlohmann::json::parse(m.at("ss_network_args")),
            (nlohmann::json{{"conv_dim", "2"}, {"conv_alpha", "1.0"}}));
  // The model hash is that of the bytes after the header, so it holds for the file as it is.
  EXPECT_EQ(m.at("sshs_model_hash"), formats::addnet_hash(*file));
  EXPECT_EQ(m.at("modelspec.hash_sha256"), "0x" + m.at("sshs_model_hash"));
}

TEST_F(LoraTrainer, OnlyTheChosenPartsAreTrained) {
  LoraTrainOptions unet = options("unet"), text = options("text");
  unet.train_text_encoder = false;
  text.train_unet = false;
  unet.max_steps = text.max_steps = 2;
  for (const auto& entry : formats::open_lora(train(unet).file).entries)
    EXPECT_EQ(entry.component, formats::Component::kUnet);
  const auto file = formats::open_lora(train(text).file);
  for (const auto& entry : file.entries) EXPECT_EQ(entry.component, formats::Component::kTextEncoder);
  unet.train_unet = false;
  EXPECT_THROW(train(unet), Error);
}

TEST_F(LoraTrainer, EachPartHasItsOwnLearningRate) {
  LoraTrainOptions o = options();
  o.max_steps = 2;
  o.weight_decay = 0;
  o.text_encoder_learning_rate = 0;
  const auto file = weights::TensorFile::open(train(o).file);
  for (const auto& view : file->tensors()) {
    if (!view.name.ends_with("lora_up.weight")) continue;
    const auto learned = tensor::as_tensor(view, file).count_nonzero().item<std::int64_t>();
    EXPECT_EQ(learned == 0, view.name.starts_with("lora_te_")) << view.name;
    // Adam's first steps move each weight by about the learning rate.
    EXPECT_LT(tensor::as_tensor(view, file).abs().max().item<double>(), 2.1 * o.learning_rate) << view.name;
  }
}

TEST_F(LoraTrainer, FilesOnTheWayBearKohyasNames) {
  LoraTrainOptions o = options();
  o.save_every_steps = 4;
  o.save_every_epochs = 1;
  train(o);
  for (const char* name : {"style-step00000004.safetensors", "style-step00000008.safetensors",
                           "style-000001.safetensors", "style-000002.safetensors", "style.safetensors"})
    EXPECT_TRUE(std::filesystem::exists(o.output_dir / name)) << name;
}

TEST_F(LoraTrainer, LatentsOnDiskGiveTheSameRunAndChangedPicturesAreNoticed) {
  LoraTrainOptions plain = options("plain"), cached = options("cached");
  cached.cache_latents_to_disk = true;
  train(plain);
  int encoded = 0;
  RunControl control;
  control.report = [&](const TrainEvent& event) { encoded += event.phase == "latents" ? 1 : 0; };
  train(cached, control);
  EXPECT_EQ(encoded, 4);
  cached.fresh = true;
  train(cached, control);
  EXPECT_EQ(encoded, 4) << "the second run reads them";
  EXPECT_EQ(data_hash(plain.output_file()), data_hash(cached.output_file()));
  write_example(folder_.path() / "data/2_3dmm style/0.png", 64, 64, 9, "");
  train(cached, control);
  EXPECT_EQ(encoded, 5) << "only the picture that changed";
  testing::change_byte(cached.output_dir / "style-latents.safetensors", -40);
  train(cached, control);
  EXPECT_EQ(encoded, 9) << "damaged latents are made anew";
}

TEST_F(LoraTrainer, MixedPrecisionStaysNearFullPrecision) {
  LoraTrainOptions full = options("full"), mixed = options("mixed");
  mixed.bf16 = true;
  const auto a = train(full).losses, b = train(mixed).losses;
  // bfloat16 has 8 bits of mantissa: half a percent on sums of many products.
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.03 * a[i]) << i;
}

TEST_F(LoraTrainer, CaptionsAreEncodedAsThePromptIsAndLongOnesAreTold) {
  const auto model = pipeline::load_model(folder_.path() / "tiny.safetensors");
  const at::NoGradGuard no_grad;
  CaptionEncoder one(model, {}), two(model, {.max_token_length = 150});
  std::string text;
  for (int i = 0; i < 100; ++i) text += "fox ";
  const std::vector<std::string> captions = {"a fox", text};
  EXPECT_EQ(one.tokens_cut("a fox"), 0);
  EXPECT_EQ(one.tokens_cut(text), 25);
  EXPECT_EQ(two.tokens_cut(text), 0);
  const at::Tensor short_one = one.encode(captions).text, long_one = two.encode(captions).text;
  EXPECT_EQ(short_one.size(1), 77);
  EXPECT_EQ(long_one.size(1), 154);
  // "a fox" = start, 320, 3240, end …: ids from openai/CLIP's vocabulary.
  at::Tensor ids = at::full({1, 77}, 49407, at::kLong);
  ids[0][0] = 49406;
  ids[0][1] = 320;
  ids[0][2] = 3240;
  EXPECT_TRUE(
      testing::expect_close(short_one[0], model.text_encoders.front()->encode(ids, 1)[0], {.rel = 1e-5}));
  EXPECT_THROW(CaptionEncoder(model, {.max_token_length = 80}), Error);
}

}  // namespace
}  // namespace lowrank::training
