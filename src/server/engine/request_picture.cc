#include "server/engine/request_picture.h"

#include "base/error.h"
#include "image/codec.h"
#include "library/picture_settings.h"
#include "server/http/base64.h"
#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

constexpr std::int64_t kMaxPixels = 64'000'000;

template <typename Read>
auto decoded(const std::string& text, const Read& read) {
  const std::vector<std::byte> bytes = picture_bytes(text);
  try {
    auto picture = read(bytes, "the image");
    if (static_cast<std::int64_t>(picture.width) * picture.height > kMaxPixels)
      throw Refusal(422, "Invalid encoded image: it has more than 64 million pixels");
    return picture;
  } catch (const Error& error) {
    if (error.code() != kBadInput && error.code() != kUnsupported) throw;
    throw Refusal(422, "Invalid encoded image");
  }
}

}  // namespace

std::vector<std::byte> picture_bytes(const std::string& text) {
  std::string_view data = text;
  if (data.starts_with("http://") || data.starts_with("https://")) throw Refusal(422, "Requests not allowed");
  if (data.starts_with("data:image/")) {
    const auto comma = data.find(',');
    if (comma == std::string_view::npos) throw Refusal(422, "Invalid encoded image");
    data.remove_prefix(comma + 1);
  }
  const auto bytes = from_base64(data);
  if (!bytes || bytes->empty()) throw Refusal(422, "Invalid encoded image");
  const auto view = std::as_bytes(std::span(*bytes));
  return {view.begin(), view.end()};
}

image::Picture request_picture(const std::string& text) {
  return decoded(text, [](std::span<const std::byte> bytes, const std::string& name) {
    return image::decode_picture(bytes, name);
  });
}

std::optional<std::string> request_parameters(const std::string& text) {
  const auto settings = library::settings_of_picture(picture_bytes(text), "the image");
  return settings ? std::optional(settings->text) : std::nullopt;
}

image::Mask request_mask(const std::string& text) {
  return decoded(text, [](std::span<const std::byte> bytes, const std::string& name) {
    return image::decode_mask(bytes, name);
  });
}

}  // namespace lowrank::server
