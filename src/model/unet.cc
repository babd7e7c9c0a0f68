#include "model/unet.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <functional>
#include <string>
#include <utility>

#include "base/error.h"
#include "formats/family.h"
#include "model/ops/ops.h"
#include "model/recomputed_block.h"
#include "model/timestep_embedding.h"
#include "model/token_merging.h"

namespace lowrank::model {
namespace {

struct Inputs {
  at::Tensor embedding;  // SiLU of the time embedding, [B, 4·channels]
  at::Tensor context;    // [B, M, width]
  PromptMemory* prompt;  // of the context, or null
  double merged_tokens;
  mutable std::int64_t finest = 0;  // places of the first attention of this pass, which no other one exceeds
};

}  // namespace

struct UNet::Part {
  virtual ~Part() = default;
  // `size` is the spatial size wanted by the next skip connection; only up-sampling looks at it.
  virtual at::Tensor forward(const at::Tensor& x, const Inputs& in, at::IntArrayRef size) const = 0;
};

struct UNet::Stage {
  std::string name;
  std::vector<std::unique_ptr<Part>> parts;

  at::Tensor forward(at::Tensor h, const Inputs& in, at::IntArrayRef size) const {
    for (const auto& part : parts) h = part->forward(h, in, size);
    return h;
  }
  // With gradients: of h and, if that is defined, `skip` behind it.
  at::Tensor learn(const at::Tensor& h, const at::Tensor& skip, const Inputs& in,
                   const std::vector<std::int64_t>& size, Recompute recompute) const {
    const auto body = [this, in, size](const std::vector<at::Tensor>& from) {
      Inputs now = in;
      now.embedding = from[2], now.context = from[3];
      return forward(from[1].defined() ? at::cat({from[0], from[1]}, 1) : from[0], now, size);
    };
    return run_block(body, {h, skip, in.embedding, in.context}, recompute);
  }
};

namespace {

struct PlainConv : UNet::Part {
  Layer* conv;
  explicit PlainConv(Layer* c) : conv(c) {}
  at::Tensor forward(const at::Tensor& x, const Inputs&, at::IntArrayRef) const override {
    return (*conv)(x).to(at::kFloat);
  }
};

struct Upsample : UNet::Part {
  Layer* conv;
  explicit Upsample(Layer* c) : conv(c) {}
  at::Tensor forward(const at::Tensor& x, const Inputs&, at::IntArrayRef size) const override {
    const auto larger = size.empty() ? std::pair(x.size(2) * 2, x.size(3) * 2) : std::pair(size[0], size[1]);
    return (*conv)(x, {.upsample_to = larger}).to(at::kFloat);
  }
};

struct ResBlock : UNet::Part {
  Layer *norm1, *conv1, *time, *norm2, *conv2, *skip = nullptr;
  ResBlock(LayerBuilder& build, const std::string& p)
      : norm1(build.group_norm(p + "in_layers.0", 1e-5)),
        conv1(build.conv(p + "in_layers.2")),
        time(build.linear(p + "emb_layers.1")),
        norm2(build.group_norm(p + "out_layers.0", 1e-5)),
        conv2(build.conv(p + "out_layers.3")) {
    if (build.has(p + "skip_connection")) skip = build.conv(p + "skip_connection");
  }
  at::Tensor forward(const at::Tensor& x, const Inputs& in, at::IntArrayRef) const override {
    const at::Tensor h = conv1->of_norm(*norm1, x, {.per_image = (*time)(in.embedding)});
    const bool has_skip = skip != nullptr;
    return conv2->of_norm(*norm2, h, {.residual = has_skip ? (*skip)(x) : x, .into_residual = has_skip});
  }
};

struct CrossAttention {
  Layer *q, *k, *v, *out;
  CrossAttention(LayerBuilder& build, const std::string& p)
      : q(build.linear(p + "to_q")),
        k(build.linear(p + "to_k")),
        v(build.linear(p + "to_v")),
        out(build.linear(p + "to_out.0")) {}
  // x + attention of h to `context`; without x, if that is undefined.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& h, const at::Tensor& context,
                        std::int64_t heads) const {
    return attend(x, h, (*k)(context), (*v)(context), heads);
  }
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& h, PromptMemory& prompt,
                        std::int64_t heads) const {
    return attend(x, h, prompt.project(*k), prompt.project(*v), heads);
  }

 private:
  at::Tensor attend(const at::Tensor& x, const at::Tensor& h, const at::Tensor& keys,
                    const at::Tensor& values, std::int64_t heads) const {
    return (*out)(ops::attention((*q)(h), keys, values, heads, ops::Mask::kNone, q->policy().compute),
                  {.residual = x});
  }
};

struct TransformerBlock {
  Layer *norm1, *norm2, *norm3, *gate_in, *ff_out;
  CrossAttention self, cross;
  TransformerBlock(LayerBuilder& build, const std::string& p)
      : norm1(build.layer_norm(p + "norm1")),
        norm2(build.layer_norm(p + "norm2")),
        norm3(build.layer_norm(p + "norm3")),
        gate_in(build.gated_linear(p + "ff.net.0.proj")),
        ff_out(build.linear(p + "ff.net.2")),
        self(build, p + "attn1."),
        cross(build, p + "attn2.") {}
  // `merging`, if there is any, of the tokens of x.
  at::Tensor operator()(at::Tensor x, const Inputs& in, std::int64_t heads,
                        const std::function<TokenMerging(const at::Tensor&)>& merging) const {
    at::Tensor h = (*norm1)(x);
    if (merging) {
      const TokenMerging tokens = merging(x);
      h = tokens.merge(h);
      x = x + tokens.unmerge(self({}, h, h, heads));
    } else {
      x = self(x, h, h, heads);
    }
    h = (*norm2)(x);
    x = in.prompt != nullptr ? cross(x, h, *in.prompt, heads) : cross(x, h, in.context, heads);
    return (*ff_out)((*gate_in)((*norm3)(x), {.activation = ops::Activation::kGeglu}), {.residual = x});
  }
};

struct SpatialTransformer : UNet::Part {
  Layer *norm, *proj_in, *proj_out;
  std::vector<TransformerBlock> blocks;
  std::int64_t heads = 0;
  SpatialTransformer(LayerBuilder& build, const std::string& p, const formats::AttentionHeads& rule)
      : norm(build.group_norm(p + "norm", 1e-6)),
        proj_in(build.conv_or_linear(p + "proj_in")),
        proj_out(build.conv_or_linear(p + "proj_out")) {
    const std::int64_t depth = build.count(p + "transformer_blocks.");
    for (std::int64_t t = 0; t < depth; ++t)
      blocks.emplace_back(build, p + "transformer_blocks." + std::to_string(t) + ".");
    const std::int64_t inner = proj_in->weight().size(0);
    heads = rule.in(inner);
    if (heads == 0) {
      const std::string stated = rule.count > 0
                                     ? fmt::format("its {} attention heads do not divide", rule.count)
                                     : fmt::format("heads {} wide do not divide", rule.width);
      throw Error(
          kUnsupported,
          "the U-Net block '{}' has width {}, which {}; state the heads in the checkpoint's metadata as "
          "lowrank.unet_heads (their number) or lowrank.unet_head_width.",
          p, inner, stated);
    }
  }
  at::Tensor forward(const at::Tensor& x, const Inputs& in, at::IntArrayRef) const override {
    const std::int64_t batch = x.size(0), height = x.size(2), width = x.size(3);
    const bool linear = proj_in->kind() == LayerKind::kLinear;
    const auto rows = [&](const at::Tensor& t) { return t.flatten(2).transpose(1, 2); };
    const auto map = [&](const at::Tensor& t) {
      return t.transpose(1, 2).reshape({batch, t.size(2), height, width});
    };
    at::Tensor h = (*norm)(x);
    h = linear ? (*proj_in)(rows(h)) : rows((*proj_in)(h));
    h = h.to(at::kFloat).contiguous();
    std::function<TokenMerging(const at::Tensor&)> merging;
    if (in.finest == 0) in.finest = height * width;
    if (in.merged_tokens > 0 && height * width == in.finest)
      merging = [&](const at::Tensor& t) { return TokenMerging(t, height, width, in.merged_tokens); };
    for (const auto& block : blocks) h = block(h, in, heads, merging);
    return linear ? map((*proj_out)(h, {.residual = rows(x)})) : (*proj_out)(map(h), {.residual = x});
  }
};

}  // namespace

UNet::UNet(UNet&&) noexcept = default;
UNet::~UNet() = default;

UNet::Stage UNet::build_stage(LayerBuilder& build, const std::string& prefix) {
  Stage stage{prefix.substr(0, prefix.size() - 1), {}};
  const std::int64_t parts = build.count(prefix);
  for (std::int64_t k = 0; k < parts; ++k) {
    const std::string p = prefix + std::to_string(k) + ".";
    if (build.any(p + "in_layers.")) {
      stage.parts.push_back(std::make_unique<ResBlock>(build, p));
    } else if (build.any(p + "transformer_blocks.")) {
      stage.parts.push_back(std::make_unique<SpatialTransformer>(build, p, heads_));
    } else if (build.has(p + "op")) {
      stage.parts.push_back(std::make_unique<PlainConv>(build.conv(p + "op", 2)));
    } else if (build.has(p + "conv")) {
      stage.parts.push_back(std::make_unique<Upsample>(build.conv(p + "conv")));
    } else if (build.has(prefix + std::to_string(k))) {
      stage.parts.push_back(std::make_unique<PlainConv>(build.conv(prefix + std::to_string(k))));
    } else {
      throw Error(kUnsupported, "the U-Net block '{}' is of a kind that Stable Diffusion does not have.", p);
    }
  }
  return stage;
}

UNet::UNet(const tensor::StateDict& state, std::optional<formats::AttentionHeads> heads)
    : heads_(heads.value_or(formats::family(formats::BaseModel::kSd1)->unet_heads)) {
  LayerBuilder build(formats::Component::kUnet, state, layers_, policy_);
  time1_ = build.linear("time_embed.0");
  time2_ = build.linear("time_embed.2");
  if (build.any("label_emb.")) {
    label1_ = build.linear("label_emb.0.0");
    label2_ = build.linear("label_emb.0.2");
  }
  const std::int64_t inputs = build.count("input_blocks."), outputs = build.count("output_blocks.");
  for (std::int64_t n = 0; n < inputs; ++n)
    input_.push_back(build_stage(build, "input_blocks." + std::to_string(n) + "."));
  middle_.push_back(build_stage(build, "middle_block."));
  for (std::int64_t n = 0; n < outputs; ++n)
    output_.push_back(build_stage(build, "output_blocks." + std::to_string(n) + "."));
  if (inputs == 0 || inputs != outputs)
    throw Error(kBadInput, "the U-Net has {} input and {} output blocks; the two counts must be equal.",
                inputs, outputs);
  out_norm_ = build.group_norm("out.0", 1e-5);
  out_conv_ = build.conv("out.2");
  model_channels_ = time1_->weight().size(1);
  in_channels_ = layers_.at("input_blocks.0.0")->weight().size(1);
  for (const auto& [path, layer] : layers_)
    if (path.ends_with("attn2.to_k")) context_width_ = layer->weight().size(1);
}

at::Tensor UNet::forward(const at::Tensor& x, const at::Tensor& timesteps, const Conditioning& conditioning,
                         const Observer& observer) const {
  return run(x, timesteps, conditioning, nullptr, observer, nullptr);
}

// All of them now, one beside the other: made in the midst of a step they would lie scattered between its maps.
PromptMemory UNet::remember(Conditioning conditioning) const {
  PromptMemory prompt(std::move(conditioning));
  for (const auto& [path, layer] : layers_)
    if (path.ends_with("attn2.to_k") || path.ends_with("attn2.to_v")) prompt.project(*layer);
  return prompt;
}

std::uint64_t UNet::revision() const {
  std::uint64_t sum = 0;
  for (const auto& [path, layer] : layers_) sum += layer->revision();
  return sum;
}

at::Tensor UNet::forward(const at::Tensor& x, const at::Tensor& timesteps, PromptMemory& prompt,
                         const Observer& observer, StepCache* cache) const {
  return run(x, timesteps, prompt.conditioning(), &prompt, observer, cache);
}

// SiLU of the embedding of time and, where the model takes one, the vector.
at::Tensor UNet::embedding(const at::Tensor& timesteps, const at::Tensor& vector) const {
  const ops::Fused silu{.activation = ops::Activation::kSilu};
  const at::Tensor time = (*time1_)(timestep_embedding(timesteps, model_channels_), silu);
  if (label1_ == nullptr) return (*time2_)(time, silu);
  return at::silu((*label2_)((*label1_)(vector, silu), {.residual = (*time2_)(time)}));
}

at::Tensor UNet::run(const at::Tensor& x, const at::Tensor& timesteps, const Conditioning& conditioning,
                     PromptMemory* prompt, const Observer& observer, StepCache* cache) const {
  LOWRANK_CHECK(x.dim() == 4 && x.size(1) == in_channels_ && conditioning.text.size(2) == context_width_);
  LOWRANK_CHECK(label1_ == nullptr ||
                (conditioning.vector.defined() && conditioning.vector.size(1) == vector_width()));
  const at::Tensor added = embedding(timesteps, conditioning.vector);
  const Inputs in{added, conditioning.text, prompt, policy_->merged_tokens};
  std::vector<at::Tensor> skips;
  at::Tensor h = x.to(at::kFloat);
  const auto recompute = policy_->recomputes_blocks ? Recompute::kYes : Recompute::kNo;
  const auto pass = [&](const Stage& stage, at::Tensor skip, const std::vector<std::int64_t>& size) {
    if (at::GradMode::is_enabled()) {
      h = stage.learn(h, skip, in, size, recompute);
    } else {
      if (skip.defined()) h = at::cat({h, std::exchange(skip, {})}, 1);
      h = stage.forward(std::move(h), in, size);
    }
    if (observer) observer(stage.name, h);
  };
  const auto descend = [&](const Stage& stage) {
    pass(stage, {}, {});
    skips.push_back(h);
  };
  const auto ascend = [&](const Stage& stage) {
    at::Tensor skip = std::move(skips.back());
    skips.pop_back();
    std::vector<std::int64_t> size;
    if (!skips.empty()) size = {skips.back().size(2), skips.back().size(3)};
    pass(stage, std::move(skip), size);
  };
  const at::Tensor remembered = cache == nullptr ? at::Tensor() : cache->features_for_call(revision());
  descend(input_.front());
  if (remembered.defined()) {
    h = remembered;
  } else {
    for (std::size_t i = 1; i < input_.size(); ++i) descend(input_[i]);
    for (const Stage& stage : middle_) pass(stage, {}, {});
    for (std::size_t i = 0; i + 1 < output_.size(); ++i) ascend(output_[i]);
    if (cache != nullptr) cache->keep(h);
  }
  ascend(output_.back());
  return (*out_conv_)((*out_norm_)(h, {.activation = ops::Activation::kSilu})).to(at::kFloat).contiguous();
}

}  // namespace lowrank::model
