// Whether a host is this machine as only itself reaches it.
#pragma once

#include <string_view>

namespace lowrank {

// A host as an address (URL), a Host header or an option writes it, without port: addresses of 127.0.0.0/8 and ::1 in all
// their forms, with or without brackets and zone, and the names that always mean them (RFC 6761 §6.3, Debian's
// /etc/hosts). Nothing is looked up: whoever gives a name of his own to 127.0.0.1 stays a stranger.
bool is_loopback(std::string_view host);

}  // namespace lowrank
