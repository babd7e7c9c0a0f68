#include "prompt/prompt.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/text.h"
#include "prompt/grammar/tag_lookalikes.h"
#include "prompt/grammar/tag_times.h"
#include "prompt/number_lookalikes.h"

namespace lowrank::prompt {
namespace {

struct EmphasisRow {
  Emphasis emphasis;
  std::string_view label;
};

constexpr std::array<EmphasisRow, 4> kEmphasisTable = {{
    {Emphasis::kOriginal, "Original"},
    {Emphasis::kNoNorm, "No norm"},
    {Emphasis::kIgnore, "Ignore"},
    {Emphasis::kNone, "None"},
}};

void check(const Request& request) {
  if (request.steps < 1 || (request.hires_steps && *request.hires_steps < 1)) {
    throw Error(kBadInput, "steps: {} is too few; at least 1 is needed.",
                std::min(request.steps, request.hires_steps.value_or(1)));
  }
  constexpr int kMaxSteps = 10'000;
  if (std::max(request.steps, request.hires_steps.value_or(1)) > kMaxSteps) {
    throw Error(kBadInput, "steps: more than {} are not supported.", kMaxSteps);
  }
  for (const auto& [name, text] :
       {std::pair("prompt", &request.prompt), std::pair("negative prompt", &request.negative_prompt)}) {
    if (text->size() > kMaxPromptBytes) {
      throw Error(kBadInput, "{}: has {} bytes, more than the limit of {}; shorten it.", name, text->size(),
                  kMaxPromptBytes);
    }
  }
}

// Reads texts with one set of settings and collects what is said about them on the way.
class Reader {
 public:
  Reader(const Request& request, const Tokenizer& tokenizer, ParsedPrompt& out)
      : request_(request),
        tokenizer_(tokenizer),
        embeddings_(request.settings.embeddings, tokenizer),
        unusable_(names_of(request.settings.unusable), tokenizer),
        out_(out) {
    const int calls_per_step = request.second_order ? 2 : 1;
    steps_.base = request.steps * calls_per_step;
    if (request.hires_steps) steps_.hires = *request.hires_steps * calls_per_step;
    steps_.use_old_timelines = request.settings.use_old_timelines;
  }

  const ScheduleSteps& steps() const { return steps_; }

  Conditioning read(std::string text) {
    Conditioning out;
    out.text = std::move(text);
    out.schedule = resolve_schedule(out.text, steps_);
    std::map<std::string_view, std::size_t> known;
    std::size_t longest = 0;
    for (const ScheduleEntry& entry : out.schedule) {
      const auto [place, is_new] = known.try_emplace(entry.text, out.texts.size());
      if (is_new) {
        check_limit(&PromptLimits::texts, request_.settings.limits, ++texts_);
        out.texts.push_back(encode(entry.text));
        longest = std::max(longest, out.texts.back().chunks.size());
        // Shorter texts are filled up to the longest.
        check_limit(&PromptLimits::chunks, request_.settings.limits,
                    chunks_ + static_cast<std::int64_t>(longest * out.texts.size()));
      }
      out.text_of_entry.push_back(place->second);
    }
    chunks_ += static_cast<std::int64_t>(longest * out.texts.size());
    for (EncodedText& encoded : out.texts) encoded.chunks.resize(longest, empty_chunk());
    return out;
  }

 private:
  static std::vector<EmbeddingName> names_of(const std::vector<UnusableEmbedding>& list) {
    std::vector<EmbeddingName> names;
    for (const auto& each : list) names.push_back({each.name, 1});
    return names;
  }

  EncodedText encode(const std::string& text) {
    const Settings& settings = request_.settings;
    EncodedText out;
    out.text = text;
    out.pieces = settings.emphasis == Emphasis::kNone ? std::vector<WeightedPiece>{{text, 1.0}}
                                                      : parse_attention(text);
    if (settings.emphasis != Emphasis::kIgnore) check_weights(out.pieces);
    warn_about_weighted_breaks(out.pieces);
    ChunkedText chunked = chunk_pieces(
        out.pieces, tokenizer_, {.comma_backtrack = settings.comma_backtrack, .embeddings = &embeddings_});
    out.chunks = std::move(chunked.chunks);
    out.token_count = chunked.token_count;
    warn_about_unusable(out.chunks);
    for (TokenChunk& chunk : out.chunks) {
      if (settings.emphasis == Emphasis::kIgnore) chunk.weights.fill(1.0f);
      for (const EmbeddingPlacement& placement : chunk.embeddings) {
        note_embedding(placement.embedding);
        warn_about_cut(placement);
      }
    }
    return out;
  }

  static void check_weights(const std::vector<WeightedPiece>& pieces) {
    for (const WeightedPiece& piece : pieces)
      if (!(std::abs(piece.weight) <= kMaxAttentionWeight))
        throw Error(kBadInput,
                    "'{}': its brackets give it the weight {:g}, beyond {:g}, where the encoder's output "
                    "overflows; use a smaller one.",
                    piece.text.substr(0, 60), piece.weight, kMaxAttentionWeight);
  }

  void warn_about_weighted_breaks(const std::vector<WeightedPiece>& pieces) {
    for (const WeightedPiece& piece : pieces) {
      if (piece.text != "BREAK" || piece.weight >= 0 || piece.is_break()) continue;
      warn(fmt::format(
          "BREAK inside brackets does not end a chunk: it is read as the word \"BREAK\" with weight {:g}.",
          piece.weight));
    }
  }

  // Names of embeddings that cannot be used are words; whoever wrote them may not have meant that.
  void warn_about_unusable(const std::vector<TokenChunk>& chunks) {
    const auto& unusable = request_.settings.unusable;
    if (unusable.empty()) return;
    std::vector<int> ids;
    for (const TokenChunk& chunk : chunks)
      ids.insert(ids.end(), chunk.ids.begin() + 1, chunk.ids.begin() + 1 + chunk.used);
    for (std::size_t at = 0; at < ids.size(); ++at) {
      const auto match = unusable_.find(std::span(ids).subspan(at));
      if (match.length == 0) continue;
      const UnusableEmbedding& embedding = unusable[match.embedding];
      warn(fmt::format("the embedding '{}' cannot be used and is read as plain text: {}", embedding.name,
                       embedding.reason));
    }
  }

  void warn_about_cut(const EmbeddingPlacement& placement) {
    const EmbeddingName& embedding = request_.settings.embeddings[placement.embedding];
    if (placement.vectors < embedding.vectors)
      warn(fmt::format("the embedding '{}' has {} vectors, but a prompt can hold {}: the rest has no effect.",
                       embedding.name, embedding.vectors, placement.vectors));
  }

  void note_embedding(std::size_t index) {
    auto& used = out_.used_embeddings;
    if (std::find(used.begin(), used.end(), index) == used.end()) used.push_back(index);
  }

  void warn(std::string warning) {
    if (std::find(out_.warnings.begin(), out_.warnings.end(), warning) == out_.warnings.end()) {
      out_.warnings.push_back(std::move(warning));
    }
  }

  const Request& request_;
  const Tokenizer& tokenizer_;
  std::int64_t texts_ = 0, chunks_ = 0;  // of all that was read so far
  EmbeddingTable embeddings_, unusable_;
  ScheduleSteps steps_;
  ParsedPrompt& out_;
};

}  // namespace

std::string_view label(Emphasis emphasis) {
  for (const EmphasisRow& row : kEmphasisTable) {
    if (row.emphasis == emphasis) return row.label;
  }
  return {};
}

std::optional<Emphasis> emphasis_from_label(std::string_view label) {
  for (const EmphasisRow& row : kEmphasisTable) {
    if (row.label == label) return row.emphasis;
  }
  return std::nullopt;
}

ParsedPrompt parse(const Request& request, const Tokenizer& tokenizer) {
  check(request);
  ParsedPrompt out;
  const StyledPrompts clean = apply_styles(well_formed(request.prompt), well_formed(request.negative_prompt),
                                           {}, {}, request.settings.comments);
  out.prompt = clean.prompt;
  out.negative_prompt = clean.negative_prompt;
  out.uses_emphasis = (out.prompt + out.negative_prompt).find_first_of("([") != std::string::npos;
  const PromptLimits& limits = request.settings.limits;
  check_limit(&PromptLimits::depth, limits,
              std::max(bracket_depth(out.prompt), bracket_depth(out.negative_prompt)));
  out.networks = parse_extra_networks(out.prompt);
  check_limit(&PromptLimits::tags, limits, static_cast<std::int64_t>(out.networks.tags.size()));
  out.warnings = request.warnings;
  out.warnings.insert(out.warnings.end(), clean.warnings.begin(), clean.warnings.end());
  out.warnings.insert(out.warnings.end(), out.networks.warnings.begin(), out.networks.warnings.end());
  if (has_network_tag(out.negative_prompt) || !lookalike_warnings(out.negative_prompt).empty()) {
    out.warnings.push_back(
        "a network tag in the negative prompt has no effect and is read as plain text; move it to the "
        "prompt.");
  }

  for (const std::string* text : {&out.networks.stripped, &out.negative_prompt})
    for (std::string& warning : number_warnings(*text)) out.warnings.push_back(std::move(warning));
  Reader reader(request, tokenizer, out);
  find_tag_times(out.prompt, out.networks, reader.steps());
  ComposedPrompts composed = compose(std::span<const std::string>(&out.networks.stripped, 1));
  check_limit(&PromptLimits::pieces, limits, static_cast<std::int64_t>(composed.uses.front().size()));
  for (std::string& text : composed.texts) out.pieces.push_back(reader.read(std::move(text)));
  for (const auto& use : composed.uses.front()) {
    if (std::abs(use.weight) > kMaxNetworkWeight)
      throw Error(
          kBadInput,
          "'{}': the weight {:g} of this part exceeds {:g}, where every picture is noise; use a smaller one.",
          trim(out.pieces[use.text].text).substr(0, 60), use.weight, kMaxNetworkWeight);
    out.composition.push_back({use.text, use.weight});
  }
  out.negative = reader.read(out.negative_prompt);
  return out;
}

}  // namespace lowrank::prompt
