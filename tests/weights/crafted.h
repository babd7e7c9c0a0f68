// Files made by hand for the tests of readers: bytes with a known flaw, and a folder to put them in.
#pragma once

#include <unistd.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "support/temporary_folder.h"

namespace lowrank::weights {

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

// The bytes of a little-endian number.
template <typename T>
std::string little(T number) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &number, sizeof(T));
  return bytes;
}

inline std::string safetensors_bytes(const std::string& header, const std::string& data = "") {
  return little<std::uint64_t>(header.size()) + header + data;
}

inline std::string fixture(const std::string& name) {
  return std::string(LOWRANK_TEST_FIXTURES) + "/" + name;
}

inline std::string contents_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// What an action's Error says; "" when it throws none.
template <typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

using lowrank::testing::TemporaryFolder;

}  // namespace lowrank::weights
