#include "base/md5.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"

namespace lowrank {

std::string md5_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, 16> digest{};
  LOWRANK_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_md5(), nullptr) == 1);
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace lowrank
