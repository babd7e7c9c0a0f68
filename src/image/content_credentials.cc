#include "image/content_credentials.h"

#include <algorithm>
#include <string_view>

#include "base/text/utf8.h"
#include "image/exif.h"

namespace lowrank::image {
namespace {

// A text of CBOR (RFC 8949 §3, major type 3) at `at`; "" where there is none.
std::string cbor_text(std::string_view bytes, std::size_t at) {
  if (at >= bytes.size()) return "";
  const auto byte = [&](std::size_t i) {
    return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0u;
  };
  const unsigned head = byte(at++);
  std::size_t length = 0;
  if (head >= 0x60 && head <= 0x77) {
    length = head - 0x60;
  } else if (head == 0x78) {
    length = byte(at++);
  } else if (head == 0x79) {
    length = byte(at) << 8 | byte(at + 1);
    at += 2;
  }
  if (at > bytes.size() || length > bytes.size() - at) return "";
  return mended_utf8(std::string(bytes.substr(at, length)));
}

}  // namespace

std::optional<std::string> credentials_of(Bytes manifest) {
  const std::string_view bytes(reinterpret_cast<const char*>(manifest.data()), manifest.size());
  if (bytes.find("jumb") == std::string_view::npos || bytes.find("c2pa") == std::string_view::npos)
    return std::nullopt;
  constexpr std::string_view kInfo = "claim_generator_info", kClaim = "claim_generator", kName = "dname";
  std::string name;
  // Claims of today: {"claim_generator_info": {"name": "…"}}; "d" is CBOR's head of a text of four bytes.
  if (const std::size_t info = bytes.find(kInfo); info != std::string_view::npos)
    if (const std::size_t key = bytes.substr(info, 200).find(kName); key != std::string_view::npos)
      name = cbor_text(bytes, info + key + kName.size());
  for (std::size_t at = bytes.find(kClaim); name.empty() && at != std::string_view::npos;
       at = bytes.find(kClaim, at + 1))
    name = cbor_text(bytes, at + kClaim.size());
  return name;
}

Bytes png_manifest(Bytes file) {
  for (std::size_t at = 8; at + 12 <= file.size();) {
    const std::size_t length = static_cast<std::size_t>(file[at]) << 24 |
                               static_cast<std::size_t>(file[at + 1]) << 16 |
                               static_cast<std::size_t>(file[at + 2]) << 8 | file[at + 3];
    if (length > file.size() - at - 12) break;
    if (has_at(file, at + 4, "caBX")) return file.subspan(at + 8, length);
    at += 12 + length;
  }
  return {};
}

Bytes jpeg_manifest(Bytes segment_body) {
  // "JP", box instance, sequence number; further segments of a large box are not needed for its claim's beginning.
  constexpr std::size_t kHead = 8;
  if (!has_at(segment_body, 0, "JP") || segment_body.size() < kHead) return {};
  return segment_body.subspan(kHead);
}

}  // namespace lowrank::image
