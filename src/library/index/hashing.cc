#include "library/index/hashing.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "library/index/place_table.h"

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

struct Descriptor {
  int number;
  ~Descriptor() { ::close(number); }
};

// Where the tensors of a safetensors file begin; the file's size for anything else.
std::uint64_t data_offset(std::string_view first_piece, std::uint64_t size) {
  std::uint64_t length = 0;
  if (first_piece.size() < 9 || first_piece[8] != '{') return size;
  std::memcpy(&length, first_piece.data(), 8);
  return length <= size - 8 ? length + 8 : size;
}

}  // namespace

FileHashes hash_file(const fs::path& path, const std::stop_token& stop) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat before {};
  if (file.number < 0 || ::fstat(file.number, &before) != 0)
    throw Error(kIo, "{}: cannot be read ({}).", path.string(), std::strerror(errno));
  const auto size = static_cast<std::uint64_t>(before.st_size);
  Sha256 whole, part, behind_header;
  std::vector<char> piece(1 << 20);
  std::uint64_t offset = 0, data = size;
  while (offset < size) {
    throw_if_stopped(stop);
    const ssize_t done = ::read(file.number, piece.data(), piece.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw Error(kIo, "{}: reading failed ({}).", path.string(), std::strerror(errno));
    if (done == 0) break;
    const std::string_view text(piece.data(), static_cast<std::size_t>(done));
    if (offset == 0) data = data_offset(text, size);
    whole.add(text, offset, 0, size);
    part.add(text, offset, kAutoV1Offset, kAutoV1Offset + kAutoV1Length);
    behind_header.add(text, offset, data, size);
    offset += text.size();
  }
  struct stat after {};
  if (offset != size || ::fstat(file.number, &after) != 0 || after.st_size != before.st_size ||
      after.st_mtim.tv_sec != before.st_mtim.tv_sec || after.st_mtim.tv_nsec != before.st_mtim.tv_nsec)
    throw Error(kIo, "{}: was being written while it was read; try again.", path.string());
  return {.sha256 = whole.hex(), .autov1 = part.hex().substr(0, 8), .addnet = behind_header.hex()};
}

void keep_hashes(const Database& database, const Record& record, const FileHashes& hashes) {
  auto keep = database.prepare(
      "UPDATE file SET sha256 = nullif(?, ''), autov1 = nullif(?, ''), addnet = nullif(?, '') "
      "WHERE id = ? AND size = ? AND mtime = ?");
  keep.bind(1, hashes.sha256).bind(2, hashes.autov1).bind(3, hashes.addnet);
  keep.bind(4, record.id).bind(5, record.size).bind(6, record.mtime_ns).run();
}

bool ensure_hashes(const Database& database, const DataDir& data, Record& record, std::string& problem,
                   const std::stop_token& stop) {
  if (!record.sha256.empty() && (!record.addnet.empty() || record.header == 0)) return true;
  const fs::path path = folder_of(place_named(record.place), data) / record.relative;
  std::error_code failure;
  if (fs::is_directory(path, failure)) return false;  // a diffusers folder, which has no hash of its own
  if (!fs::is_regular_file(path, failure)) {
    problem = fmt::format("{}: is no file.", path.string());
    return false;
  }
  auto twin = database.prepare(
      "SELECT sha256, autov1, addnet FROM file WHERE size = ? AND inode = ? AND device = ? AND mtime = ? AND "
      "id <> ? "
      "AND sha256 IS NOT NULL");
  twin.bind(1, record.size)
      .bind(2, record.inode)
      .bind(3, record.device)
      .bind(4, record.mtime_ns)
      .bind(5, record.id);
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
