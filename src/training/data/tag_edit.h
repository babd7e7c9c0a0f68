// Changes of the captions of many pictures at once: planned, shown, and then written all or not at all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lowrank::training {

// What becomes of the tags of each caption, in this order. Upper and lower case count alike. A tag that the caption has
// already is not added again.
struct TagEdit {
  std::vector<std::pair<std::string, std::string>> replaced = {};  // one tag by others, "a, b"; by none: ""
  std::vector<std::string> removed = {};
  std::vector<std::string> prefix =
      {};  // at the front, in this order; moved there when the caption has them elsewhere
  std::vector<std::string> suffix = {};  // at the end
  bool drops_repeated = false;           // of equal tags the first stays
  bool sorts = false;                    // all but those of prefix, by the alphabet
};

// The caption after the edit; as it was where nothing applies.
std::string edited_caption(const std::string& caption, const TagEdit& edit);

// A picture with its caption file.
struct CaptionedPicture {
  std::filesystem::path picture, file;  // the file need not be there
  std::optional<std::string> caption;   // its first line that holds any text; nullopt: no file
  std::string rest;                     // the lines behind it
};

// All pictures of a folder and of those in it but masks (NAME-masklabel.png), by path. A caption that cannot be read is an
// Error that names it.
std::vector<CaptionedPicture> pictures_below(const std::filesystem::path& folder, const std::string& encoding,
                                             const std::string& extension);

// A caption from a picture's name: tags between commas; without commas between underscores, where hyphens and + are
// blanks. What only counts or names a camera is left out. "red-fox_snow_003" → "red fox, snow"; "" when nothing is left.
std::string caption_from_name(const std::filesystem::path& picture);

// The tags that all captions begin with.
std::vector<std::string> common_front(const std::vector<CaptionedPicture>& pictures);

struct CaptionChange {
  const CaptionedPicture* picture = nullptr;
  std::string after;
};

// Writes them as UTF-8, the other lines of a file behind them, each file atomically. When one cannot be written, what was
// replaced before comes back. Throws Error naming the file.
void write_captions(const std::vector<CaptionChange>& changes);

}  // namespace lowrank::training
