// Percent-encoding of URLs (RFC 3986, section 2.1).
#pragma once

#include <string>
#include <string_view>

namespace lowrank {

// %XX decoded; a broken escape stays as it is. `plus_is_blank` in queries of forms.
std::string percent_decode(std::string_view text, bool plus_is_blank = false);

// Every byte but letters, digits, - _ . and those of `keep` as %XX.
std::string percent_encode(std::string_view text, std::string_view keep);

}  // namespace lowrank
