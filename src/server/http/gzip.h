// Compression of what a client asks to have compressed.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace lowrank::server {

// True when the value of a header Accept-Encoding takes gzip. Source: RFC 9110 §12.5.3.
bool accepts_gzip(std::string_view accept_encoding);

// `text` as a gzip file (RFC 1952), at zlib's quickest level: most of the gain for a tenth of the time.
std::string gzip(std::string_view text);
// The same piece by piece: `next` gives the text's, "" after the last; `take` gets the file's.
void gzip(const std::function<std::string()>& next, const std::function<void(std::string_view)>& take);

}  // namespace lowrank::server
