#include "base/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/text/ascii.h"

namespace lowrank {

bool is_loopback(std::string_view host) {
  constexpr std::array<std::string_view, 4> kNames = {"localhost", "localhost.localdomain", "ip6-localhost",
                                                      "ip6-loopback"};
  std::string name = lower_ascii(host);
  if (name.ends_with('.')) name.pop_back();
  if (std::ranges::find(kNames, name) != kNames.end() || name.ends_with(".localhost")) return true;
  in_addr four{};
  if (::inet_pton(AF_INET, name.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  name = name.substr(0, name.find('%'));
  in6_addr six{};
  if (::inet_pton(AF_INET6, name.c_str(), &six) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

}  // namespace lowrank
