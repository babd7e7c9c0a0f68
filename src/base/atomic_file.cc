#include "base/atomic_file.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file_identity.h"
#include "base/left_temporaries.h"

namespace lowrank {

constexpr std::string_view kTemporaryBegin = ".lowrank-", kTemporaryEnd = ".part";
namespace fs = std::filesystem;

namespace {

// "fox.png" as it is, then "fox-2.png", "fox-3.png" …
fs::path numbered(const fs::path& path, int number) {
  if (number == 1) return path;
  return path.parent_path() /
         (path.stem().string() + "-" + std::to_string(number) + path.extension().string());
}

// False with EEXIST in errno when the name is taken. Where the file system cannot refuse by itself, an empty file
// reserves the name first.
bool rename_to_free(const fs::path& from, const fs::path& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno != EINVAL && errno != ENOSYS) return false;
  const int reserved = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (reserved < 0) return false;
  ::close(reserved);
  return ::rename(from.c_str(), to.c_str()) == 0;
}

}  // namespace

AtomicFile::AtomicFile(fs::path target) : target_(std::move(target)) {
  static std::atomic<unsigned> counter{0};
  const fs::path folder = target_.parent_path();
  std::error_code problem;
  if (!folder.empty()) fs::create_directories(folder, problem);
  // The name is short whatever the target's length, so that a 255-byte file name still has a temporary.
  temporary_ =
      folder / fmt::format("{}{}-{}{}", kTemporaryBegin, ::getpid(), counter.fetch_add(1), kTemporaryEnd);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw Error(kIo, "{}: cannot be written ({}); choose another location or fix the folder's permissions.",
                target_.string(), std::strerror(errno));
  }
}

void remove_left_temporaries(const fs::path& folder) {
  std::error_code failure;
  std::vector<fs::path> left;
  for (fs::directory_iterator it(folder.empty() ? "." : folder, failure), end; !failure && it != end;
       it.increment(failure)) {
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kTemporaryBegin) || !name.ends_with(kTemporaryEnd)) continue;
    const int process = std::atoi(name.c_str() + kTemporaryBegin.size());
    if (process > 0 && ::kill(process, 0) != 0 && errno == ESRCH) left.push_back(it->path());
  }
  for (const fs::path& file : left) fs::remove(file, failure);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  LOWRANK_CHECK(descriptor_ >= 0);
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0) {
      if (errno == EINTR) continue;
      throw Error(kIo, "{}: writing failed ({}); nothing was changed.", target_.string(),
                  std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

void AtomicFile::overwrite(std::uint64_t offset, std::string_view text) {
  LOWRANK_CHECK(descriptor_ >= 0);
  while (!text.empty()) {
    const ssize_t done = ::pwrite(descriptor_, text.data(), text.size(), static_cast<off_t>(offset));
    if (done < 0) {
      if (errno == EINTR) continue;
      throw Error(kIo, "{}: writing failed ({}); nothing was changed.", target_.string(),
                  std::strerror(errno));
    }
    text.remove_prefix(static_cast<std::size_t>(done));
    offset += static_cast<std::uint64_t>(done);
  }
}

void AtomicFile::sync_and_close() {
  LOWRANK_CHECK(descriptor_ >= 0);
  const bool synced = ::fsync(descriptor_) == 0;
  const int reason = errno;
  const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
  if (synced && closed) return;
  const int why = synced ? errno : reason;
  ::unlink(temporary_.c_str());
  throw Error(kIo, "{}: could not be fully written ({}); nothing was changed.", target_.string(),
              std::strerror(why));
}

void AtomicFile::commit() {
  sync_and_close();
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) refuse_place(errno);
}

fs::path AtomicFile::commit_new() {
  sync_and_close();
  for (int number = 1;; ++number) {
    const fs::path name = numbered(target_, number);
    if (rename_to_free(temporary_, name)) return name;
    if (errno != EEXIST) refuse_place(errno);
  }
}

void AtomicFile::refuse_place(int reason) const {
  ::unlink(temporary_.c_str());
  throw Error(kIo, "{}: could not be moved into place ({}); nothing was changed.", target_.string(),
              std::strerror(reason));
}

void write_file(const fs::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  file.commit();
}

fs::path write_new_file(const fs::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  return file.commit_new();
}

// Read, not mapped: what is small is safe from whoever writes to it while it is looked at.
std::string read_file(const fs::path& path, std::size_t max_bytes) {
  const OpenFile file(path);
  const auto size = static_cast<std::size_t>(identity_of(file.descriptor()).size);
  if (size > max_bytes)
    throw Error(kBadInput, "{}: has {} bytes, more than the limit of {} for such a file.", path.string(),
                size, max_bytes);
  std::string text(size, '\0');
  text.resize(file.read(text.data(), size, 0));
  return text;
}

}  // namespace lowrank
