#include "model/random.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "formats/checkpoint/open_clip_names.h"

namespace lowrank::model {
namespace {

using formats::BaseModel;
using formats::Component;
using Init = ParameterSpec::Init;

// Collects parameters under a growing prefix. Weights get PyTorch's default bound 1/√fan_in; the layers that end a
// residual branch start at zero, so that an untrained block is the identity.
class Collector {
 public:
  Collector(Component component, std::vector<ParameterSpec>& out) : component_(component), out_(out) {}

  void norm(const std::string& path, std::int64_t channels) {
    add(path + ".weight", {channels}, Init::kOnes, 0);
    add(path + ".bias", {channels}, Init::kZeros, 0);
  }
  void linear(const std::string& path, std::int64_t out, std::int64_t in, bool bias = true,
              bool zero = false) {
    weights(path, {out, in}, in, out, bias, zero);
  }
  void conv(const std::string& path, std::int64_t out, std::int64_t in, std::int64_t kernel,
            bool zero = false) {
    weights(path, {out, in, kernel, kernel}, in * kernel * kernel, out, true, zero);
  }
  void embedding(const std::string& path, std::int64_t rows, std::int64_t width) {
    add(path + ".weight", {rows, width}, Init::kNormal, 0.02);
  }

 private:
  void add(std::string name, std::vector<std::int64_t> shape, Init init, double scale) {
    out_.push_back({component_, std::move(name), std::move(shape), init, scale});
  }
  void weights(const std::string& path, std::vector<std::int64_t> shape, std::int64_t fan_in,
               std::int64_t out, bool bias, bool zero) {
    const double bound = 1.0 / std::sqrt(static_cast<double>(fan_in));
    add(path + ".weight", std::move(shape), zero ? Init::kZeros : Init::kUniform, bound);
    if (bias) add(path + ".bias", {out}, zero ? Init::kZeros : Init::kUniform, bound);
  }
  Component component_;
  std::vector<ParameterSpec>& out_;
};

void collect_text(const ModelSpec& s, const ModelSpec::Text& text, bool projects, Collector c) {
  c.embedding("embeddings.token_embedding", s.vocabulary, text.width);
  c.embedding("embeddings.position_embedding", s.positions, text.width);
  for (std::int64_t n = 0; n < text.layers; ++n) {
    const std::string p = fmt::format("encoder.layers.{}.", n);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"})
      c.linear(p + "self_attn." + name, text.width, text.width);
    c.norm(p + "layer_norm1", text.width);
    c.norm(p + "layer_norm2", text.width);
    c.linear(p + "mlp.fc1", 4 * text.width, text.width);
    c.linear(p + "mlp.fc2", text.width, 4 * text.width);
  }
  c.norm("final_layer_norm", text.width);
  if (projects) c.linear("text_projection", text.width, text.width, false);
}

void collect_unet_res(Collector& c, const std::string& p, std::int64_t in, std::int64_t out,
                      std::int64_t time) {
  c.norm(p + "in_layers.0", in);
  c.conv(p + "in_layers.2", out, in, 3);
  c.linear(p + "emb_layers.1", out, time);
  c.norm(p + "out_layers.0", out);
  c.conv(p + "out_layers.3", out, out, 3, /*zero=*/true);
  if (in != out) c.conv(p + "skip_connection", out, in, 1);
}

void collect_transformer_block(Collector& c, const std::string& b, std::int64_t width, std::int64_t context) {
  for (const char* which : {"attn1.", "attn2."}) {
    const std::int64_t source = std::string_view(which) == "attn1." ? width : context;
    c.linear(b + which + "to_q", width, width, false);
    c.linear(b + which + "to_k", width, source, false);
    c.linear(b + which + "to_v", width, source, false);
    c.linear(b + which + "to_out.0", width, width);
  }
  c.linear(b + "ff.net.0.proj", 8 * width, width);
  c.linear(b + "ff.net.2", width, 4 * width);
  for (const char* norm : {"norm1", "norm2", "norm3"}) c.norm(b + norm, width);
}

std::int64_t context_width(const ModelSpec& s) {
  std::int64_t width = 0;
  for (const ModelSpec::Text& text : s.texts) width += text.width;
  return width;
}

void collect_transformer(const ModelSpec& s, Collector& c, const std::string& p, std::int64_t width,
                         int depth) {
  c.norm(p + "norm", width);
  if (s.linear_projections)
    c.linear(p + "proj_in", width, width);
  else
    c.conv(p + "proj_in", width, width, 1);
  for (int n = 0; n < depth; ++n)
    collect_transformer_block(c, fmt::format("{}transformer_blocks.{}.", p, n), width, context_width(s));
  if (s.linear_projections)
    c.linear(p + "proj_out", width, width, true, /*zero=*/true);
  else
    c.conv(p + "proj_out", width, width, 1, /*zero=*/true);
}

// The pooled text and the numbers of the picture's size, of the families that are told them.
void collect_label(const ModelSpec& s, Collector& c, std::int64_t time) {
  const formats::FamilyRow& family = *formats::family(s.family);
  if (family.size_conditioning == formats::SizeConditioning::kNone) return;
  std::int64_t width = formats::size_numbers(family.size_conditioning) * formats::kSizeNumberWidth;
  for (std::size_t i = 0; i < s.texts.size(); ++i)
    if (family.text_encoders[i].gives_pooled) width += s.texts[i].width;
  c.linear("label_emb.0.0", time, width);
  c.linear("label_emb.0.2", time, time);
}

void collect_unet(const ModelSpec& s, Collector c) {
  const std::int64_t time = 4 * s.unet_channels, levels = static_cast<std::int64_t>(s.unet_mult.size());
  const auto width = [&](std::int64_t level) {
    return s.unet_channels * s.unet_mult[static_cast<std::size_t>(level)];
  };
  const auto depth = [&](std::int64_t level) { return s.unet_depth[static_cast<std::size_t>(level)]; };
  c.linear("time_embed.0", time, s.unet_channels);
  c.linear("time_embed.2", time, time);
  collect_label(s, c, time);
  c.conv("input_blocks.0.0", s.unet_channels, s.in_channels, 3);
  std::vector<std::int64_t> skips = {s.unet_channels};
  std::int64_t channels = s.unet_channels, block = 1;
  for (std::int64_t level = 0; level < levels; ++level) {
    for (std::int64_t j = 0; j < s.unet_blocks; ++j, ++block) {
      collect_unet_res(c, fmt::format("input_blocks.{}.0.", block), channels, width(level), time);
      channels = width(level);
      if (depth(level) > 0)
        collect_transformer(s, c, fmt::format("input_blocks.{}.1.", block), channels, depth(level));
      skips.push_back(channels);
    }
    if (level + 1 < levels) {
      c.conv(fmt::format("input_blocks.{}.0.op", block++), channels, channels, 3);
      skips.push_back(channels);
    }
  }
  collect_unet_res(c, "middle_block.0.", channels, channels, time);
  collect_transformer(s, c, "middle_block.1.", channels, s.middle_depth);
  collect_unet_res(c, "middle_block.2.", channels, channels, time);
  block = 0;
  for (std::int64_t level = levels - 1; level >= 0; --level) {
    for (std::int64_t j = 0; j <= s.unet_blocks; ++j, ++block) {
      collect_unet_res(c, fmt::format("output_blocks.{}.0.", block), channels + skips.back(), width(level),
                       time);
      skips.pop_back();
      channels = width(level);
      int part = 1;
      if (depth(level) > 0)
        collect_transformer(s, c, fmt::format("output_blocks.{}.{}.", block, part++), channels, depth(level));
      if (level > 0 && j == s.unet_blocks)
        c.conv(fmt::format("output_blocks.{}.{}.conv", block, part), channels, channels, 3);
    }
  }
  c.norm("out.0", channels);
  c.conv("out.2", s.latent_channels, channels, 3, /*zero=*/true);
}

void collect_vae_res(Collector& c, const std::string& p, std::int64_t in, std::int64_t out) {
  c.norm(p + "norm1", in);
  c.conv(p + "conv1", out, in, 3);
  c.norm(p + "norm2", out);
  c.conv(p + "conv2", out, out, 3);
  if (in != out) c.conv(p + "nin_shortcut", out, in, 1);
}

void collect_vae_middle(Collector& c, const std::string& p, std::int64_t width) {
  collect_vae_res(c, p + "mid.block_1.", width, width);
  c.norm(p + "mid.attn_1.norm", width);
  for (const char* name : {"q", "k", "v", "proj_out"}) c.conv(p + "mid.attn_1." + name, width, width, 1);
  collect_vae_res(c, p + "mid.block_2.", width, width);
}

void collect_vae(const ModelSpec& s, Collector c) {
  const std::int64_t levels = static_cast<std::int64_t>(s.vae_mult.size());
  const auto width = [&](std::int64_t level) {
    return s.vae_channels * s.vae_mult[static_cast<std::size_t>(level)];
  };
  c.conv("encoder.conv_in", s.vae_channels, 3, 3);
  std::int64_t channels = s.vae_channels;
  for (std::int64_t i = 0; i < levels; ++i) {
    for (std::int64_t j = 0; j < s.vae_blocks; ++j) {
      collect_vae_res(c, fmt::format("encoder.down.{}.block.{}.", i, j), channels, width(i));
      channels = width(i);
    }
    if (i + 1 < levels) c.conv(fmt::format("encoder.down.{}.downsample.conv", i), channels, channels, 3);
  }
  collect_vae_middle(c, "encoder.", channels);
  c.norm("encoder.norm_out", channels);
  c.conv("encoder.conv_out", 2 * s.latent_channels, channels, 3);
  c.conv("quant_conv", 2 * s.latent_channels, 2 * s.latent_channels, 1);
  c.conv("post_quant_conv", s.latent_channels, s.latent_channels, 1);
  c.conv("decoder.conv_in", channels, s.latent_channels, 3);
  collect_vae_middle(c, "decoder.", channels);
  for (std::int64_t i = levels - 1; i >= 0; --i) {
    for (std::int64_t j = 0; j <= s.vae_blocks; ++j) {
      collect_vae_res(c, fmt::format("decoder.up.{}.block.{}.", i, j), channels, width(i));
      channels = width(i);
    }
    if (i > 0) c.conv(fmt::format("decoder.up.{}.upsample.conv", i), channels, channels, 3);
  }
  c.norm("decoder.norm_out", channels);
  c.conv("decoder.conv_out", 3, channels, 3);
}

ModelSpec sd15() {
  return {};
}

ModelSpec sd2() {
  return {.family = BaseModel::kSd2, .texts = {{1024, 24}}, .linear_projections = true};
}

ModelSpec sdxl() {
  return {.family = BaseModel::kSdxl,
          .texts = {{768, 12}, {1280, 32}},
          .unet_mult = {1, 2, 4},
          .unet_depth = {0, 2, 10},
          .middle_depth = 10,
          .linear_projections = true};
}

ModelSpec sdxl_refiner() {
  return {.family = BaseModel::kSdxlRefiner,
          .texts = {{1280, 32}},
          .unet_channels = 384,
          .unet_depth = {0, 4, 4, 0},
          .middle_depth = 4,
          .linear_projections = true};
}

ModelSpec starter() {
  return {
      .texts = {{128, 4}},
      .unet_channels = 64,
      .unet_mult = {1, 2, 2},
      .unet_depth = {0, 1, 1},
      // GroupNorm always has 32 groups: with 32 channels at full size it would be an instance norm before the
      // last convolution and erase flat colours, so there are 64.
      .vae_channels = 32,
      .vae_blocks = 1,
      .vae_mult = {2, 2, 3, 3}};
}

ModelSpec tiny() {
  return {.texts = {{64, 2}},
          .unet_channels = 32,
          .unet_blocks = 1,
          .unet_mult = {1, 2},
          .unet_depth = {1, 0},
          .vae_channels = 32,
          .vae_blocks = 1,
          .vae_mult = {1, 1, 1, 1}};
}

struct NamedSpec {
  std::string_view name;
  ModelSpec (*spec)();
};

// Source: the configuration files that Stability AI publishes with its models.
constexpr NamedSpec kSpecs[] = {{"sd15", sd15},       {"sd2", sd2},
                                {"sdxl", sdxl},       {"sdxl-refiner", sdxl_refiner},
                                {"starter", starter}, {"tiny", tiny}};

// The name in a file of the family, and for query, key and value one name.
std::string file_name(const formats::FamilyRow& family, const ParameterSpec& parameter) {
  const formats::TextEncoderRow* encoder = formats::text_encoder(family, parameter.component);
  if (encoder == nullptr) return std::string(checkpoint_root(parameter.component)) + parameter.name;
  const bool is_open_clip = encoder->kind == formats::TextEncoderKind::kOpenClip;
  return fmt::format("{}{}", encoder->root,
                     is_open_clip ? formats::open_clip_name(parameter.name) : "text_model." + parameter.name);
}

// FNV-1a, so that each parameter has its own stream of random numbers.
std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 14695981039346656037ull;
  for (const char ch : name) hash = (hash ^ static_cast<unsigned char>(ch)) * 1099511628211ull;
  return hash;
}

}  // namespace

ModelSpec model_spec(std::string_view name) {
  const auto found = std::ranges::find(kSpecs, name, &NamedSpec::name);
  if (found == std::end(kSpecs))
    throw Error(kBadInput, "unknown model shape '{}'; choose one of {}.", name,
                fmt::join(model_spec_names(), ", "));
  return found->spec();
}

std::vector<std::string> model_spec_names() {
  std::vector<std::string> names;
  for (const NamedSpec& row : kSpecs) names.emplace_back(row.name);
  return names;
}

std::vector<ParameterSpec> parameter_specs(const ModelSpec& spec) {
  std::vector<ParameterSpec> all;
  const formats::FamilyRow& family = *formats::family(spec.family);
  for (std::size_t i = 0; i < spec.texts.size(); ++i) {
    const formats::TextEncoderRow& row = family.text_encoders[i];
    collect_text(spec, spec.texts[i], row.kind == formats::TextEncoderKind::kOpenClip,
                 Collector(row.component, all));
  }
  collect_unet(spec, Collector(Component::kUnet, all));
  collect_vae(spec, Collector(Component::kVae, all));
  return all;
}

at::Tensor initial_value(const ParameterSpec& parameter, std::uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed ^ name_hash(parameter.name));
  switch (parameter.init) {
    case Init::kOnes:
      return at::ones(parameter.shape);
    case Init::kZeros:
      return at::zeros(parameter.shape);
    case Init::kUniform:
      return at::empty(parameter.shape).uniform_(-parameter.scale, parameter.scale, generator);
    case Init::kNormal:
      return at::empty(parameter.shape).normal_(0, parameter.scale, generator);
  }
  return {};
}

tensor::StateDict random_state(const ModelSpec& spec, Component component, std::uint64_t seed) {
  tensor::StateDict state;
  for (const ParameterSpec& parameter : parameter_specs(spec))
    if (parameter.component == component) state.emplace(parameter.name, initial_value(parameter, seed));
  return state;
}

std::string_view checkpoint_root(Component component) {
  switch (component) {
    case Component::kTextEncoder:
      return "cond_stage_model.transformer.text_model.";
    case Component::kTextEncoder2:
      return "conditioner.embedders.1.model.";
    case Component::kUnet:
      return "model.diffusion_model.";
    case Component::kVae:
      return "first_stage_model.";
  }
  return "";
}

std::vector<ParameterSpec> file_parameters(const ModelSpec& spec) {
  const formats::FamilyRow& family = *formats::family(spec.family);
  std::map<std::string, ParameterSpec> by_name;
  for (ParameterSpec& parameter : parameter_specs(spec)) {
    std::string name = file_name(family, parameter);
    const auto [entry, is_new] = by_name.try_emplace(name, parameter);
    if (is_new)
      entry->second.name = std::move(name);
    else
      entry->second.shape[0] += parameter.shape[0];
  }
  std::vector<ParameterSpec> all;
  for (auto& [name, parameter] : by_name) all.push_back(std::move(parameter));
  return all;
}

}  // namespace lowrank::model
