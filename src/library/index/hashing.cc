#include "library/index/hashing.h"

#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/file_identity.h"
#include "library/data_dir.h"
#include "library/index/place_table.h"
#include "weights/safetensors_header.h"

namespace lowrank::library {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kAutoV1Offset = 0x100000, kAutoV1Length = 0x10000;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    LOWRANK_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  // The part of `piece`, which lies at `offset` of the file, that falls into [begin, end).
  void add(std::string_view piece, std::uint64_t offset, std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t from = std::max(offset, begin), to = std::min(offset + piece.size(), end);
    if (from >= to) return;
    LOWRANK_CHECK(EVP_DigestUpdate(context_.get(), piece.data() + (from - offset),
                                   static_cast<std::size_t>(to - from)) == 1);
    bytes_ += to - from;
  }
  // "" of no bytes.
  std::string hex() {
    if (bytes_ == 0) return "";
    std::array<unsigned char, 32> digest{};
    LOWRANK_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    std::string text;
    for (const unsigned char byte : digest) text += fmt::format("{:02x}", byte);
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  std::uint64_t bytes_ = 0;
};

// Where the tensors of a safetensors file begin; the file's size for anything else.
std::uint64_t data_offset(std::string_view first_piece, std::uint64_t size) {
  std::uint64_t length = 0;
  const auto bytes = std::as_bytes(std::span(first_piece));
  if (!weights::looks_like_safetensors(bytes, size)) return size;
  std::memcpy(&length, bytes.data(), sizeof(length));
  return length <= size - 8 ? length + 8 : size;
}

}  // namespace

FileHashes hash_file(const fs::path& path, const std::stop_token& stop) {
  const OpenFile file(path);
  const FileIdentity before = identity_of(file.descriptor());
  const auto size = static_cast<std::uint64_t>(before.size);
  Sha256 whole, part, behind_header;
  std::vector<char> piece(1 << 20);
  std::uint64_t offset = 0, data = size;
  while (offset < size) {
    throw_if_stopped(stop);
    const std::size_t done = file.read(piece.data(), piece.size(), offset);
    if (done == 0) break;
    const std::string_view text(piece.data(), done);
    if (offset == 0) data = data_offset(text, size);
    whole.add(text, offset, 0, size);
    part.add(text, offset, kAutoV1Offset, kAutoV1Offset + kAutoV1Length);
    behind_header.add(text, offset, data, size);
    offset += text.size();
  }
  if (offset != size || identity_of(file.descriptor()) != before)
    throw Error(kIo, "{}: was modified while it was being read; try again.", path.string());
  return {.sha256 = whole.hex(), .autov1 = part.hex().substr(0, 8), .addnet = behind_header.hex()};
}

void keep_hashes(const sqlite::Database& database, const Record& record, const FileHashes& hashes) {
  auto keep = database.prepare(
      "UPDATE file SET sha256 = nullif(?, ''), autov1 = nullif(?, ''), addnet = nullif(?, '') WHERE id = ? "
      "AND size = ? AND mtime = ? AND ctime = ?");
  keep.bind(1, hashes.sha256).bind(2, hashes.autov1).bind(3, hashes.addnet);
  keep.bind(4, record.id).bind(5, record.size).bind(6, record.mtime_ns).bind(7, record.ctime_ns).run();
}

bool ensure_hashes(const sqlite::Database& database, const DataDir& data, Record& record,
                   std::string& problem, const std::stop_token& stop) {
  if (!record.sha256.empty() && (!record.addnet.empty() || record.header == 0)) return true;
  const fs::path path = folder_of(place_named(record.place), data) / record.relative;
  std::error_code failure;
  if (fs::is_directory(path, failure)) return false;  // a diffusers folder, which has no hash of its own
  if (!fs::is_regular_file(path, failure)) {
    problem = fmt::format("{}: is not a file.", path.string());
    return false;
  }
  auto twin = database.prepare(
      "SELECT sha256, autov1, addnet FROM file WHERE size = ? AND inode = ? AND device = ? AND mtime = ? AND "
      "ctime = ? AND id <> ? AND sha256 IS NOT NULL");
  twin.bind(1, record.size)
      .bind(2, record.inode)
      .bind(3, record.device)
      .bind(4, record.mtime_ns)
      .bind(5, record.ctime_ns)
      .bind(6, record.id);
  FileHashes hashes;
  if (twin.step()) {
    hashes = {twin.text(0), twin.text(1), twin.text(2)};
  } else {
    try {
      hashes = hash_file(path, stop);
    } catch (const Error& error) {
      if (error.code() == kCancelled) throw;
      problem = error.what();
      return false;
    }
  }
  record.sha256 = hashes.sha256;
  record.autov1 = hashes.autov1;
  record.addnet = hashes.addnet;
  keep_hashes(database, record, hashes);
  return !record.sha256.empty();
}

}  // namespace lowrank::library
