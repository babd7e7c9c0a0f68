// A zip archive as torch.save writes it: every member stored as it is, sizes of any length (zip64). Whatever
// a model file has no reason to contain (compression, encryption, several disks, odd names) is refused.
// Source: PKWARE's APPNOTE 6.3.9, sections 4.3 to 4.5.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <string>

namespace lowrank::weights {

// Member name → its bytes inside `archive`. Throws Error(kBadInput); `label` names the archive.
std::map<std::string, std::span<const std::byte>, std::less<>> read_stored_zip(
    std::span<const std::byte> archive, const std::string& label);

}  // namespace lowrank::weights
