#include "prompt/tokens/chunks.h"

#include <algorithm>
#include <cmath>

namespace lowrank::prompt {
namespace {

// A chunk while tokens are still added to it.
struct OpenChunk {
  std::vector<int> ids;
  std::vector<float> weights;
  std::vector<EmbeddingPlacement> embeddings;
  int last_comma = -1;  // index of the last comma among ids

  int size() const { return static_cast<int>(ids.size()); }
};

class Chunker {
 public:
  explicit Chunker(int comma_backtrack) : backtrack_(comma_backtrack) {}

  // Before the token at hand is added: note a comma, or cut back to one, and make room.
  void prepare(int token) {
    if (token == Tokenizer::kComma) {
      open_.last_comma = open_.size();
    } else if (backtrack_ != 0 && open_.size() == kChunkTokens && open_.last_comma >= 0 &&
               kChunkTokens - open_.last_comma <= backtrack_) {
      cut_after_comma();
    }
    if (open_.size() == kChunkTokens) close();
  }

  void add_token(int token, float weight) {
    open_.ids.push_back(token);
    open_.weights.push_back(weight);
  }

  // The vectors of a very long embedding take the row of the end token as well; what does not fit is cut.
  void add_embedding(std::size_t embedding, int vectors, float weight) {
    if (open_.size() > kChunkTokens - std::min(vectors, kChunkTokens)) close();
    const int rows = std::min(vectors, kChunkRows - 1 - open_.size());
    open_.embeddings.push_back({open_.size() + 1, rows, embedding});
    for (int i = 0; i < std::min(rows, kChunkTokens); ++i) add_token(0, weight);
  }

  void close() {
    finished_.push_back(sealed(open_));
    open_ = {};
  }

  ChunkedText finish() {
    ChunkedText out;
    out.token_count = kChunkTokens * static_cast<int>(finished_.size());
    if (!open_.ids.empty() || finished_.empty()) {
      out.token_count += open_.size();
      close();
    }
    out.chunks = std::move(finished_);
    return out;
  }

  static TokenChunk sealed(const OpenChunk& open) {
    TokenChunk chunk;
    chunk.ids.fill(Tokenizer::kEnd);
    chunk.weights.fill(1.0f);
    chunk.ids[0] = Tokenizer::kStart;
    std::copy(open.ids.begin(), open.ids.end(), chunk.ids.begin() + 1);
    std::copy(open.weights.begin(), open.weights.end(), chunk.weights.begin() + 1);
    chunk.used = open.size();
    chunk.embeddings = open.embeddings;
    return chunk;
  }

 private:
  void cut_after_comma() {
    const int keep = open_.last_comma + 1;
    OpenChunk carried;
    carried.ids.assign(open_.ids.begin() + keep, open_.ids.end());
    carried.weights.assign(open_.weights.begin() + keep, open_.weights.end());
    open_.ids.resize(static_cast<std::size_t>(keep));
    open_.weights.resize(static_cast<std::size_t>(keep));
    const auto stays = [&](const EmbeddingPlacement& e) { return e.first_row <= keep; };
    const auto first_carried = std::partition_point(open_.embeddings.begin(), open_.embeddings.end(), stays);
    for (auto e = first_carried; e != open_.embeddings.end(); ++e) {
      carried.embeddings.push_back({e->first_row - keep, e->vectors, e->embedding});
    }
    open_.embeddings.erase(first_carried, open_.embeddings.end());
    close();
    open_ = std::move(carried);
  }

  int backtrack_;
  OpenChunk open_;
  std::vector<TokenChunk> finished_;
};

}  // namespace

std::array<int, kChunkRows> padded_ids(const TokenChunk& chunk, Padding padding) {
  std::array<int, kChunkRows> ids = chunk.ids;
  if (padding == Padding::kEnd) return ids;
  const auto end = std::ranges::find(ids, Tokenizer::kEnd);
  if (end != ids.end()) std::fill(end + 1, ids.end(), 0);
  return ids;
}

TokenChunk empty_chunk() {
  return Chunker::sealed({});
}

EmbeddingTable::EmbeddingTable(std::span<const EmbeddingName> names, const Tokenizer& tokenizer) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::vector<int> ids = tokenizer.encode(names[i].name);
    if (ids.empty() || names[i].vectors < 1) continue;
    by_first_id_[ids.front()].push_back({std::move(ids), i, names[i].vectors});
  }
  for (auto& [first, entries] : by_first_id_) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& a, const Entry& b) { return a.ids.size() > b.ids.size(); });
  }
}

EmbeddingTable::Match EmbeddingTable::find(std::span<const int> ids) const {
  if (ids.empty()) return {};
  const auto entries = by_first_id_.find(ids.front());
  if (entries == by_first_id_.end()) return {};
  for (const Entry& entry : entries->second) {
    if (entry.ids.size() <= ids.size() && std::equal(entry.ids.begin(), entry.ids.end(), ids.begin())) {
      return {entry.embedding, entry.vectors, entry.ids.size()};
    }
  }
  return {};
}

ChunkedText chunk_pieces(std::span<const WeightedPiece> pieces, const Tokenizer& tokenizer,
                         const ChunkOptions& options) {
  Chunker chunker(options.comma_backtrack);
  for (const WeightedPiece& piece : pieces) {
    if (piece.is_break()) {
      chunker.close();
      continue;
    }
    const std::vector<int> ids = tokenizer.encode(piece.text);
    const auto weight = static_cast<float>(piece.weight);
    for (std::size_t at = 0; at < ids.size();) {
      chunker.prepare(ids[at]);
      const auto match = options.embeddings == nullptr
                             ? EmbeddingTable::Match{}
                             : options.embeddings->find(std::span<const int>(ids).subspan(at));
      if (match.length > 0) {
        chunker.add_embedding(match.embedding, match.vectors, weight);
        at += match.length;
      } else {
        chunker.add_token(ids[at], weight);
        ++at;
      }
    }
  }
  return chunker.finish();
}

}  // namespace lowrank::prompt
