// Texts that people write and other programs save: read whole, and always as UTF-8.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace lowrank {

struct TextFileOptions {
  std::size_t max_bytes = 64u << 20;
  // Of a text without a byte order mark, as iconv names it ("cp1252", "cp932"); "": it must be UTF-8.
  std::string encoding = {};
  // What to do when it is not, for the message; "" : nothing but saving the file anew.
  std::string remedy = {};
};

// A byte order mark tells UTF-8, UTF-16 and UTF-32, and is dropped; else `encoding` counts; else the text must be
// UTF-8 without zero bytes, which only UTF-16 without a mark would have. Nothing is replaced: throws
// Error(kBadInput) naming the file and the first byte that does not fit, and as read_file() does.
std::string read_text_file(const std::filesystem::path& path, const TextFileOptions& options = {});

// The same for bytes that are at hand; `label` names them in messages.
std::string decode_text(std::string_view bytes, const std::string& label,
                        const TextFileOptions& options = {});

// Throws Error(kBadInput) naming `option` when this system cannot read that encoding.
void check_encoding(const std::string& encoding, const std::string& option);

}  // namespace lowrank
