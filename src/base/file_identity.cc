#include "base/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace lowrank {
namespace {

std::int64_t nanoseconds(const timespec& time) {
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileIdentity identity_from(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return {};
  return {.device = static_cast<std::uint64_t>(status.st_dev),
          .inode = static_cast<std::uint64_t>(status.st_ino),
          .size = static_cast<std::int64_t>(status.st_size),
          .mtime_ns = nanoseconds(status.st_mtim),
          .ctime_ns = nanoseconds(status.st_ctim)};
}

[[noreturn]] void refuse_to_open(const std::filesystem::path& path, int reason) {
  if (reason == ENOENT || reason == ENOTDIR)
    throw Error(kNotFound, "{}: no such file; check the name.", path.string());
  throw Error(kIo, "{}: cannot be opened ({}); check its permissions.", path.string(), std::strerror(reason));
}

}  // namespace

std::string FileIdentity::text() const {
  return fmt::format("{} {} {} {} {}", device, inode, size, mtime_ns, ctime_ns);
}

FileIdentity identity_of(const std::filesystem::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? identity_from(status) : FileIdentity{};
}

FileIdentity identity_of(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? identity_from(status) : FileIdentity{};
}

// Looked at before it is opened, since opening a device may act on it; and again, since it may have been exchanged.
OpenFile::OpenFile(const std::filesystem::path& path) : path_(path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) refuse_to_open(path, errno);
  if (S_ISREG(status.st_mode)) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor_ < 0) refuse_to_open(path, errno);
    if (identity_of(descriptor_).exists()) return;
    ::close(descriptor_);
  }
  throw Error(kBadInput, "{}: is not a regular file; give the path of a file.", path.string());
}

OpenFile::~OpenFile() {
  ::close(descriptor_);
}

std::size_t OpenFile::read(void* to, std::size_t size, std::uint64_t offset) const {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t now =
        ::pread(descriptor_, static_cast<char*>(to) + done, size - done, static_cast<off_t>(offset + done));
    if (now < 0 && errno == EINTR) continue;
    if (now < 0)
      throw Error(kIo, "{}: reading failed ({}); check the disk.", path_.string(), std::strerror(errno));
    if (now == 0) break;
    done += static_cast<std::size_t>(now);
  }
  return done;
}

}  // namespace lowrank
