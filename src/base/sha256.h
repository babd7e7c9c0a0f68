// SHA-256 of bytes, as lower-case hexadecimal (64 characters). FIPS 180-4, computed by OpenSSL.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

namespace lowrank {

// Of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(std::span<const std::byte> bytes);
  std::string hex();  // once, at the end

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::span<const std::byte> bytes);

// Of a whole file, read piece by piece. Throws Error(kNotFound/kIo) naming the file, and kCancelled when stopped.
std::string sha256_file_hex(const std::filesystem::path& path, const std::stop_token& stop = {});

}  // namespace lowrank
