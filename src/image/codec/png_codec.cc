#include <png.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/text/utf8.h"
#include "image/codec/format_codecs.h"
#include "image/exif.h"
#include "image/orientation.h"

namespace lowrank::image {
namespace {

constexpr std::size_t kMaxTextBytes = 8u << 20;

// libpng reports errors by calling back; an exception cannot cross its C frames, so the message is kept and longjmp
// used as libpng documents. No object with a destructor lives between setjmp and the calls that may jump.
struct Report {
  std::string message;
};
void on_error(png_structp png, png_const_charp message) {
  static_cast<Report*>(png_get_error_ptr(png))->message = message;
  png_longjmp(png, 1);
}
void on_warning(png_structp, png_const_charp) {}

struct Source {
  Bytes bytes;
  std::size_t at = 0;
};
void on_read(png_structp png, png_bytep out, std::size_t count) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (count > source->bytes.size() - source->at) png_error(png, "the file ends too early");
  std::memcpy(out, source->bytes.data() + source->at, count);
  source->at += count;
}
void on_write(png_structp png, png_bytep data, std::size_t count) {
  auto* out = static_cast<std::vector<std::uint8_t>*>(png_get_io_ptr(png));
  out->insert(out->end(), data, data + count);
}
void on_flush(png_structp) {}

struct Reader {
  Report report;
  Source source;
  png_structp png = nullptr;
  png_infop info = nullptr;
  explicit Reader(Bytes bytes) : source{bytes} {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &report, on_error, on_warning);
    LOWRANK_CHECK(png != nullptr);
    info = png_create_info_struct(png);
    png_set_read_fn(png, &source, on_read);
    png_set_user_limits(png, 1u << 24, 1u << 24);
    png_set_chunk_malloc_max(png, kMaxTextBytes);
    png_set_chunk_cache_max(png, 1000);
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
};

bool read_header(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_info(reader.png, reader.info);
  return true;
}

bool read_rows(Reader& reader, png_bytep* rows) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, rows);
  return true;
}

// Chunks behind the pixels; what is damaged there costs no pixel.
void read_rest(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return;
  png_read_end(reader.png, reader.info);
}

// Reads the chunks before and behind the pixels; these are unpacked row by row and kept nowhere. True as soon as the
// header is sound: texts before damage are kept.
bool read_texts(Reader& reader) {
  if (!read_header(reader)) return false;
  if (setjmp(png_jmpbuf(reader.png)) != 0) return true;
  const int passes = png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  const png_uint_32 rows = png_get_image_height(reader.png, reader.info) * static_cast<png_uint_32>(passes);
  for (png_uint_32 i = 0; i < rows; ++i) png_read_row(reader.png, nullptr, nullptr);
  png_read_end(reader.png, reader.info);
  return true;
}

bool set_transforms(Reader& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_expand(reader.png);
  png_set_scale_16(reader.png);
  png_set_gray_to_rgb(reader.png);
  png_set_add_alpha(reader.png, 0xFF, PNG_FILLER_AFTER);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return png_get_rowbytes(reader.png, reader.info) ==
         std::size_t{4} * png_get_image_width(reader.png, reader.info);
}

[[noreturn]] void refuse(const std::string& name, const Report& report) {
  throw Error(kBadInput, "{}: the PNG cannot be read ({}); the file is damaged.", name, report.message);
}

using Texts = std::vector<std::pair<std::string, std::string>>;

Texts texts_of(const Reader& reader) {
  Texts texts;
  png_textp entries = nullptr;
  const int count = png_get_text(reader.png, reader.info, &entries, nullptr);
  for (int i = 0; i < count; ++i) {
    const png_text& entry = entries[i];
    const bool international =
        entry.compression == PNG_ITXT_COMPRESSION_NONE || entry.compression == PNG_ITXT_COMPRESSION_zTXt;
    const std::string text(entry.text, international ? entry.itxt_length : entry.text_length);
    // Some programs put UTF-8 into the chunk that the format says is Latin-1.
    texts.emplace_back(entry.key, international ? mended_utf8(text) : utf8_or_latin1(text));
  }
  return texts;
}

// The first of a key counts; nullptr when there is none.
const std::string* text_named(const Texts& texts, std::string_view key) {
  const auto found = std::ranges::find(texts, key, &std::pair<std::string, std::string>::first);
  return found == texts.end() ? nullptr : &found->second;
}

// The EXIF block as ImageMagick keeps it in a text: a line break, "exif", the length, and the bytes as hexadecimal
// digits in lines.
std::vector<std::uint8_t> raw_profile(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  std::size_t from = 0;
  for (int line = 0; line < 3 && from != std::string_view::npos; ++line) {
    from = text.find('\n', from);
    if (from != std::string_view::npos) ++from;
  }
  int high = -1;
  for (; from < text.size(); ++from) {
    const char c = text[from];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) continue;
    if (high >= 0) bytes.push_back(static_cast<std::uint8_t>(16 * high + digit));
    high = high >= 0 ? -1 : digit;
  }
  return bytes;
}

int png_orientation(const Reader& reader) {
  png_bytep exif = nullptr;
  png_uint_32 exif_size = 0;
  std::optional<int> found;
  if (png_get_eXIf_1(reader.png, reader.info, &exif_size, &exif) != 0)
    found = orientation_of_exif({exif, exif_size});
  const auto texts = texts_of(reader);
  const std::string* profile = text_named(texts, "Raw profile type exif");
  if (!found && profile != nullptr) found = orientation_of_exif(raw_profile(*profile));
  const std::string* packet = text_named(texts, "XML:com.adobe.xmp");
  if (!found && packet != nullptr) found = orientation_of_xmp(*packet);
  return found.value_or(1);
}

bool write_all(png_structp png, png_infop info, const Picture& picture, png_textp text) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width), static_cast<png_uint_32>(picture.height),
               8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
               PNG_FILTER_TYPE_DEFAULT);
  if (text != nullptr) png_set_text(png, info, text, 1);
  png_write_info(png, info);
  for (int y = 0; y < picture.height; ++y) png_write_row(png, picture.pixel(0, y));
  png_write_end(png, info);
  return true;
}

}  // namespace

std::vector<std::uint8_t> encode_png(const Picture& picture, const std::string& parameters) {
  std::vector<std::uint8_t> out;
  Report report;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &report, on_error, on_warning);
  LOWRANK_CHECK(png != nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &out, on_write, on_flush);
  // Latin-1 that could be taken for UTF-8 is written as UTF-8.
  auto latin = utf8_to_latin1(parameters);
  if (latin && utf8_or_latin1(*latin) != parameters) latin.reset();
  std::string value = latin ? *latin : mended_utf8(parameters), key = "parameters", empty;
  png_text text{};
  text.compression = latin ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
  text.key = key.data();
  text.text = value.data();
  (latin ? text.text_length : text.itxt_length) = value.size();
  text.lang = empty.data();
  text.lang_key = empty.data();
  const bool done = write_all(png, info, picture, parameters.empty() ? nullptr : &text);
  png_destroy_write_struct(&png, &info);
  if (!done) throw Error(kInternal, "a PNG could not be written ({}).", report.message);
  return out;
}

Decoded decode_png(Bytes bytes, const std::string& name) {
  Reader reader(bytes);
  if (!read_header(reader)) refuse(name, reader.report);
  const std::uint32_t width = png_get_image_width(reader.png, reader.info);
  const std::uint32_t height = png_get_image_height(reader.png, reader.info);
  check_size(width, height, name);
  if (!set_transforms(reader)) refuse(name, reader.report);
  Raster pixels = Raster::blank(static_cast<int>(width), static_cast<int>(height), 4);
  std::vector<png_bytep> rows(height);
  for (std::uint32_t y = 0; y < height; ++y) rows[y] = &pixels.bytes[std::size_t{4} * width * y];
  if (!read_rows(reader, rows.data())) refuse(name, reader.report);
  read_rest(reader);
  return {std::move(pixels), png_orientation(reader)};
}

std::optional<std::string> png_parameters(Bytes bytes, const std::string& name) {
  Reader reader(bytes);
  if (!read_texts(reader)) refuse(name, reader.report);
  const auto texts = texts_of(reader);
  png_bytep exif = nullptr;
  png_uint_32 exif_size = 0;
  if (png_get_eXIf_1(reader.png, reader.info, &exif_size, &exif) != 0) {
    if (const auto comment = comment_of_exif({exif, exif_size})) return comment;
  }
  if (const std::string* found = text_named(texts, "parameters")) return *found;
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> png_texts(Bytes bytes, const std::string& name) {
  Reader reader(bytes);
  if (!read_texts(reader)) refuse(name, reader.report);
  return texts_of(reader);
}

std::vector<std::uint8_t> png_exif(Bytes bytes, const std::string& name) {
  Reader reader(bytes);
  if (!read_texts(reader)) refuse(name, reader.report);
  png_bytep exif = nullptr;
  png_uint_32 size = 0;
  if (png_get_eXIf_1(reader.png, reader.info, &size, &exif) == 0) return {};
  return {exif, exif + size};
}

PictureItems png_items(Bytes bytes, const std::string& name) {
  Reader reader(bytes);
  if (!read_texts(reader)) refuse(name, reader.report);
  PictureItems items;
  for (auto& [key, text] : texts_of(reader))
    if (key != "parameters") items.texts.emplace_back(key, std::move(text));
  double gamma = 0;
  if (png_get_gAMA(reader.png, reader.info, &gamma) != 0) items.gamma = gamma;
  png_uint_32 x = 0, y = 0;
  int unit = 0;
  if (png_get_pHYs(reader.png, reader.info, &x, &y, &unit) != 0 && unit == PNG_RESOLUTION_METER)
    items.dpi = {x * 0.0254, y * 0.0254};
  return items;
}

}  // namespace lowrank::image
