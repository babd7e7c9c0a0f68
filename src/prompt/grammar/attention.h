// Attention weights `(word:1.2)`, `((word))`, `[word]`, escapes and BREAK: a text becomes pieces with
// weights.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::prompt {

// An opening bracket beyond this many open ones of its shape is ordinary text; A1111 has no limit.
inline constexpr std::size_t kMaxAttentionDepth = 1000;

// Largest weight, either way, of words. As many brackets as PromptLimits lets be open at once stay below it (1.1²⁵⁰ is
// 2·10¹⁰); what the encoder gives, times this, summed over a chunk, is still a float32.
inline constexpr double kMaxAttentionWeight = 1e12;

struct WeightedPiece {
  std::string text = {};
  double weight = 1.0;

  // True for the marker that ends a chunk: the piece "BREAK" whose weight is exactly −1.
  bool is_break() const { return weight == -1.0 && text == "BREAK"; }
};

// Never empty. Weights multiply in the order in which brackets close, as doubles: `(` is 1.1, `[` is 1 ÷ 1.1.
// A closer whose number is none (`1.2.3`) counts as text and a plain bracket, where A1111 fails. Time:
// characters × bracket depth at worst. Source: A1111's parse_prompt_attention.
std::vector<WeightedPiece> parse_attention(std::string_view text);

}  // namespace lowrank::prompt
