// A whole file mapped read-only into memory. Pages come from the page cache and are shared between processes;
// nothing is copied. Immutable and safe to share between threads.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace lowrank {

class MappedFile {
 public:
  // Throws Error(kNotFound) when there is no such file and Error(kIo) when it cannot be read or is no regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  MappedFile(std::filesystem::path path, const std::byte* data, std::size_t size);
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Tells the system that these bytes of a mapped file are not needed just now: they no longer count as this process's
// memory, and the next use finds them in the page cache or on the disk. Nothing happens unless they begin on a page.
void release_pages(std::span<const std::byte> mapped);

}  // namespace lowrank
