// A folder's files by their endings, without what systems and file managers put among them.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace lowrank {

// Whether a file or folder of this name is not the user's own: hidden names (".git", ".Trash-1000", and the
// "._NAME" that macOS writes beside each NAME on foreign disks), waste baskets and folders that systems and
// network drives make ("$RECYCLE.BIN", "System Volume Information", "lost+found", "@eaDir", "__MACOSX").
bool is_system_name(std::string_view file_name);

// Regular files in `folder` and below whose name ends with one of `endings` (".pt", lower case; compared
// without regard to case), in byte order of their paths. Links are followed, a folder is gone through once,
// system names and what cannot be read are passed over. A missing folder holds nothing.
std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder,
                                               const std::vector<std::string_view>& endings);

}  // namespace lowrank
