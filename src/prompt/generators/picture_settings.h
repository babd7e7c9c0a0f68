// The texts in a picture, and the settings that are read out of them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prompt/infotext.h"

namespace lowrank::prompt {

// What a picture says in words: PNG texts by their keyword, EXIF fields by their name ("UserComment", "Make"),
// XMP under "XML:com.adobe.xmp", a JPEG comment under "comment".
struct PictureTexts {
  std::vector<std::pair<std::string, std::string>> texts = {};
  int width = 0, height = 0;  // of the picture; 0 unknown

  const std::string* find(std::string_view key) const;  // the first of the key; nullptr when absent
};

struct PictureSettings {
  std::string generator = {};           // "A1111", "ComfyUI" …; A1111 stands for all that write its text
  Infotext infotext = {};               // in A1111's labels; LoRAs are tags of the prompt
  std::string text = {};                // the same as A1111's text
  std::vector<std::string> notes = {};  // what was left out, guessed or means something else here
  bool is_understood = true;  // false: JSON of no known program; nothing was read, the last note says so
};

}  // namespace lowrank::prompt
