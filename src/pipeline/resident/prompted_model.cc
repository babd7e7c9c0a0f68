#include "pipeline/resident/prompted_model.h"

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

model::Conditioning PromptedModel::conditioning(std::span<const BranchRow> rows, int call) const {
  const PromptEncodings& encodings = prompts_.at(call);
  std::vector<at::Tensor> texts, vectors;
  std::int64_t longest = 0;
  for (const BranchRow& row : rows) {
    const bool is_negative = row.piece == BranchRow::kUncond;
    const std::size_t piece =
        is_negative ? 0 : prompts_.parsed.composition[static_cast<std::size_t>(row.piece)].piece;
    const TextVectors& text =
        is_negative ? encodings.negative->texts[prompts_.parsed.negative.text_for_call(call)]
                    : encodings.pieces[piece]->texts[prompts_.parsed.pieces[piece].text_for_call(call)];
    texts.push_back(text.context);
    const at::Tensor& size = is_negative ? options_.sizes.negative : options_.sizes.prompt;
    if (text.pooled.defined()) vectors.push_back(size.defined() ? at::cat({text.pooled, size}) : text.pooled);
    longest = std::max(longest, text.context.size(0));
  }
  for (at::Tensor& text : texts) text = stretch(text, longest);
  return {at::stack(texts), vectors.empty() ? at::Tensor() : at::stack(vectors)};
}

at::Tensor PromptedModel::pad_to(const at::Tensor& context, std::int64_t length, const at::Tensor& empty) {
  const std::int64_t missing = length - context.size(1);
  if (missing == 0) return context;
  padded_ = true;
  LOWRANK_CHECK(missing % empty.size(0) == 0);
  const at::Tensor filler = empty.repeat({missing / empty.size(0), 1});
  return at::cat({context, filler.unsqueeze(0).expand({context.size(0), missing, context.size(2)})}, 1);
}

// x [rows, 4, h, w] and behind its channels those of `extra` of each row's image.
at::Tensor PromptedModel::with_extra(const at::Tensor& x, std::span<const BranchRow> rows) const {
  const at::Tensor& extra = options_.extra;
  if (!extra.defined()) return x;
  std::vector<at::Tensor> parts;
  for (const BranchRow& row : rows) parts.push_back(extra[extra.size(0) == 1 ? 0 : row.image]);
  return at::cat({x, at::stack(parts)}, 1);
}

// Few are needed at a time: the halves of a batch that differ in length, the prompts that one alternates between.
PromptedModel::Seen& PromptedModel::remembered(const model::Conditioning& conditioning) {
  constexpr std::size_t kMost = 4;
  const auto same = [](const at::Tensor& a, const at::Tensor& b) {
    return a.defined() ? a.equal(b) : !b.defined();
  };
  const auto place = std::ranges::find_if(prompts_seen_, [&](const Seen& seen) {
    const model::Conditioning& known = seen.memory.conditioning();
    return same(known.text, conditioning.text) && same(known.vector, conditioning.vector);
  });
  if (place != prompts_seen_.end()) {
    prompts_seen_.splice(prompts_seen_.begin(), prompts_seen_, place);
  } else {
    prompts_seen_.push_front({model_.remember(conditioning)});
    if (prompts_seen_.size() > kMost) prompts_seen_.pop_back();
  }
  return prompts_seen_.front();
}

at::Tensor PromptedModel::predict(const at::Tensor& latent, const at::Tensor& timesteps,
                                  std::span<const BranchRow> rows, int call) {
  LOWRANK_CHECK(latent.size(0) == static_cast<std::int64_t>(rows.size()));
  if (options_.before_call) options_.before_call(call);
  const at::Tensor x = with_extra(latent, rows);
  const auto first_uncond = std::ranges::find(rows, BranchRow::kUncond, &BranchRow::piece) - rows.begin();
  const auto run_at_once = [&](std::int64_t from, std::int64_t count,
                               const model::Conditioning& conditioning) {
    ++passes_;
    Seen& seen = remembered(conditioning);
    const int whole_every = options_.whole_every;
    model::StepCache* const cache =
        whole_every > 1 ? &seen.caches.try_emplace({from, count}, whole_every).first->second : nullptr;
    model::DiffusionModel::Observer observer;
    if (options_.between_blocks)
      observer = [this](std::string_view, const at::Tensor&) { options_.between_blocks(); };
    return model_.forward(x.narrow(0, from, count), timesteps.narrow(0, from, count), seen.memory, observer,
                          cache);
  };
  const auto run = [&](std::int64_t from, std::int64_t count, const model::Conditioning& conditioning) {
    const std::int64_t most = options_.rows_at_once > 0 ? options_.rows_at_once : count;
    if (count <= most) return run_at_once(from, count, conditioning);
    std::vector<at::Tensor> parts;
    for (std::int64_t first = 0; first < count; first += most) {
      const std::int64_t some = std::min(most, count - first);
      const auto of_these = [&](const at::Tensor& t) { return t.defined() ? t.narrow(0, first, some) : t; };
      parts.push_back(
          run_at_once(from + first, some, {of_these(conditioning.text), of_these(conditioning.vector)}));
    }
    return at::cat(parts);
  };
  const auto conds = static_cast<std::int64_t>(first_uncond), all = x.size(0);
  if (conds == 0 || conds == all) return run(0, all, conditioning(rows, call));
  model::Conditioning cond = conditioning(rows.first(static_cast<std::size_t>(conds)), call);
  model::Conditioning uncond = conditioning(rows.subspan(static_cast<std::size_t>(conds)), call);
  if (const at::Tensor& empty = prompts_.at(call).empty; empty.defined()) {
    const std::int64_t length = std::max(cond.text.size(1), uncond.text.size(1));
    cond.text = pad_to(cond.text, length, empty);
    uncond.text = pad_to(uncond.text, length, empty);
  }
  if (cond.text.size(1) == uncond.text.size(1)) {
    const bool has_vector = cond.vector.defined();
    return run(0, all,
               {at::cat({cond.text, uncond.text}),
                has_vector ? at::cat({cond.vector, uncond.vector}) : at::Tensor()});
  }
  return at::cat({run(0, conds, cond), run(conds, all - conds, uncond)});
}

}  // namespace lowrank::pipeline
