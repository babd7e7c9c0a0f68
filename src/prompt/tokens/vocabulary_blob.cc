#include "prompt/tokens/vocabulary_blob.h"

#include <bit>
#include <cstring>

#include "base/error.h"

// The assembler copies the file, which costs the compiler nothing.
__asm__(
    ".section .rodata\n"
    ".balign 8\n"
    ".hidden lowrank_vocabulary_begin\n"
    ".global lowrank_vocabulary_begin\n"
    "lowrank_vocabulary_begin:\n"
    ".incbin \"" LOWRANK_VOCABULARY_BLOB
    "\"\n"
    ".hidden lowrank_vocabulary_end\n"
    ".global lowrank_vocabulary_end\n"
    "lowrank_vocabulary_end:\n"
    ".byte 0\n"
    ".previous\n");

extern "C" {
extern const unsigned char lowrank_vocabulary_begin[];
extern const unsigned char lowrank_vocabulary_end[];
}

namespace lowrank::prompt {
namespace {

static_assert(std::endian::native == std::endian::little, "the embedded vocabulary is little-endian");

// Hands out consecutive parts of the table.
struct Cursor {
  const unsigned char* at;
  std::size_t left;

  const unsigned char* take(std::size_t bytes) {
    LOWRANK_CHECK(bytes <= left);
    const unsigned char* part = at;
    at += bytes;
    left -= bytes;
    return part;
  }
  std::uint32_t number() {
    std::uint32_t value = 0;
    std::memcpy(&value, take(4), 4);
    return value;
  }
  // The header and all number arrays have even sizes, so the table's alignment carries through.
  std::span<const std::uint16_t> numbers(std::size_t count) {
    return {reinterpret_cast<const std::uint16_t*>(take(2 * count)), count};
  }
  std::string_view text(std::size_t bytes) { return {reinterpret_cast<const char*>(take(bytes)), bytes}; }
};

}  // namespace

Vocabulary vocabulary() {
  Cursor cursor{lowrank_vocabulary_begin,
                static_cast<std::size_t>(lowrank_vocabulary_end - lowrank_vocabulary_begin)};
  LOWRANK_CHECK(cursor.text(8) == "LRCLIP01");
  const std::size_t merges = cursor.number();
  const std::size_t entities = cursor.number();
  const std::size_t name_bytes = cursor.number();
  const std::size_t value_bytes = cursor.number();
  Vocabulary table;
  table.pairs = cursor.numbers(2 * merges);
  table.by_left = cursor.numbers(merges);
  table.row_start = cursor.numbers(512 + merges + 3);
  table.name_offset = cursor.numbers(entities + 1);
  table.value_offset = cursor.numbers(entities + 1);
  table.names = cursor.text(name_bytes);
  table.values = cursor.text(value_bytes);
  return table;
}

}  // namespace lowrank::prompt
