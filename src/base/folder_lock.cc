#include "base/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace lowrank {
namespace fs = std::filesystem;

FolderLock::FolderLock(const fs::path& folder, const std::string& work) {
  const fs::path place = folder.empty() ? fs::path(".") : folder;
  std::error_code problem;
  fs::create_directories(place, problem);
  descriptor_ = ::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0 || ::access(place.c_str(), W_OK) != 0) {
    const int reason = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    throw Error(kIo, "{}: is not writable ({}); choose another folder or fix its permissions.",
                place.string(), std::strerror(reason));
  }
  is_held_ = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (is_held_ || errno != EWOULDBLOCK) return;
  ::close(descriptor_);
  throw Error(kConflict,
              "{}: {} is already running in this folder; wait until it ends or choose another folder.",
              place.string(), work);
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), is_held_(std::exchange(other.is_held_, false)) {}

}  // namespace lowrank
