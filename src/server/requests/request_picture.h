// Pictures inside requests: base64, or a data URL. URLs of the network are never fetched.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "image/mask.h"
#include "image/picture.h"

namespace lowrank::server {

// `field` names the request's field in what is refused: 422 with A1111's detail, "Invalid encoded image" with the
// reason behind it, or "Requests not allowed".
std::vector<std::byte> picture_bytes(const std::string& text, const std::string& field);

image::Picture request_picture(const std::string& text, const std::string& field);
image::Mask request_mask(const std::string& text, const std::string& field);
// The settings inside the picture; nullopt when there are none.
std::optional<std::string> request_parameters(const std::string& text, const std::string& field);

// What a picture reader threw about a request's picture, as a refusal; other errors are thrown on.
[[noreturn]] void refuse_picture(const Error& error);

}  // namespace lowrank::server
