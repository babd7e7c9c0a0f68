// Which addresses lead inside, by IANA's registries of special-purpose addresses.
#include "library/import/inner_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

namespace lowrank::library {
namespace {

bool is_inner(const std::string& text) {
  sockaddr_storage storage{};
  auto* four = reinterpret_cast<sockaddr_in*>(&storage);
  auto* six = reinterpret_cast<sockaddr_in6*>(&storage);
  if (::inet_pton(AF_INET, text.c_str(), &four->sin_addr) == 1) {
    storage.ss_family = AF_INET;
  } else {
    EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &six->sin6_addr), 1) << text;
    storage.ss_family = AF_INET6;
  }
  return is_inner_address(reinterpret_cast<const sockaddr*>(&storage));
}

TEST(InnerAddress, PrivateAndSpecialRangesAreInside) {
  for (const char* text : {"0.0.0.0",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.1",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.0.1",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.168.1.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "224.0.0.1",
                           "239.1.2.3",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "fe80::1",
                           "fc00::1",
                           "fd12:3456::1",
                           "ff02::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.1.2.3",
                           "64:ff9b::169.254.169.254",
                           "2002:7f00:1::",
                           "2002:c0a8:101::1",
                           "100::1"})
    EXPECT_TRUE(is_inner(text)) << text;
}

TEST(InnerAddress, PublicAddressesAreNot) {
  for (const char* text :
       {"1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.1.1.1", "128.0.0.1",
        "169.253.1.1", "172.15.1.1", "172.32.1.1", "192.1.1.1", "192.167.1.1", "198.17.1.1", "198.20.1.1",
        "223.255.255.255", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"})
    EXPECT_FALSE(is_inner(text)) << text;
}

TEST(InnerAddress, HostsAreReadInEveryNotation) {
  for (const char* host : {"localhost", "a.localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001",
                           "017700000001", "[::1]", "[fe80::1]", "10.1"})
    EXPECT_TRUE(is_inner_host(host)) << host;
  for (const char* host :
       {"civitai.com", "8.8.8.8", "134744072", "[2606:4700::1111]", "localhost.example.com"})
    EXPECT_FALSE(is_inner_host(host)) << host;
}

}  // namespace
}  // namespace lowrank::library
