#include <algorithm>
#include <vector>

#include "library/prompt_names.h"
#include "prompt/prompt.h"
#include "server/fields/field_parameter.h"
#include "server/routes/routes.h"

namespace lowrank::server {
namespace {

using enum ParameterType;

const std::vector<ParameterRow>& token_rows() {
  static const std::vector<ParameterRow> rows = [] {
    ParameterRow steps = field_parameter("steps");
    steps.help = "step at which prompt editing changes the text";
    return std::vector<ParameterRow>{
        {.name = "prompt", .type = kString, .max_length = kMaxPromptBytes, .is_required = true}, steps};
  }();
  return rows;
}

}  // namespace

ParameterRows prompt_tokens_parameters() {
  return token_rows();
}

// The longest text that the prompt becomes over its steps and pieces, as A1111's counter shows it. A textual inversion
// counts with its vectors.
Reply prompt_tokens(Services& services, const Call& call) {
  static const prompt::Tokenizer tokenizer;
  const Json body = read_body(token_rows(), call.body);
  prompt::Request request{.prompt = body["prompt"].get<std::string>(),
                          .steps = body["steps"].get<int>(),
                          .settings = {.limits = services.options.limits.prompt}};
  const auto emphasis = prompt::emphasis_from_label(services.settings.text("emphasis"));
  request.settings.emphasis = services.settings.flag("enable_emphasis")
                                  ? emphasis.value_or(prompt::Emphasis::kOriginal)
                                  : prompt::Emphasis::kNone;
  request.settings.comma_backtrack = services.settings.get("comma_padding_backtrack").get<int>();
  const auto widths = text_encoder_widths(services);
  auto names =
      library::prompt_names(*services.embeddings.fitting(widths), request.prompt, widths,
                            request.settings.comments, [&](const std::string& name) {
                              return services.library_service.with([&](const library::Library& library) {
                                return library.path_of(library.resolve(name).record);
                              });
                            });
  request.settings.embeddings = std::move(names.embeddings);
  request.settings.unusable = std::move(names.unusable);
  const auto parsed = prompt::parse(request, tokenizer);
  int tokens = 0;
  for (const auto& piece : parsed.pieces)
    for (const auto& text : piece.texts) tokens = std::max(tokens, text.token_count);
  const int chunks = std::max(1, (tokens + prompt::kChunkTokens - 1) / prompt::kChunkTokens);
  return json_reply(
      {{"tokens", tokens}, {"limit", chunks * prompt::kChunkTokens}, {"warnings", parsed.warnings}});
}

}  // namespace lowrank::server
