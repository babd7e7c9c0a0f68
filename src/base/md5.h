// MD5, for names that other programs made with it. No protection against anyone.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace lowrank {

std::string md5_hex(std::span<const std::byte> bytes);  // 32 hex digits

}  // namespace lowrank
