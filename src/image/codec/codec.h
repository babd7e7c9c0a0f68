// Pictures as files. PNG, JPEG and WebP are written, with the generation's parameters text inside; GIF, BMP and TIFF
// are read too.
//
//   PNG          tEXt chunk `parameters` (iTXt when the text is not Latin-1), before the image data
//   JPEG, WebP   EXIF UserComment: "UNICODE\0" and UTF-16 big endian
//
// Source: A1111's modules/images.py, PNG specification 11.3.4, EXIF 2.3 §4.6.5.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "image/codec/picture_format.h"
#include "image/mask.h"
#include "image/picture.h"

namespace lowrank::image {

// "png", "jpg"/"jpeg" or "webp", without regard to case. Throws Error(kBadInput) naming the choices.
PictureFormat picture_format(std::string_view name);

// Whether a file's ending is one of a format that can be read, without regard to case.
bool is_picture_name(const std::filesystem::path& path);
// "image/png" … by the file's ending; "" when it is no picture's.
std::string picture_mime(const std::filesystem::path& path);
// The usual ending of a picture's format, ".png" …, by its content. Throws Error(kBadInput) when it is no picture.
std::string picture_ending(std::span<const std::byte> bytes, const std::string& name);
// These endings, for messages: "png, jpg, jpeg, webp …".
std::string picture_endings();

// Throws Error(kUnsupported) when the format cannot hold so large a picture or so long a text.
std::vector<std::uint8_t> encode_picture(const Picture& picture, const EncodeOptions& options);

// The picture as it is to be seen: turned as EXIF's Orientation (or XMP's, where EXIF has none) says, of an animation
// the first frame, of a TIFF the first page. Alpha is dropped onto white; grey, palettes and CMYK become RGB; 16 bit
// becomes 8. Recognised by content, not by name. `name` is for messages. Throws Error(kBadInput) with the decoder's
// reason when it cannot be decoded, or has a side over 16,384 or more than 100 million pixels (checked before anything
// that large is allocated).
Picture decode_picture(std::span<const std::byte> bytes, const std::string& name);

// A mask: the alpha channel where one is used (some pixel is not opaque), else the luminance as Pillow computes it.
// Refuses what decode_picture() refuses.
Mask decode_mask(std::span<const std::byte> bytes, const std::string& name);

// How opaque each pixel is: 255 everywhere in a picture without transparency. Refuses what decode_picture() refuses.
Mask decode_opacity(std::span<const std::byte> bytes, const std::string& name);

// The parameters text of a picture; nullopt when there is none. EXIF wins over a `parameters` chunk. What other programs
// write elsewhere is among the texts of picture_texts.h. Pixels are not looked at. Throws Error(kBadInput) when the bytes are no
// picture at all.
std::optional<std::string> read_parameters(std::span<const std::byte> bytes, const std::string& name);

// See PictureItems.
PictureItems read_items(std::span<const std::byte> bytes, const std::string& name);

// Files. Saving is atomic; its errors name the file.
void save_picture(const std::filesystem::path& path, const Picture& picture, const EncodeOptions& options);
// The same, but nothing is replaced: returns the first free name of NAME.EXT, NAME-2.EXT …, which the picture got.
std::filesystem::path save_new_picture(const std::filesystem::path& path, const Picture& picture,
                                       const EncodeOptions& options);
Picture load_picture(const std::filesystem::path& path);
Mask load_mask(const std::filesystem::path& path);
Mask load_opacity(const std::filesystem::path& path);
std::optional<std::string> load_parameters(const std::filesystem::path& path);

}  // namespace lowrank::image
