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

struct Sha256::State {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  LOWRANK_CHECK(state_->context != nullptr &&
                EVP_DigestInit_ex(state_->context.get(), EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  LOWRANK_CHECK(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  Digest digest{};
  LOWRANK_CHECK(EVP_DigestFinal_ex(state_->context.get(), digest.data(), nullptr) == 1);
  return hex_of(digest);
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest{};
  LOWRANK_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return hex_of(digest);
}

std::string sha256_file_hex(const std::filesystem::path& path, const std::stop_token& stop) {
  const OpenFile file(path);
  const FileIdentity before = identity_of(file.descriptor());
  Sha256 hash;
  std::vector<char> piece(1 << 20);
  for (std::uint64_t at = 0;;) {
    throw_if_stopped(stop);
    const std::size_t done = file.read(piece.data(), piece.size(), at);
    if (done == 0) break;
    hash.add(std::as_bytes(std::span(piece.data(), done)));
    at += done;
  }
  if (identity_of(file.descriptor()) != before)
    throw Error(kConflict, "{}: was modified while it was being read; try again.", path.string());
  return hash.hex();
}

}  // namespace lowrank
