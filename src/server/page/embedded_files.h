// Files inside the program, put there by cmake/embed.cmake.
#pragma once

#include <span>
#include <string_view>

namespace lowrank::server {

struct EmbeddedFile {
  std::string_view path;  // "/assets/index-1a2b.js"
  std::string_view bytes;
};

std::span<const EmbeddedFile> embedded_files();
const EmbeddedFile* find_embedded(std::string_view path);

// "text/html; charset=utf-8" … by the ending.
std::string_view embedded_mime(std::string_view path);

}  // namespace lowrank::server
