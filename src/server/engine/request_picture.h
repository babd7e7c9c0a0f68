// Pictures inside requests: base64, or a data URL. URLs of the network are never fetched.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image/mask.h"
#include "image/picture.h"

namespace lowrank::server {

// The bytes of `text`. Throws Refusal 422 with A1111's detail: "Invalid encoded image", "Requests not
// allowed".
std::vector<std::byte> picture_bytes(const std::string& text);

image::Picture request_picture(const std::string& text);
image::Mask request_mask(const std::string& text);
// The settings inside the picture; nullopt when there are none.
std::optional<std::string> request_parameters(const std::string& text);

}  // namespace lowrank::server
