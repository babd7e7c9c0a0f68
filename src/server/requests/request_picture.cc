#include "server/requests/request_picture.h"

#include <fmt/format.h>

#include "base/text/base64.h"
#include "image/codec/codec.h"
#include "library/picture_settings.h"
#include "server/http/refusal.h"

namespace lowrank::server {
namespace {

constexpr std::int64_t kMaxPixels = 64'000'000;

[[noreturn]] void refuse(const std::string& why) {
  throw Refusal(422, "Invalid encoded image: " + why);
}

template <typename Read>
auto decoded(const std::string& text, const std::string& field, const Read& read) {
  const std::vector<std::byte> bytes = picture_bytes(text, field);
  try {
    auto picture = read(bytes, field);
    if (static_cast<std::int64_t>(picture.width) * picture.height > kMaxPixels)
      refuse(
          fmt::format("{}: has {}x{} pixels, more than 64 million.", field, picture.width, picture.height));
    return picture;
  } catch (const Error& error) {
    refuse_picture(error);
  }
}

}  // namespace

void refuse_picture(const Error& error) {
  if (error.code() != kBadInput && error.code() != kUnsupported) throw error;
  refuse(error.what());
}

std::vector<std::byte> picture_bytes(const std::string& text, const std::string& field) {
  std::string_view data = text;
  if (data.starts_with("http://") || data.starts_with("https://")) throw Refusal(422, "Requests not allowed");
  if (data.starts_with("data:image/")) {
    const auto comma = data.find(',');
    if (comma == std::string_view::npos) refuse(field + ": the data URL has no comma before its data.");
    data.remove_prefix(comma + 1);
  }
  const auto bytes = from_base64(data);
  if (!bytes) refuse(field + ": is not base64.");
  if (bytes->empty()) refuse(field + ": is empty.");
  const auto view = std::as_bytes(std::span(*bytes));
  return {view.begin(), view.end()};
}

image::Picture request_picture(const std::string& text, const std::string& field) {
  return decoded(text, field, [](std::span<const std::byte> bytes, const std::string& name) {
    return image::decode_picture(bytes, name);
  });
}

std::optional<std::string> request_parameters(const std::string& text, const std::string& field) {
  const auto settings = library::settings_of_picture(picture_bytes(text, field), field);
  return settings ? std::optional(settings->text) : std::nullopt;
}

image::Mask request_mask(const std::string& text, const std::string& field) {
  return decoded(text, field, [](std::span<const std::byte> bytes, const std::string& name) {
    return image::decode_mask(bytes, name);
  });
}

}  // namespace lowrank::server
