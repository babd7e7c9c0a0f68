#include "base/text/utf8.h"

namespace lowrank {
namespace {

constexpr char32_t kReplacement = 0xfffd;

bool is_scalar(char32_t code) {
  return code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

}  // namespace

Decoded decode_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return {lead, 1};
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  constexpr Decoded kIllFormed{kReplacement, 1};
  if (lead < 0xc2 || lead > 0xf4 || length > text.size() - at) return kIllFormed;
  char32_t code = lead & (0xffu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return kIllFormed;
    code = code << 6 | (byte(at + i) & 0x3fu);
  }
  const bool is_overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  if (is_overlong || !is_scalar(code)) return kIllFormed;
  return {code, length};
}

void append_utf8(std::string& text, char32_t code) {
  if (!is_scalar(code)) code = kReplacement;
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

std::size_t find_ill_formed(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    if (c.code == kReplacement && c.length == 1) return at;
    at += c.length;
  }
  return std::string_view::npos;
}

bool is_utf8(std::string_view text) {
  return find_ill_formed(text) == std::string_view::npos;
}

std::string mended_utf8(std::string_view text) {
  std::string mended;
  mended.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Decoded c = decode_at(text, at);
    append_utf8(mended, c.code);
    at += c.length;
  }
  return mended;
}

}  // namespace lowrank
