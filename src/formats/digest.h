// A quick 64-bit digest for telling things apart, never 0; not for names that others keep, nor against intent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace lowrank::formats {

inline std::int64_t digest(std::string_view bytes) {
  std::uint64_t hash = 0x9E3779B97F4A7C15ull ^ bytes.size();
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t length = std::min<std::size_t>(8, bytes.size());
    std::memcpy(&word, bytes.data(), length);
    const auto product = static_cast<unsigned __int128>(hash ^ word) * 0xD6E8FEB86659FD93ull;
    hash = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ (hash << 1);
    bytes.remove_prefix(length);
  }
  const auto value = static_cast<std::int64_t>(hash);
  return value == 0 ? 1 : value;
}

}  // namespace lowrank::formats
