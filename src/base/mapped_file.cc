#include "base/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace lowrank {

MappedFile::MappedFile(std::filesystem::path path, FileIdentity identity)
    : path_(std::move(path)), identity_(identity) {}

MappedFile::~MappedFile() {
  if (!guard_) return;
  guard_.reset();
  ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const OpenFile file(path);
  const FileIdentity identity = identity_of(file.descriptor());
  auto made = std::shared_ptr<MappedFile>(new MappedFile(path, identity));
  const auto size = static_cast<std::size_t>(identity.size);
  if (size == 0) return made;
  void* const data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.descriptor(), 0);
  if (data == MAP_FAILED) throw Error(kIo, "{}: cannot be mapped ({}).", path.string(), std::strerror(errno));
  made->bytes_ = {static_cast<const std::byte*>(data), size};
  made->guard_.emplace(made->bytes_, MappingGuard::Access::kRead);
  if (made->guard_->is_guarded()) return made;
  made->guard_.reset();
  ::munmap(data, size);
  made->copy_.resize(size);
  made->copy_.resize(file.read(made->copy_.data(), size, 0));
  made->bytes_ = made->copy_;
  return made;
}

bool MappedFile::is_current() const {
  return identity_of(path_) == identity_ && !is_damaged();
}

void MappedFile::require_unchanged() const {
  const FileIdentity now = identity_of(path_);
  const bool was_written = now.is_same_inode(identity_) && now != identity_;
  if (is_damaged() || (guard_ && was_written))
    throw Error(kConflict,
                "{}: the file changed while it was in use, so the result is unusable; try again once it is "
                "completely written.",
                path_.string());
}

void release_pages(std::span<const std::byte> mapped) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  if (mapped.empty() || reinterpret_cast<std::uintptr_t>(mapped.data()) % page != 0) return;
  ::madvise(const_cast<std::byte*>(mapped.data()), mapped.size(), MADV_DONTNEED);
}

}  // namespace lowrank
