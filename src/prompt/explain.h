// What a prompt means, for a person or a program: stages, pieces, schedules, chunks, tokens, weights and
// tags.
#pragma once

#include <string>

#include "prompt/prompt.h"

namespace lowrank::prompt {

enum class ExplainFormat { kText, kJson };

struct ExplainRequest {
  Request request = {};
  ExplainFormat format = ExplainFormat::kText;
};

// Ends with a newline. Throws what parse() throws.
std::string explain(const ExplainRequest& request);

}  // namespace lowrank::prompt
