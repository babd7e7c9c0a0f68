#include "server/http/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <new>

#include "base/error.h"
#include "base/text/ascii.h"
#include "base/text/text.h"

namespace lowrank::server {

bool accepts_gzip(std::string_view accept_encoding) {
  const std::string header = lower_ascii(accept_encoding);
  bool any = false, named = false, accepted = false;
  for (std::size_t from = 0; from < header.size();) {
    const std::size_t end = std::min(header.find(',', from), header.size());
    const std::string_view item = trim(std::string_view(header).substr(from, end - from));
    from = end + 1;
    const std::size_t parameters = std::min(item.find(';'), item.size());
    const std::string_view coding = trim(item.substr(0, parameters));
    const std::size_t q = item.find("q=", parameters);
    const bool is_wanted = q == std::string_view::npos || parse_number(item.substr(q + 2)).value_or(0) > 0;
    if (coding == "gzip" || coding == "x-gzip") {
      named = true;
      accepted = accepted || is_wanted;
    } else if (coding == "*") {
      any = is_wanted;
    }
  }
  return named ? accepted : any;
}

void gzip(const std::function<std::string()>& next, const std::function<void(std::string_view)>& take) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  if (deflateInit2(&stream, 1, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  const std::unique_ptr<z_stream, decltype(&deflateEnd)> end(&stream, deflateEnd);
  std::string packed(std::size_t{1} << 18, '\0');
  std::string text;
  bool is_last = false;
  int state = Z_OK;
  while (state == Z_OK || state == Z_BUF_ERROR) {
    if (stream.avail_in == 0 && !is_last) {
      text = next();
      is_last = text.empty();
      LOWRANK_CHECK(text.size() <= (std::size_t{1} << 30));
      stream.next_in = reinterpret_cast<Bytef*>(text.data());
      stream.avail_in = static_cast<uInt>(text.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_out = static_cast<uInt>(packed.size());
    state = deflate(&stream, is_last ? Z_FINISH : Z_NO_FLUSH);
    take(std::string_view(packed).substr(0, packed.size() - stream.avail_out));
  }
  LOWRANK_CHECK(state == Z_STREAM_END);
}

std::string gzip(std::string_view text) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  std::string packed;
  gzip(
      [&] {
        std::string piece(text.substr(0, kPiece));
        text.remove_prefix(piece.size());
        return piece;
      },
      [&](std::string_view piece) { packed += piece; });
  return packed;
}

}  // namespace lowrank::server
