// Fields of EXIF: UserComment (tag 0x9286 of the Exif IFD), which carries a generation's parameters, and numbers of the
// first directory. EXIF 2.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lowrank::image {

// A TIFF block (without "Exif\0\0") that holds `text` (UTF-8) as UserComment: "UNICODE\0", then UTF-16 big endian.
std::vector<std::uint8_t> exif_with_comment(std::string_view text);

// UserComment of a TIFF block, as UTF-8. Understands the UNICODE prefix in either byte order, ASCII, and bytes without
// a known prefix as UTF-8. nullopt when there is none, it is empty or the block is damaged; never reads outside it.
std::optional<std::string> comment_of_exif(std::span<const std::uint8_t> tiff);

// The texts of a block, UTF-8, in this order: "UserComment" (of either directory), "ImageDescription", "DocumentName",
// "Make", "Model", "Software", "XPComment", "MakerNote". Empty ones are left out.
std::vector<std::pair<std::string, std::string>> texts_of_exif(std::span<const std::uint8_t> tiff);

// Bytes of no stated encoding: UTF-8 where they are, else Latin-1.
std::string utf8_or_latin1(std::string_view text);

// A tag of the first directory that holds one whole number (BYTE, SHORT or LONG). nullopt when there is none or the
// block is damaged. With or without "Exif\0\0".
std::optional<std::uint32_t> number_of_exif(std::span<const std::uint8_t> block, std::uint32_t tag);

// Conversions; ill-formed input becomes U+FFFD.
std::string latin1_to_utf8(std::string_view text);
std::optional<std::string> utf8_to_latin1(std::string_view text);  // nullopt when a character does not fit

}  // namespace lowrank::image
