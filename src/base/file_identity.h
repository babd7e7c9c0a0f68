// What tells one state of a file from another without reading it, and the one way in which LowRank opens what somebody
// else may have put in a file's place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace lowrank {

// Place on the disk, size and both times. Whoever copies an older time onto a file that he changed still changes ctime,
// which no program sets.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = -1;  // -1: there is no regular file
  std::int64_t mtime_ns = 0, ctime_ns = 0;

  bool exists() const { return size >= 0; }
  bool is_same_inode(const FileIdentity& other) const {
    return device == other.device && inode == other.inode;
  }
  std::string text() const;  // five numbers, for keys
  bool operator==(const FileIdentity&) const = default;
};

FileIdentity identity_of(const std::filesystem::path& path);  // links are followed
FileIdentity identity_of(int descriptor);

// A descriptor of its own, closed with it.
class OpenFile {
 public:
  // For reading. Anything but a regular file (a pipe, a device, a folder) is refused before opening it could wait. Throws
  // Error(kNotFound) when there is no such file, Error(kBadInput) when it is no regular file and Error(kIo) when it cannot be read.
  explicit OpenFile(const std::filesystem::path& path);
  ~OpenFile();
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int descriptor() const { return descriptor_; }
  // Up to `size` bytes from `offset` on, fewer only at the file's end. Throws Error(kIo).
  std::size_t read(void* to, std::size_t size, std::uint64_t offset) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace lowrank
