#include "base/loopback.h"

#include <gtest/gtest.h>

namespace lowrank {
namespace {

// RFC 1122 §3.2.1.3 (127/8), RFC 4291 §2.5.3 (::1) and §2.5.5.2 (mapped), RFC 6761 §6.3 (localhost and below it).
TEST(Loopback, IsWhatOnlyThisMachineReaches) {
  for (const char* own : {"127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "[::1]", "0:0:0:0:0:0:0:1",
                          "[0:0::1]", "::1%lo", "::ffff:127.0.0.1", "localhost", "LocalHost", "localhost.",
                          "a.localhost", "ip6-localhost", "ip6-loopback", "localhost.localdomain"})
    EXPECT_TRUE(is_loopback(own)) << own;
}

TEST(Loopback, NamesOfOthersAreNot) {
  for (const char* other :
       {"", "0.0.0.0", "::", "[::]", "128.0.0.1", "192.168.0.7", "::2", "fe80::1", "::ffff:10.0.0.1",
        "127.example.org", "127.0.0.1.example.org", "localhost.example.org", "notlocalhost", "[", "[]"})
    EXPECT_FALSE(is_loopback(other)) << other;
}

}  // namespace
}  // namespace lowrank
