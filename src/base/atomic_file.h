// A file that appears whole or not at all: bytes go to a temporary beside the target, which is flushed to disk and
// renamed by commit(). Without commit() the temporary is removed and an existing target is left as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace lowrank {

class AtomicFile {
 public:
  // Creates missing parent folders. Throws Error(kIo) naming the target.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // Puts other bytes in place of some that were written: a header that is only known at the end.
  void overwrite(std::uint64_t offset, std::string_view text);
  void commit();
  // Nothing that exists is replaced: the file gets the first free name of NAME.EXT, NAME-2.EXT, NAME-3.EXT …, also
  // when others write there at the same time. Returns it.
  std::filesystem::path commit_new();

 private:
  void sync_and_close();
  [[noreturn]] void refuse_place(int reason) const;

  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

// Writes a whole small file atomically.
void write_file(const std::filesystem::path& target, std::string_view text);

// The same under the first free name, see AtomicFile::commit_new().
std::filesystem::path write_new_file(const std::filesystem::path& target, std::string_view text);

// Reads a whole small file. Throws Error(kNotFound/kIo), and kBadInput when it is larger than max_bytes.
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes = 64u << 20);

}  // namespace lowrank
