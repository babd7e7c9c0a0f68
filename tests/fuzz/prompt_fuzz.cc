// Any bytes are a prompt: parsing must end, stay in bounds and give whole chunks. The first bytes choose the
// settings.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/error.h"
#include "prompt/explain.h"
#include "prompt/prompt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lowrank;
  if (size < 2) return 0;
  prompt::Request request;
  request.steps = 1 + data[0] % 12;
  request.second_order = (data[1] & 1) != 0;
  if ((data[1] & 2) != 0) request.hires_steps = 7;
  request.settings.use_old_timelines = (data[1] & 4) != 0;
  request.settings.emphasis = static_cast<prompt::Emphasis>(data[1] >> 3 & 3);
  request.settings.comma_backtrack = data[1] >> 5;
  request.settings.embeddings = {{"emb", 3}, {"long one", 90}};
  const std::string text(reinterpret_cast<const char*>(data + 2), size - 2);
  const std::size_t half = text.find('\f');
  request.prompt = text.substr(0, half);
  if (half != std::string::npos) request.negative_prompt = text.substr(half + 1);

  static const prompt::Tokenizer tokenizer;
  try {
    const prompt::ParsedPrompt parsed = prompt::parse(request, tokenizer);
    for (const auto& piece : parsed.pieces) {
      for (const auto& encoded : piece.texts) {
        LOWRANK_CHECK(encoded.chunks.size() == piece.chunk_count());
        for (const auto& chunk : encoded.chunks) {
          LOWRANK_CHECK(chunk.ids[0] == prompt::Tokenizer::kStart &&
                        chunk.ids[76] == prompt::Tokenizer::kEnd);
          for (const int id : chunk.ids) LOWRANK_CHECK(id >= 0 && id < prompt::Tokenizer::kSize);
          for (const auto& e : chunk.embeddings)
            LOWRANK_CHECK(e.first_row >= 1 && e.first_row + e.vectors <= 77);
        }
      }
    }
    if (size < 200) {  // printing is the slow part, and length adds nothing to it
      prompt::explain({request, prompt::ExplainFormat::kText});
      prompt::explain({request, prompt::ExplainFormat::kJson});
    }
  } catch (const Error& error) {
    if (error.code() == kInternal) throw;
  }
  return 0;
}
