// From what the user typed to everything the pipeline needs: plain data, no tensors. The order of processing
// is comments → tags → AND → editing → attention and BREAK → tokens and chunks.
//
//   const ParsedPrompt parsed = parse({.prompt = "3dmm style, a [cat:dog:0.5] <lora:3dmm:0.8>", .steps = 20},
//   tokenizer);
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/grammar/attention.h"
#include "prompt/grammar/composition.h"
#include "prompt/grammar/extra_networks.h"
#include "prompt/grammar/schedule.h"
#include "prompt/limits.h"
#include "prompt/styles.h"
#include "prompt/tokens/chunks.h"
#include "prompt/tokens/tokenizer.h"

namespace lowrank::prompt {

// What the weights do to the encoder's output z (m: weights of the rows):
//   kOriginal  z·m, then scaled by mean(z) / mean(z·m) over all rows and columns of the call
//   kNoNorm    z·m
//   kIgnore    z; brackets are parsed and removed (the chunks' weights are then all 1)
//   kNone      z; brackets stay text (weights all 1)
enum class Emphasis { kOriginal, kNoNorm, kIgnore, kNone };

// "Original", "No norm", "Ignore", "None": A1111's labels, as the metadata writes them.
std::string_view label(Emphasis emphasis);
std::optional<Emphasis> emphasis_from_label(std::string_view label);

// A textual inversion that is there but cannot be used: where a text names it, the reason is told.
struct UnusableEmbedding {
  std::string name;
  std::string reason;  // one sentence
};

struct Settings {
  Comments comments = Comments::kStrip;
  Emphasis emphasis = Emphasis::kOriginal;
  int comma_backtrack = 20;
  bool use_old_timelines = false;
  std::vector<EmbeddingName> embeddings = {};    // textual inversions the caller can supply
  std::vector<UnusableEmbedding> unusable = {};  // and those that it cannot
  PromptLimits limits = {};
};

struct Request {
  std::string prompt = {};  // styles already applied, if there are any (apply_styles)
  std::string negative_prompt = {};
  int steps = 20;                       // sampling steps of the first pass, ≥ 1
  bool second_order = false;            // the sampler calls the model twice a step: prompt steps are doubled
  std::optional<int> hires_steps = {};  // set: resolve for the hires pass, which has this many sampling steps
  Settings settings = {};
  std::vector<std::string> warnings = {};  // of whoever made the texts, to stand first among the result's
};

// One text that goes through the text encoder.
struct EncodedText {
  std::string text;
  std::vector<WeightedPiece> pieces;
  std::vector<TokenChunk> chunks;
  int token_count = 0;
};

// One piece of the composition, or the negative prompt: its texts over time. All its texts have the same
// number of chunks (shorter ones are filled with empty chunks), so they can be encoded in one call, as A1111
// does.
struct Conditioning {
  std::string text;                        // the piece before editing is resolved
  std::vector<ScheduleEntry> schedule;     // never empty
  std::vector<EncodedText> texts;          // the distinct texts of the schedule in order of appearance
  std::vector<std::size_t> text_of_entry;  // schedule[i] is encoded by texts[text_of_entry[i]]

  // The text that model call `call` (from 0) is conditioned on: an index into texts. Source: A1111, see
  // entry_for_call.
  std::size_t text_for_call(int call) const { return text_of_entry[entry_for_call(schedule, call)]; }
  std::size_t chunk_count() const { return texts.front().chunks.size(); }
};

struct ParsedPrompt {
  struct Use {
    std::size_t piece = 0;  // index into pieces
    double weight = 1.0;
  };
  std::string prompt;                // without comments, trimmed, tags still inside: what the metadata stores
  std::string negative_prompt;       // likewise
  ExtraNetworks networks;            // tags of the positive prompt; in a batch the first picture's decide
  std::vector<Conditioning> pieces;  // distinct pieces of the positive prompt
  std::vector<Use> composition;      // u + Σ weight · scale · (piece − u)
  Conditioning negative;
  bool uses_emphasis = false;  // a `(` or `[` in either prompt: the metadata then names a mode ≠ Original
  std::vector<std::size_t> used_embeddings;  // indices into settings.embeddings, in order of first use
  std::vector<std::string> warnings;         // one sentence each, tags' warnings included
};

// Throws Error(kBadInput) for steps below 1, a prompt longer than kMaxPromptBytes or beyond the limits; any other text
// has a meaning.
ParsedPrompt parse(const Request& request, const Tokenizer& tokenizer);

}  // namespace lowrank::prompt
