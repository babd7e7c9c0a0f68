// Who may talk to the server: passwords, the Host header, and pages of other sites.
#pragma once

#include <regex>
#include <string>
#include <string_view>
#include <vector>

namespace lowrank::server {

struct Login {
  std::string user, password;
};

// "user:pass,user2:pass2". Throws Error(kBadInput) naming `option` when an entry has no colon or no user.
std::vector<Login> parse_logins(std::string_view text, std::string_view option);

// Same length and bytes, in a time that tells nothing about where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

// The value of an Authorization header against all logins; every login is compared whatever the outcome.
bool is_authorized(std::string_view header, const std::vector<Login>& logins);

// The name in a Host header or an origin, in lower case and without port: "[::1]:7860" → "::1".
std::string host_name(std::string_view host);
// "http://example.org:80" names the host that the request was sent to.
bool is_same_origin(std::string_view origin, std::string_view host);

// Which pages of other sites may read answers: A1111's two options.
class CrossOrigin {
 public:
  // A comma list ("*": any), and a regular expression for whole origins. Throws Error(kBadInput) when the
  // expression cannot be read.
  CrossOrigin(std::string_view origins, const std::string& expression);
  bool allows(const std::string& origin) const;

 private:
  std::vector<std::string> origins_;
  bool any_ = false, has_expression_ = false;
  std::regex expression_;
};

}  // namespace lowrank::server
