// A whole file mapped read-only into memory. Pages come from the page cache and are shared between processes;
// nothing is copied. Safe to share between threads, and safe from a file that shrinks: what is gone reads as zeros, and
// require_unchanged() says so (mapping_guard.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/file_identity.h"
#include "base/mapping_guard.h"

namespace lowrank {

class MappedFile {
 public:
  // Throws Error(kNotFound) when there is no such file and Error(kIo) when it cannot be read or is no regular file.
  static std::shared_ptr<const MappedFile> open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }
  // As it was opened.
  const FileIdentity& identity() const { return identity_; }

  bool is_damaged() const { return guard_ && guard_->is_damaged(); }
  // Whether the path still leads to the file that was opened, and that was not written to since.
  bool is_current() const;
  // Throws Error(kConflict) when bytes() may have changed since the file was opened: somebody wrote to it or cut it short.
  // A file that was put in its place by renaming does no harm, the mapped one lives on.
  void require_unchanged() const;

 private:
  MappedFile(std::filesystem::path path, FileIdentity identity);
  std::filesystem::path path_;
  FileIdentity identity_;
  std::span<const std::byte> bytes_;
  std::optional<MappingGuard> guard_;
  std::vector<std::byte> copy_;  // instead of a mapping, where too many files are mapped to guard one more
};

// Tells the system that these bytes of a mapped file are not needed just now: they no longer count as this process's
// memory, and the next use finds them in the page cache or on the disk. Nothing happens unless they begin on a page.
void release_pages(std::span<const std::byte> mapped);

}  // namespace lowrank
