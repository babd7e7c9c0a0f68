// Addresses that lead to this machine or into the network around it, where nothing that comes from outside may send us.
#pragma once

#include <sys/socket.h>

#include <string>

namespace lowrank::library {

// Loopback, private, link-local, carrier, benchmark, multicast and reserved ranges of IPv4 and IPv6, also where an IPv4
// address is wrapped into an IPv6 one. True for address families that are neither.
bool is_inner_address(const sockaddr* address);

// The same for a host as an address (URL) writes it, without asking who bears a name: "127.0.0.1", "[::1]", "localhost".
bool is_inner_host(const std::string& host);

}  // namespace lowrank::library
