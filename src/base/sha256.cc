#include "base/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/file_identity.h"
#include "base/progress.h"

namespace lowrank {
namespace {

using Digest = std::array<unsigned char, 32>;

std::string hex_of(const Digest& digest) {
  std::string hex;
  hex.reserve(64);
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest{};
  LOWRANK_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return hex_of(digest);
}

std::string sha256_file_hex(const std::filesystem::path& path, const std::stop_token& stop) {
  const OpenFile file(path);
  const FileIdentity before = identity_of(file.descriptor());
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  LOWRANK_CHECK(context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  std::vector<char> piece(1 << 20);
  for (std::uint64_t at = 0;;) {
    throw_if_stopped(stop);
    const std::size_t done = file.read(piece.data(), piece.size(), at);
    if (done == 0) break;
    LOWRANK_CHECK(EVP_DigestUpdate(context.get(), piece.data(), done) == 1);
    at += done;
  }
  if (identity_of(file.descriptor()) != before)
    throw Error(kConflict, "{}: was modified while it was being read; try again.", path.string());
  Digest digest{};
  LOWRANK_CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  return hex_of(digest);
}

}  // namespace lowrank
