#include "server/http/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <new>

#include "base/ascii.h"
#include "base/error.h"
#include "prompt/text.h"

namespace lowrank::server {

bool accepts_gzip(std::string_view accept_encoding) {
  const std::string header = lower_ascii(accept_encoding);
  bool any = false, named = false, accepted = false;
  for (std::size_t from = 0; from < header.size();) {
    const std::size_t end = std::min(header.find(',', from), header.size());
    const std::string_view item = prompt::trim(std::string_view(header).substr(from, end - from));
    from = end + 1;
    const std::size_t parameters = std::min(item.find(';'), item.size());
    const std::string_view coding = prompt::trim(item.substr(0, parameters));
    const std::size_t q = item.find("q=", parameters);
    const bool is_wanted =
        q == std::string_view::npos || prompt::parse_number(item.substr(q + 2)).value_or(0) > 0;
    if (coding == "gzip" || coding == "x-gzip") {
      named = true;
      accepted = accepted || is_wanted;
    } else if (coding == "*") {
      any = is_wanted;
    }
  }
  return named ? accepted : any;
}

std::string gzip(std::string_view text) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  if (deflateInit2(&stream, 1, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  std::string packed;
  std::string piece(std::size_t{1} << 18, '\0');
  int state = Z_OK;
  std::size_t done = 0;
  while (state != Z_STREAM_END) {
    const std::size_t count = std::min<std::size_t>(text.size() - done, std::size_t{1} << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data() + done));
    stream.avail_in = static_cast<uInt>(count);
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    state = deflate(&stream, done + count == text.size() ? Z_FINISH : Z_NO_FLUSH);
    done += count - stream.avail_in;
    packed.append(piece.data(), piece.size() - stream.avail_out);
    if (state != Z_OK && state != Z_STREAM_END && state != Z_BUF_ERROR) break;
  }
  deflateEnd(&stream);
  LOWRANK_CHECK(state == Z_STREAM_END);
  return packed;
}

}  // namespace lowrank::server
