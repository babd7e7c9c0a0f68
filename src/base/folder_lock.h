// One run at a time in a folder. The lock lies on the folder itself, leaves no file behind and ends with the process.
#pragma once

#include <filesystem>
#include <string>

namespace lowrank {

class FolderLock {
 public:
  // Makes the folder where it is missing. `work` names what runs there, for the message: "a training". Throws
  // Error(kConflict) when another run holds the folder, Error(kIo) when nothing can be written there. Where the file
  // system knows no locks, the folder is not locked, see is_held().
  FolderLock(const std::filesystem::path& folder, const std::string& work);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  bool is_held() const { return is_held_; }

 private:
  int descriptor_ = -1;
  bool is_held_ = false;
};

}  // namespace lowrank
