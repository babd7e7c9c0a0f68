#include "prompt/grammar/attention.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

constexpr double kRound = 1.1;
constexpr double kSquare = 1 / 1.1;

// `: number )` at `at`, where number is a sign and a run of digits and points that reads as a number.
struct WeightCloser {
  double weight;
  std::size_t end;
};

std::optional<WeightCloser> weight_closer(std::string_view text, std::size_t at) {
  const std::size_t begin = skip_space(text, at + 1);
  std::size_t end = begin;
  if (end < text.size() && (text[end] == '+' || text[end] == '-')) ++end;
  while (end < text.size()) {
    const Decoded c = decode_at(text, end);
    if (c.code != '.' && !digit_value(c.code)) break;
    end += c.length;
  }
  const std::size_t bracket = skip_space(text, end);
  if (end == begin || bracket >= text.size() || text[bracket] != ')') return std::nullopt;
  const auto weight = parse_number(text.substr(begin, end - begin));
  if (!weight) return std::nullopt;
  return WeightCloser{*weight, bracket + 1};
}

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::vector<WeightedPiece> run() {
    std::size_t at = 0;
    while (at < text_.size()) at = step(at);
    for (const std::size_t start : round_) multiply(start, kRound);
    for (const std::size_t start : square_) multiply(start, kSquare);
    if (texts_.empty()) add("", 1.0);
    return joined();
  }

 private:
  // Reads one token of the grammar and returns the offset behind it.
  std::size_t step(std::size_t at) {
    switch (text_[at]) {
      case '\\': {
        constexpr std::string_view kEscapable = "()[]\\";
        const bool escaped =
            at + 1 < text_.size() && kEscapable.find(text_[at + 1]) != std::string_view::npos;
        // A lone backslash vanishes but leaves an empty piece.
        add(text_.substr(at + 1, escaped ? 1 : 0), 1.0);
        return at + (escaped ? 2 : 1);
      }
      case '(':
        open(round_, "(");
        return at + 1;
      case '[':
        open(square_, "[");
        return at + 1;
      case ':':
        if (const auto closer = weight_closer(text_, at)) {
          if (round_.empty()) {
            literal(text_.substr(at, closer->end - at));
          } else {
            close(round_, closer->weight);
          }
          return closer->end;
        }
        literal(":");
        return at + 1;
      case ')':
        if (round_.empty()) {
          literal(")");
        } else {
          close(round_, kRound);
        }
        return at + 1;
      case ']':
        if (square_.empty()) {
          literal("]");
        } else {
          close(square_, kSquare);
        }
        return at + 1;
      default: {
        const std::size_t end = std::min(text_.find_first_of("\\()[]:", at), text_.size());
        literal(text_.substr(at, end - at));
        return end;
      }
    }
  }

  void open(std::vector<std::size_t>& openers, std::string_view bracket) {
    if (openers.size() < kMaxAttentionDepth) {
      openers.push_back(texts_.size());
    } else {
      literal(bracket);
    }
  }

  void close(std::vector<std::size_t>& openers, double factor) {
    multiply(openers.back(), factor);
    openers.pop_back();
  }

  void add(std::string_view text, double weight) {
    texts_.emplace_back(text);
    weights_.push_back(weight);
  }

  void multiply(std::size_t from, double factor) {
    for (std::size_t i = from; i < weights_.size(); ++i) weights_[i] *= factor;
  }

  // Text between the words BREAK, each of which takes the whitespace around it along.
  void literal(std::string_view text) {
    constexpr std::string_view kBreak = "BREAK";
    std::size_t begin = 0;
    for (std::size_t at = text.find(kBreak); at != std::string_view::npos; at = text.find(kBreak, at + 1)) {
      const std::size_t end = at + kBreak.size();
      if (at < begin || !word_ends_at(text, at) || !word_ends_at(text, end)) continue;
      add(trim_end(text.substr(begin, at - begin)), 1.0);
      add(kBreak, -1.0);
      begin = skip_space(text, end);
    }
    add(text.substr(begin), 1.0);
  }

  std::vector<WeightedPiece> joined() const {
    std::vector<WeightedPiece> out;
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      if (!out.empty() && out.back().weight == weights_[i]) {
        out.back().text += texts_[i];
      } else {
        out.push_back({std::string(texts_[i]), weights_[i]});
      }
    }
    return out;
  }

  std::string_view text_;
  // The pieces so far. Their weights lie apart, because deep brackets multiply long stretches of them again
  // and again.
  std::vector<std::string_view> texts_;
  std::vector<double> weights_;
  std::vector<std::size_t> round_;  // openers not yet closed: the number of pieces before each
  std::vector<std::size_t> square_;
};

}  // namespace

std::vector<WeightedPiece> parse_attention(std::string_view text) {
  return Scanner(text).run();
}

}  // namespace lowrank::prompt
