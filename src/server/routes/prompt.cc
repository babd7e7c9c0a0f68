#include <algorithm>

#include "prompt/prompt.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

constexpr ParameterRow kTokens[] = {
    {.name = "prompt", .type = kString, .max_length = kMaxPromptBytes, .is_required = true},
    {.name = "steps",
     .type = kInteger,
     .standard = "20",
     .help = "where editing changes the text",
     .min = 1,
     .max = 1000},
};

}  // namespace

ParameterRows prompt_tokens_parameters() {
  return kTokens;
}

// The longest text that the prompt becomes over its steps and pieces, as A1111's counter shows it. Names of
// textual inversions count as words.
Reply prompt_tokens(Services& services, const Call& call) {
  static const prompt::Tokenizer tokenizer;
  const Json body = read_body(kTokens, call.body);
  const auto parsed = prompt::parse({.prompt = body["prompt"].get<std::string>(),
                                     .steps = body["steps"].get<int>(),
                                     .settings = {.limits = services.options.limits.prompt}},
                                    tokenizer);
  int tokens = 0;
  for (const auto& piece : parsed.pieces)
    for (const auto& text : piece.texts) tokens = std::max(tokens, text.token_count);
  const int chunks = std::max(1, (tokens + prompt::kChunkTokens - 1) / prompt::kChunkTokens);
  return json_reply(
      {{"tokens", tokens}, {"limit", chunks * prompt::kChunkTokens}, {"warnings", parsed.warnings}});
}

}  // namespace lowrank::server
