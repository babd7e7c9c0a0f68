#include "prompt/grammar/composition.h"

#include <map>
#include <optional>

#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

// An optional sign, then digits with an optional final point, or digits, point and at least one digit.
bool is_weight(std::string_view text) {
  std::size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  std::size_t whole = 0;
  std::size_t fraction = 0;
  bool point = false;
  while (at < text.size()) {
    const Decoded c = decode_at(text, at);
    if (digit_value(c.code)) {
      ++(point ? fraction : whole);
    } else if (c.code == '.' && !point) {
      point = true;
    } else {
      return false;
    }
    at += c.length;
  }
  return whole > 0 || fraction > 0;
}

ComposedPiece read_piece(std::string_view piece) {
  const std::string_view body = trim_end(piece);
  const std::size_t colon = body.rfind(':');
  if (colon != std::string_view::npos) {
    const std::string_view number = body.substr(skip_space(body, colon + 1));
    const auto weight = is_weight(number) ? parse_number(number) : std::nullopt;
    if (weight) return {std::string(trim_end(body.substr(0, colon))), *weight};
  }
  return {std::string(body), 1.0};
}

}  // namespace

std::vector<ComposedPiece> split_composition(std::string_view prompt) {
  constexpr std::string_view kAnd = "AND";
  std::vector<ComposedPiece> pieces;
  std::size_t begin = 0;
  for (std::size_t at = prompt.find(kAnd); at != std::string_view::npos;
       at = prompt.find(kAnd, at + kAnd.size())) {
    if (!word_ends_at(prompt, at) || !word_ends_at(prompt, at + kAnd.size())) continue;
    pieces.push_back(read_piece(prompt.substr(begin, at - begin)));
    begin = at + kAnd.size();
  }
  pieces.push_back(read_piece(prompt.substr(begin)));
  return pieces;
}

ComposedPrompts compose(std::span<const std::string> prompts) {
  ComposedPrompts out;
  std::map<std::string, std::size_t> known;
  for (const std::string& prompt : prompts) {
    auto& uses = out.uses.emplace_back();
    for (ComposedPiece& piece : split_composition(prompt)) {
      const auto [place, is_new] = known.try_emplace(piece.text, out.texts.size());
      if (is_new) out.texts.push_back(std::move(piece.text));
      uses.push_back({place->second, piece.weight});
    }
  }
  return out;
}

}  // namespace lowrank::prompt
