#include "prompt/grammar/tag_lookalikes.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "base/text/ascii.h"
#include "base/text/shortened.h"
#include "base/text/text.h"

namespace lowrank::prompt {
namespace {

constexpr std::size_t kMostWarnings = 20, kLongestTag = 512;

constexpr std::array<std::string_view, 11> kOpeners = {
    "<", "\uff1c", "\ufe64", "\u3008", "\u2329", "\u300a", "\u2039", "\u00ab", "\u27e8", "&lt;", "&#60;"};
constexpr std::array<std::string_view, 11> kClosers = {
    ">", "\uff1e", "\ufe65", "\u3009", "\u232a", "\u300b", "\u203a", "\u00bb", "\u27e9", "&gt;", "&#62;"};
constexpr std::array<std::string_view, 5> kColons = {":", "\uff1a", "\ufe55", "\u2236", "\ufe30"};
constexpr std::array<std::string_view, 6> kKinds = {"lora", "lyco", "lycoris", "locon", "loha", "hypernet"};

template <std::size_t N>
std::size_t begins_with(std::string_view text, const std::array<std::string_view, N>& words) {
  for (const std::string_view word : words)
    if (text.starts_with(word)) return word.size();
  return 0;
}

template <std::size_t N>
std::size_t ends_with(std::string_view text, const std::array<std::string_view, N>& words) {
  for (const std::string_view word : words)
    if (text.ends_with(word)) return word.size();
  return 0;
}

// Length of a kind's name at `at`, whatever its case, also in full-width letters; 0: none stands there.
std::size_t kind_length(std::string_view text, std::size_t at) {
  std::string word;
  std::size_t end = at;
  while (end < text.size() && word.size() <= 8) {
    const Decoded c = decode_at(text, end);
    char32_t code = c.code;
    if (code >= 0xff21 && code <= 0xff5a) code -= 0xfee0;
    if (code > 0x7f || !is_word(code)) break;
    word += static_cast<char>(code);
    end += c.length;
  }
  word = lower_ascii(word);
  const bool is_kind = std::find(kKinds.begin(), kKinds.end(), word) != kKinds.end();
  return is_kind && word_ends_at(text, end) ? end - at : 0;
}

// Where the line ends, as far as a tag may reach.
std::size_t line_end(std::string_view text, std::size_t at) {
  const std::string_view near = text.substr(at, kLongestTag);
  return at + std::min(near.find('\n'), near.size());
}

// Offset behind the first closing bracket on the rest of the line, before any opening one; 0: none.
std::size_t closer_behind(std::string_view text, std::size_t at) {
  for (const std::size_t end = line_end(text, at); at < end; ++at) {
    const char c = text[at];
    if (c != '<' && c != '>' && c != '&' && static_cast<unsigned char>(c) < 0x80) continue;
    const std::string_view rest = text.substr(at);
    if (const std::size_t length = begins_with(rest, kClosers)) return at + length;
    if (begins_with(rest, kOpeners)) return 0;
  }
  return 0;
}

// `:NAME:NUMBER` at `at`, as in a tag without its brackets.
std::size_t bare_arguments(std::string_view text, std::size_t at) {
  const std::size_t first = begins_with(text.substr(at), kColons);
  if (first == 0) return 0;
  const std::size_t end = line_end(text, at);
  for (std::size_t i = at + first; i < end; ++i) {
    if (std::string_view(",()[]{} ").find(text[i]) != std::string_view::npos) return 0;
    const std::size_t colon = begins_with(text.substr(i), kColons);
    if (colon == 0) continue;
    std::size_t number = i + colon;
    if (i == at + first) return 0;
    while (number < end && std::string_view("0123456789.-+").find(text[number]) != std::string_view::npos)
      ++number;
    return number > i + colon ? number : 0;
  }
  return 0;
}

// Blanks on a line, those of no width too: texts copied from web pages hold them.
bool is_blank(char32_t code) {
  return (is_space(code) && code != '\n') || (code >= 0x200b && code <= 0x200d) || code == 0xfeff;
}

struct Lookalike {
  std::size_t begin = 0, end = 0;
  std::string_view fault;
};

std::optional<Lookalike> lookalike_at(std::string_view text, std::size_t at, std::size_t length) {
  std::size_t before = at;
  while (before > 0 && is_blank(decode_before(text, before).code))
    before -= decode_before(text, before).length;
  const std::size_t opener = ends_with(text.substr(0, before), kOpeners);
  const std::size_t behind = skip_space(text, at + length);
  const std::size_t colon = begins_with(text.substr(behind), kColons);
  const std::size_t closer = opener == 0 && colon == 0 ? 0 : closer_behind(text, at + length);
  const std::size_t bare = bare_arguments(text, at + length);
  if (opener == 0 && (colon == 0 || closer == 0) && bare == 0) return std::nullopt;
  Lookalike found{before - opener, closer != 0 ? closer : bare != 0 ? bare : line_end(text, at), ""};
  if (opener == 0) found.begin = at;
  const std::string_view written = text.substr(found.begin, found.end - found.begin);
  const auto has = [&](std::string_view part) { return written.find(part) != std::string_view::npos; };
  const bool is_ascii_opener = opener == 1, is_ascii_colon = colon == 1;
  if (has("&lt;") || has("&gt;") || has("&#6")) {
    found.fault = "its brackets are HTML-escaped";
  } else if ((opener > 0 && !is_ascii_opener) || (colon > 0 && !is_ascii_colon) ||
             (closer != 0 && text[closer - 1] != '>')) {
    found.fault = "it uses characters other than < > and : as brackets or colons";
  } else if (opener == 0) {
    found.fault = "the opening '<' is missing";
  } else if (closer == 0) {
    found.fault = "it is not closed by '>'";
  } else if (before != at || behind != at + length) {
    found.fault = "there is a space before its first colon";
  } else if (colon == 0 || begins_with(text.substr(behind + colon), kClosers) != 0) {
    found.fault = "it has no name";
  } else {
    found.fault = "its type is not in lower-case letters";
  }
  return found;
}

// `embedding:NAME` at `at`, as ComfyUI writes an embedding: its end; 0: none stands there. Words of a sentence have a
// blank behind the colon.
std::size_t comfy_embedding_end(std::string_view text, std::size_t at) {
  constexpr std::string_view kWord = "embedding:";
  if (lower_ascii(text.substr(at, kWord.size())) != kWord) return 0;
  std::size_t end = at + kWord.size();
  while (end < text.size() && std::string_view(" \t\n,()[]{}<>:|").find(text[end]) == std::string_view::npos)
    ++end;
  return end > at + kWord.size() ? end : 0;
}

}  // namespace

std::vector<std::string> lookalike_warnings(std::string_view text) {
  std::vector<std::string> warnings;
  for (std::size_t at = 0; at < text.size() && warnings.size() < kMostWarnings;) {
    const Decoded c = decode_at(text, at);
    const bool may_begin = at == 0 || !is_word(decode_before(text, at).code);
    if (const std::size_t end = may_begin ? comfy_embedding_end(text, at) : 0) {
      warnings.push_back(
          fmt::format("'{}' is ComfyUI's way of writing an embedding; 'embedding:' is read as part of the "
                      "prompt. Write only the embedding's name.",
                      shortened(text.substr(at, end - at))));
      at = end;
      continue;
    }
    const std::size_t length = may_begin ? kind_length(text, at) : 0;
    const auto found = length == 0 ? std::nullopt : lookalike_at(text, at, length);
    if (found)
      warnings.push_back(fmt::format(
          "'{}' looks like a network tag but is read as part of the prompt: {}. Write <lora:NAME:WEIGHT>.",
          shortened(text.substr(found->begin, found->end - found->begin)), found->fault));
    at = found ? std::max(found->end, at + length) : at + std::max(length, c.length);
  }
  return warnings;
}

}  // namespace lowrank::prompt
