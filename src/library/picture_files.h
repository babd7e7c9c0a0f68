// Pictures in folders, by their endings.
#pragma once

#include <filesystem>
#include <vector>

namespace lowrank::library {

// The files in `folder` whose endings are of formats that can be read (image/codec/codec.h), not below it, in natural order. Throws Error(kNotFound) when the
// folder is missing.
std::vector<std::filesystem::path> picture_files(const std::filesystem::path& folder);

// Each path as it is, but a folder as its pictures. Throws Error(kNotFound) for a folder without any.
std::vector<std::filesystem::path> expand_pictures(const std::vector<std::filesystem::path>& paths);

// Whether a file is a picture that LowRank made, by the text inside: it may be replaced by another one.
bool is_own_picture(const std::filesystem::path& file);
// The same of previews and contact sheets alone, which hold a mark instead of settings.
bool is_own_picture_without_settings(const std::filesystem::path& file);

}  // namespace lowrank::library
