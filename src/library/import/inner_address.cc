#include "library/import/inner_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/loopback.h"

namespace lowrank::library {
namespace {

struct Range {
  std::uint32_t first;
  int bits;
};
// Source: IANA's registry of IPv4 special-purpose addresses, and multicast.
constexpr Range kInner[] = {{0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},
                            {0xA9FE0000, 16}, {0xAC100000, 12}, {0xC0000000, 24}, {0xC0A80000, 16},
                            {0xC6120000, 15}, {0xE0000000, 3}};

bool is_inner(std::uint32_t address) {
  return std::ranges::any_of(
      kInner, [&](const Range& range) { return (address ^ range.first) >> (32 - range.bits) == 0; });
}

std::uint32_t number_of(const std::uint8_t* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         std::uint32_t{bytes[3]};
}

// Source: IANA's registry of IPv6 special-purpose addresses. What is not 2000::/3 is no address of the public network.
bool is_inner(const std::array<std::uint8_t, 16>& address) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  constexpr std::array<std::uint8_t, 12> kTranslated = {0, 0x64, 0xFF, 0x9B};
  const auto begins_with = [&](const std::array<std::uint8_t, 12>& prefix) {
    return std::equal(prefix.begin(), prefix.end(), address.begin());
  };
  if (begins_with(kMapped) || begins_with(kTranslated)) return is_inner(number_of(&address[12]));
  if (address[0] == 0x20 && address[1] == 0x02) return is_inner(number_of(&address[2]));  // 6to4
  return (address[0] & 0xE0) != 0x20;
}

}  // namespace

bool is_inner_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, address, sizeof(four));
    return is_inner(ntohl(four.sin_addr.s_addr));
  }
  if (address->sa_family != AF_INET6) return true;
  sockaddr_in6 six{};
  std::memcpy(&six, address, sizeof(six));
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &six.sin6_addr, bytes.size());
  return is_inner(bytes);
}

bool is_inner_host(const std::string& host) {
  if (is_loopback(host)) return true;
  in_addr four{};
  if (::inet_aton(host.c_str(), &four) != 0)
    return is_inner(ntohl(four.s_addr));  // also "127.1", "0x7f000001"
  std::string plain = host;
  std::erase_if(plain, [](char c) { return c == '[' || c == ']'; });
  std::array<std::uint8_t, 16> six{};
  return ::inet_pton(AF_INET6, plain.c_str(), six.data()) == 1 && is_inner(six);
}

}  // namespace lowrank::library
