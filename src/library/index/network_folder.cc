#include "library/index/network_folder.h"

#include <sys/vfs.h>

#include <array>

namespace lowrank::library {

bool is_network_folder(const std::filesystem::path& folder) {
  struct statfs status {};
  if (::statfs(folder.empty() ? "." : folder.c_str(), &status) != 0) return false;
  constexpr std::array<unsigned long, 6> kNetworks = {0x6969,     0xFF534D42, 0xFE534D42, 0x517B,
                                                      0x01021997, 0x65735546};  // NFS, CIFS, SMB, 9p, FUSE
  for (const auto magic : kNetworks)
    if (static_cast<unsigned long>(status.f_type) == magic) return true;
  return false;
}

}  // namespace lowrank::library
