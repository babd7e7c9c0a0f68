// Weighted pieces become chunks of 75 tokens between a start and an end token, each one pass of the text
// encoder.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "prompt/grammar/attention.h"
#include "prompt/tokens/tokenizer.h"

namespace lowrank::prompt {

inline constexpr int kChunkTokens = 75;
inline constexpr int kChunkRows = kChunkTokens + 2;

// A textual inversion that the caller has: its name as typed in prompts and how many vectors it holds.
struct EmbeddingName {
  std::string name = {};
  int vectors = 1;
};

// After the token-embedding lookup, rows first_row … first_row + vectors − 1 of the chunk (0 is the start
// token) are replaced by the embedding's first `vectors` vectors. first_row + vectors ≤ 77.
struct EmbeddingPlacement {
  int first_row = 0;
  int vectors = 0;
  std::size_t embedding = 0;  // index into the list of EmbeddingName
};

struct TokenChunk {
  std::array<int, kChunkRows> ids{};  // start, tokens (0 where an embedding lies), end tokens as padding
  std::array<float, kChunkRows> weights{};  // 1 for start, end and padding
  int used = 0;                             // tokens before the padding, 0 … 75
  std::vector<EmbeddingPlacement> embeddings;
};

// The chunk's ids for an encoder that pads with the end token's id, as the chunk has them, or with 0 behind the first end
// token (OpenCLIP).
enum class Padding { kEnd, kZero };
std::array<int, kChunkRows> padded_ids(const TokenChunk& chunk, Padding padding);

// Start and end tokens only: fills up texts that have fewer chunks than others.
TokenChunk empty_chunk();

// Names of embeddings as token ids, for matching inside prompts. Keeps no reference to `names`.
class EmbeddingTable {
 public:
  EmbeddingTable() = default;
  EmbeddingTable(std::span<const EmbeddingName> names, const Tokenizer& tokenizer);

  struct Match {
    std::size_t embedding = 0;
    int vectors = 0;
    std::size_t length = 0;  // tokens of the name
  };
  // The longest name that stands at the beginning of `ids`; length 0 when there is none.
  Match find(std::span<const int> ids) const;

 private:
  struct Entry {
    std::vector<int> ids;
    std::size_t embedding;
    int vectors;
  };
  std::map<int, std::vector<Entry>> by_first_id_;  // longest first
};

struct ChunkedText {
  std::vector<TokenChunk> chunks;  // at least one
  // As A1111 shows it: 75 per chunk closed on the way and the real length of the last one
  int token_count = 0;
};

struct ChunkOptions {
  // "Prompt word wrap length limit": a cut may go back this far to a comma; 0: never
  int comma_backtrack = 20;
  const EmbeddingTable* embeddings = nullptr;  // not owned
};

// Each piece is tokenised on its own. A BREAK marker closes the chunk, even an empty one. Weights are rounded
// to float. Source: A1111's sd_hijack_clip; an embedding behind the comma of a cut moves along, where A1111
// leaves it.
ChunkedText chunk_pieces(std::span<const WeightedPiece> pieces, const Tokenizer& tokenizer,
                         const ChunkOptions& options = {});

}  // namespace lowrank::prompt
