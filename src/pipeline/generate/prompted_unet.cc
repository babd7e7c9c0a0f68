#include "pipeline/generate/prompted_unet.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace lowrank::pipeline {
namespace {

using sampling::BranchRow;

// Repeats the last vector up to `length` rows. Source: A1111's reconstruct_multicond_batch.
at::Tensor stretch(const at::Tensor& text, std::int64_t length) {
  if (text.size(0) == length) return text;
  return at::cat({text, text.narrow(0, text.size(0) - 1, 1).expand({length - text.size(0), text.size(1)})});
}

}  // namespace

at::Tensor PromptedUNet::context(std::span<const BranchRow> rows, int call) const {
  const PromptEncodings& encodings = prompts_.at(call);
  std::vector<at::Tensor> texts;
  std::int64_t longest = 0;
  for (const BranchRow& row : rows) {
    if (row.piece == BranchRow::kUncond) {
      texts.push_back(encodings.negative->texts[prompts_.parsed.negative.text_for_call(call)]);
    } else {
      const std::size_t piece = prompts_.parsed.composition[static_cast<std::size_t>(row.piece)].piece;
      texts.push_back(encodings.pieces[piece]->texts[prompts_.parsed.pieces[piece].text_for_call(call)]);
    }
    longest = std::max(longest, texts.back().size(0));
  }
  for (at::Tensor& text : texts) text = stretch(text, longest);
  return at::stack(texts);
}

at::Tensor PromptedUNet::pad_to(const at::Tensor& context, std::int64_t length, const at::Tensor& empty) {
  const std::int64_t missing = length - context.size(1);
  if (missing == 0) return context;
  padded_ = true;
  LOWRANK_CHECK(missing % empty.size(0) == 0);
  const at::Tensor filler = empty.repeat({missing / empty.size(0), 1});
  return at::cat({context, filler.unsqueeze(0).expand({context.size(0), missing, context.size(2)})}, 1);
}

// x [rows, 4, h, w] and behind its channels those of `extra` of each row's image.
at::Tensor PromptedUNet::with_extra(const at::Tensor& x, std::span<const BranchRow> rows) const {
  if (!extra_.defined()) return x;
  std::vector<at::Tensor> parts;
  for (const BranchRow& row : rows) parts.push_back(extra_[extra_.size(0) == 1 ? 0 : row.image]);
  return at::cat({x, at::stack(parts)}, 1);
}

// Few are needed at a time: the halves of a batch that differ in length, the prompts that one alternates between.
PromptedUNet::Seen& PromptedUNet::remembered(const at::Tensor& context) {
  constexpr std::size_t kMost = 4;
  const auto place = std::ranges::find_if(
      prompts_seen_, [&](const Seen& seen) { return seen.memory.context().equal(context); });
  if (place != prompts_seen_.end()) {
    prompts_seen_.splice(prompts_seen_.begin(), prompts_seen_, place);
  } else {
    prompts_seen_.push_front({unet_.remember(context)});
    if (prompts_seen_.size() > kMost) prompts_seen_.pop_back();
  }
  return prompts_seen_.front();
}

at::Tensor PromptedUNet::predict(const at::Tensor& latent, const at::Tensor& timesteps,
                                 std::span<const BranchRow> rows, int call) {
  LOWRANK_CHECK(latent.size(0) == static_cast<std::int64_t>(rows.size()));
  if (before_call_) before_call_(call);
  const at::Tensor x = with_extra(latent, rows);
  const auto first_uncond = std::ranges::find(rows, BranchRow::kUncond, &BranchRow::piece) - rows.begin();
  const auto run = [&](std::int64_t from, std::int64_t count, const at::Tensor& text) {
    ++passes_;
    Seen& seen = remembered(text);
    model::StepCache* const cache =
        whole_every_ > 1 ? &seen.caches.try_emplace({from, count}, whole_every_).first->second : nullptr;
    model::UNet::Observer observer;
    if (between_blocks_) observer = [this](std::string_view, const at::Tensor&) { between_blocks_(); };
    return unet_.forward(x.narrow(0, from, count), timesteps.narrow(0, from, count), seen.memory, observer,
                         cache);
  };
  const auto conds = static_cast<std::int64_t>(first_uncond), all = x.size(0);
  if (conds == 0 || conds == all) return run(0, all, context(rows, call));
  at::Tensor cond = context(rows.first(static_cast<std::size_t>(conds)), call);
  at::Tensor uncond = context(rows.subspan(static_cast<std::size_t>(conds)), call);
  if (const at::Tensor& empty = prompts_.at(call).empty; empty.defined()) {
    const std::int64_t length = std::max(cond.size(1), uncond.size(1));
    cond = pad_to(cond, length, empty);
    uncond = pad_to(uncond, length, empty);
  }
  if (cond.size(1) == uncond.size(1)) return run(0, all, at::cat({cond, uncond}));
  return at::cat({run(0, conds, cond), run(conds, all - conds, uncond)});
}

}  // namespace lowrank::pipeline
