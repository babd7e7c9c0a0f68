#include "image/exif.h"

#include "base/checked.h"
#include "base/utf8.h"

namespace lowrank::image {
namespace {

// Writers disagree on the byte order, and not all follow that of the TIFF block. Generation parameters are rich in ASCII,
// whose high halves are zero: the other order is taken only when it shows far more of that, for U+4E00 read backwards
// is an 'N' too.
bool is_little_endian(std::span<const std::uint8_t> bytes, bool little_tiff) {
  const auto is_ascii = [](std::uint8_t high, std::uint8_t low) {
    return high == 0 && ((low >= ' ' && low < 127) || low == '\n');
  };
  std::size_t as_big = 0, as_little = 0;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    as_big += is_ascii(bytes[i], bytes[i + 1]);
    as_little += is_ascii(bytes[i + 1], bytes[i]);
  }
  const std::size_t same = little_tiff ? as_little : as_big, other = little_tiff ? as_big : as_little;
  const bool turned = other >= 4 && other > 4 * same;
  return turned ? !little_tiff : little_tiff;
}

std::string utf16_to_utf8(std::span<const std::uint8_t> bytes, bool little_tiff) {
  bool little = is_little_endian(bytes, little_tiff);
  std::size_t at = 0;
  if (bytes.size() >= 2 &&
      ((bytes[0] == 0xFE && bytes[1] == 0xFF) || (bytes[0] == 0xFF && bytes[1] == 0xFE))) {
    little = bytes[0] == 0xFF;
    at = 2;
  }
  const auto unit = [&](std::size_t i) -> std::uint32_t {
    return little ? bytes[i] | (static_cast<std::uint32_t>(bytes[i + 1]) << 8)
                  : (static_cast<std::uint32_t>(bytes[i]) << 8) | bytes[i + 1];
  };
  std::string text;
  for (; at + 1 < bytes.size(); at += 2) {
    std::uint32_t code = unit(at);
    if (code >= 0xD800 && code < 0xDC00 && at + 3 < bytes.size()) {
      const std::uint32_t low = unit(at + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        at += 2;
      }
    }
    append_utf8(text, code);
  }
  return text;
}

// JPEG, and some writers of other formats, put "Exif\0\0" before the TIFF block.
std::span<const std::uint8_t> without_exif_mark(std::span<const std::uint8_t> bytes) {
  const bool is_marked =
      bytes.size() >= 6 && std::string_view(reinterpret_cast<const char*>(bytes.data()), 4) == "Exif";
  return is_marked ? bytes.subspan(6) : bytes;
}

// Bounds-checked numbers of a TIFF block in its own byte order.
class Tiff {
 public:
  explicit Tiff(std::span<const std::uint8_t> bytes) : bytes_(bytes) {
    if (bytes.size() >= 8) little_ = bytes[0] == 'I';
  }
  bool valid() const {
    return bytes_.size() >= 8 && bytes_[0] == bytes_[1] && (bytes_[0] == 'I' || bytes_[0] == 'M') &&
           u16(2) == 42;
  }
  bool is_little_endian() const { return little_; }
  std::uint32_t u8(std::size_t at) const { return number(at, 1); }
  std::uint32_t u16(std::size_t at) const { return number(at, 2); }
  std::uint32_t u32(std::size_t at) const { return number(at, 4); }

  struct Entry {
    std::uint32_t type, count;
    std::size_t value;  // where the value or its offset stands
  };
  std::optional<Entry> find(std::size_t directory, std::uint32_t tag) const {
    if (!range_fits(directory, 2, bytes_.size())) return std::nullopt;
    const std::uint32_t entries = u16(directory);
    for (std::uint32_t i = 0; i < entries; ++i) {
      const std::size_t at = directory + 2 + std::size_t{12} * i;
      if (!range_fits(at, 12, bytes_.size())) return std::nullopt;
      if (u16(at) == tag) return Entry{u16(at + 2), u32(at + 4), at + 8};
    }
    return std::nullopt;
  }

 private:
  std::uint32_t number(std::size_t at, std::size_t size) const {
    if (!range_fits(at, size, bytes_.size())) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = (value << 8) | bytes_[at + (little_ ? size - 1 - i : i)];
    return value;
  }
  std::span<const std::uint8_t> bytes_;
  bool little_ = false;
};

}  // namespace

namespace {

// The bytes of a field, empty when they do not lie in the block.
std::span<const std::uint8_t> value_of(const Tiff& tiff, std::span<const std::uint8_t> block,
                                       const Tiff::Entry& entry) {
  const std::size_t from = entry.count <= 4 ? entry.value : tiff.u32(entry.value);
  if (!range_fits(from, entry.count, block.size())) return {};
  return block.subspan(from, entry.count);
}

// A comment names its encoding in eight bytes; writers that do not know this leave them out. "" when it is empty.
std::string decode_comment(std::span<const std::uint8_t> value, bool is_little_tiff) {
  const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
  using namespace std::string_view_literals;
  std::string plain;
  if (text.starts_with("UNICODE\0"sv)) {
    plain = utf16_to_utf8(value.subspan(8), is_little_tiff);
  } else {
    const bool prefixed = text.starts_with("ASCII\0\0\0"sv) || text.starts_with("JIS\0\0\0\0\0"sv) ||
                          text.starts_with("\0\0\0\0\0\0\0\0"sv);
    plain = mended_utf8(prefixed ? text.substr(8) : text);
  }
  while (!plain.empty() && plain.back() == '\0') plain.pop_back();
  return plain;
}

}  // namespace

std::vector<std::uint8_t> exif_with_comment(std::string_view text) {
  std::vector<std::uint8_t> comment = {'U', 'N', 'I', 'C', 'O', 'D', 'E', 0};
  const auto put_unit = [&](std::uint32_t unit) {
    comment.push_back(static_cast<std::uint8_t>(unit >> 8));
    comment.push_back(static_cast<std::uint8_t>(unit & 0xFF));
  };
  for (std::size_t at = 0; at < text.size();) {
    const auto [code, length] = decode_at(text, at);
    at += length;
    if (code >= 0x10000) {
      put_unit(0xD800 + ((code - 0x10000) >> 10));
      put_unit(0xDC00 + ((code - 0x10000) & 0x3FF));
    } else {
      put_unit(code);
    }
  }
  std::vector<std::uint8_t> out = {'M', 'M', 0, 42, 0, 0, 0, 8};
  const auto u16 = [&](std::uint32_t v) {
    out.push_back(static_cast<std::uint8_t>(v >> 8));
    out.push_back(static_cast<std::uint8_t>(v & 0xFF));
  };
  const auto u32 = [&](std::uint32_t v) {
    u16(v >> 16);
    u16(v & 0xFFFF);
  };
  const auto entry = [&](std::uint32_t tag, std::uint32_t type, std::uint32_t count, std::uint32_t value) {
    u16(tag);
    u16(type);
    u32(count);
    u32(value);
  };
  u16(1);  // IFD0 holds one entry: where the Exif IFD begins
  entry(0x8769, 4, 1, 26);
  u32(0);
  u16(1);  // the Exif IFD, at 26, holds one entry: the comment, at 44
  entry(0x9286, 7, static_cast<std::uint32_t>(comment.size()), 44);
  u32(0);
  out.insert(out.end(), comment.begin(), comment.end());
  return out;
}

std::optional<std::uint32_t> number_of_exif(std::span<const std::uint8_t> block, std::uint32_t tag) {
  const Tiff tiff(without_exif_mark(block));
  if (!tiff.valid()) return std::nullopt;
  const auto entry = tiff.find(tiff.u32(4), tag);
  if (!entry || entry->count != 1) return std::nullopt;
  constexpr std::uint32_t kByte = 1, kShort = 3, kLong = 4;
  if (entry->type == kByte) return tiff.u8(entry->value);
  if (entry->type == kShort) return tiff.u16(entry->value);
  return entry->type == kLong ? std::optional(tiff.u32(entry->value)) : std::nullopt;
}

std::optional<std::string> comment_of_exif(std::span<const std::uint8_t> bytes) {
  bytes = without_exif_mark(bytes);
  const Tiff tiff(bytes);
  if (!tiff.valid()) return std::nullopt;
  const auto exif = tiff.find(tiff.u32(4), 0x8769);
  const auto comment = exif ? tiff.find(tiff.u32(exif->value), 0x9286) : std::nullopt;
  const std::string text =
      comment ? decode_comment(value_of(tiff, bytes, *comment), tiff.is_little_endian()) : "";
  return text.empty() ? std::nullopt : std::optional(text);
}

std::vector<std::pair<std::string, std::string>> texts_of_exif(std::span<const std::uint8_t> bytes) {
  struct Row {
    std::uint32_t tag;
    const char* name;
  };
  constexpr Row kRows[] = {
      {0x9286, "UserComment"}, {0x10e, "ImageDescription"}, {0x10d, "DocumentName"}, {0x10f, "Make"},
      {0x110, "Model"},        {0x131, "Software"},         {0x9c9c, "XPComment"},   {0x927c, "MakerNote"}};
  bytes = without_exif_mark(bytes);
  std::vector<std::pair<std::string, std::string>> texts;
  const Tiff tiff(bytes);
  if (!tiff.valid()) return texts;
  const std::size_t first = tiff.u32(4);
  const auto exif = tiff.find(first, 0x8769);
  for (const Row& row : kRows) {
    auto entry = exif ? tiff.find(tiff.u32(exif->value), row.tag) : std::nullopt;
    if (!entry) entry = tiff.find(first, row.tag);
    if (!entry) continue;
    const auto value = value_of(tiff, bytes, *entry);
    std::string text =
        row.tag == 0x9c9c ? utf16_to_utf8(value, true) : decode_comment(value, tiff.is_little_endian());
    while (text.ends_with('\0')) text.pop_back();
    if (!text.empty()) texts.emplace_back(row.name, std::move(text));
  }
  return texts;
}

std::string utf8_or_latin1(std::string_view text) {
  return is_utf8(text) ? std::string(text) : latin1_to_utf8(text);
}

std::string latin1_to_utf8(std::string_view text) {
  std::string out;
  for (const char c : text) append_utf8(out, static_cast<unsigned char>(c));
  return out;
}

std::optional<std::string> utf8_to_latin1(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto c = decode_at(text, at);
    if (c.code > 0xFF) return std::nullopt;
    out.push_back(static_cast<char>(static_cast<unsigned char>(c.code)));
    at += c.length;
  }
  return out;
}

}  // namespace lowrank::image
