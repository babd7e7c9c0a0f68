#include "cli/engine/reachable_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

namespace lowrank::cli {
namespace {

std::string address_text(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    if ((ntohl(v4->sin_addr.s_addr) >> 16) == 0xA9FE) return "";  // 169.254.0.0/16
    return inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text)) == nullptr ? "" : text;
  }
  if (address->sa_family != AF_INET6) return "";
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr) || IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) return "";
  return inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)) == nullptr ? "" : text;
}

}  // namespace

std::vector<std::string> reachable_addresses(Family family) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> all(first, &freeifaddrs);
  std::vector<std::string> v4, v6;
  for (const ifaddrs* it = all.get(); it != nullptr; it = it->ifa_next) {
    if (it->ifa_addr == nullptr || (it->ifa_flags & IFF_UP) == 0 || (it->ifa_flags & IFF_LOOPBACK) != 0)
      continue;
    std::string text = address_text(it->ifa_addr);
    if (!text.empty()) (it->ifa_addr->sa_family == AF_INET ? v4 : v6).push_back(std::move(text));
  }
  if (family == Family::kBoth) v4.insert(v4.end(), v6.begin(), v6.end());
  return v4;
}

}  // namespace lowrank::cli
