// Content Credentials (C2PA): a signed statement of where a picture comes from, which services of today put into theirs.
// It holds no settings, but names the program. Source: C2PA specification 2.1, §11.1 (JUMBF) and the claim's fields.
#pragma once

#include <optional>
#include <string>

#include "image/codec/format_codecs.h"

namespace lowrank::image {

// "made by NAME" of the claim in a manifest's bytes, "" when the claim names nobody; nullopt: it is no manifest.
std::optional<std::string> credentials_of(Bytes manifest);

// The manifest's bytes in a PNG (chunk caBX), a JPEG (segments APP11); empty where there is none.
Bytes png_manifest(Bytes file);
Bytes jpeg_manifest(Bytes segment_body);

}  // namespace lowrank::image
