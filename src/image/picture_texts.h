// All that a picture says in words, under the names that its format has for them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace lowrank::image {

using NamedTexts = std::vector<std::pair<std::string, std::string>>;  // UTF-8

struct PictureWords {
  NamedTexts texts;
  int width = 0, height = 0;  // as stored; 0 when the header does not tell
};

// PNG texts by keyword, then EXIF's ("UserComment", "ImageDescription", "DocumentName", "Make", "Model", "Software",
// "MakerNote", "XPComment"), XMP as "XML:com.adobe.xmp", a JPEG's comment as "comment", and as "C2PA" the program that
// Content Credentials name ("" nobody). Pixels are not looked at; what
// is damaged is left out. Throws Error(kBadInput) when the bytes are no picture at all.
PictureWords read_words(std::span<const std::byte> bytes, const std::string& name);

}  // namespace lowrank::image
