#include "server/page/embedded_files.h"

#include <algorithm>
#include <utility>
#include <vector>

// The assembler reads the files: the compiler never sees their bytes.
#define EMBED(symbol, file)                                                      \
  __asm__(".section .rodata\n" #symbol "_begin:\n.incbin \"" file "\"\n" #symbol \
          "_end:\n.byte 0\n.previous\n");                                        \
  extern "C" __attribute__((visibility("hidden"))) const char symbol##_begin[];  \
  extern "C" __attribute__((visibility("hidden"))) const char symbol##_end[];
#include "embedded_files.inc"
#undef EMBED

namespace lowrank::server {

std::span<const EmbeddedFile> embedded_files() {
#define ROW(symbol, path) {path, {symbol##_begin, static_cast<std::size_t>(symbol##_end - symbol##_begin)}},
  static const std::vector<EmbeddedFile> files = {
#include "embedded_files.inc"
  };
#undef ROW
  return files;
}

const EmbeddedFile* find_embedded(std::string_view path) {
  const auto files = embedded_files();
  const auto found = std::ranges::find(files, path, &EmbeddedFile::path);
  return found == files.end() ? nullptr : &*found;
}

std::string_view embedded_mime(std::string_view path) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".json", "application/json"},
      {".svg", "image/svg+xml"},
      {".png", "image/png"},
      {".webp", "image/webp"},
      {".ico", "image/x-icon"},
      {".woff2", "font/woff2"},
      {".txt", "text/plain; charset=utf-8"},
      {".webmanifest", "application/manifest+json"}};
  for (const auto& [ending, mime] : kTypes)
    if (path.ends_with(ending)) return mime;
  return "application/octet-stream";
}

}  // namespace lowrank::server
