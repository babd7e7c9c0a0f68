// This machine's addresses as others in the network see them.
#pragma once

#include <string>
#include <vector>

namespace lowrank::cli {

enum class Family { kV4, kBoth };

// Of all interfaces that are up, without loopback and without link-local ones, which need more than an address to be
// reached; IPv4 first. Empty when there is none, as in a machine without a network.
std::vector<std::string> reachable_addresses(Family family);

}  // namespace lowrank::cli
